# shellcheck shell=sh
# version.c defines a global variable, cmdline.c uses it: one variable, not two.
old() {
  expect_not_in version shared "$(cat /proc/version)" && expect_not_in cmdline shared "$(cat /proc/cmdline)"
}
new() {
  expect_in version 'shared 7' "$(cat /proc/version)" && expect_in cmdline 'shared 8' "$(cat /proc/cmdline)" &&
    expect_in version 'shared 8' "$(cat /proc/version)" && expect_in cmdline 'shared 9' "$(cat /proc/cmdline)"
}
