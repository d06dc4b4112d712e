# shellcheck shell=sh
# The patch adds a source file to a Makefile, and calls into it.
old() { expect_not_in version shown "$(cat /proc/version)"; }
new() { expect_in version 'shown 1' "$(cat /proc/version)" && expect_in version 'shown 2' "$(cat /proc/version)"; }
