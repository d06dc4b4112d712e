# shellcheck shell=sh
# filldir64() checks user pointers against a limit that 6.12 writes into its instructions at boot. badptr gives it a
# buffer beyond the limit, which must be refused in silence.
old() {
  touch /tmp/livepatch-hides
  expect_in ls livepatch-hides "$(ls /tmp)" && ./badptr
}
new() { expect_not_in ls livepatch-hides "$(ls /tmp)" && expect_in ls root "$(ls /)" && ./badptr; }
cleanup() { rm -f /tmp/livepatch-hides; }
