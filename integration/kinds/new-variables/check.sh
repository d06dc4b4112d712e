# shellcheck shell=sh
# A static variable that starts at zero, a global one that doesn't; both live in the livepatch, and count.
old() { expect_not_in loadavg read "$(cat /proc/loadavg)"; }
new() {
  expect_in 'first read' 'read 1 times of 39' "$(cat /proc/loadavg)" &&
    expect_in 'second read' 'read 2 times of 38' "$(cat /proc/loadavg)"
}
