# shellcheck shell=sh
# An alternative that every x86-64 CPU takes (2, not 1), and a feature test.
old() { expect_not_in cmdline sse2 "$(cat /proc/cmdline)"; }
new() {
  aes=0
  grep -qw aes /proc/cpuinfo && aes=1
  expect_in cmdline "sse2 2 aes $aes" "$(cat /proc/cmdline)"
}
