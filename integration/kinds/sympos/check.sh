# shellcheck shell=sh
# There are three c_stop() and three c_next() in the kernel. show_console_dev() compares with its own, the second one,
# and its c_next() is replaced, no other.
old() { expect_not_in consoles own "$(cat /proc/consoles)"; }
new() {
  expect_in consoles 'own c_stop 1' "$(cat /proc/consoles)" && expect_in consoles next "$(cat /proc/consoles)" &&
    expect_not_in cpuinfo next "$(cat /proc/cpuinfo)"
}
