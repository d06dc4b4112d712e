# shellcheck shell=sh
# The new code touches an address that isn't mapped: without its __ex_table entry that is an Oops.
old() { expect_not_in cmdline caught "$(cat /proc/cmdline)"; }
new() { expect_in cmdline 'caught 1' "$(cat /proc/cmdline)" && expect_in cmdline 'caught 1' "$(cat /proc/cmdline)"; }
