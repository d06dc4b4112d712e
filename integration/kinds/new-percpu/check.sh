# shellcheck shell=sh
# A per-CPU variable that the patch brings along.
old() { expect_not_in version reads "$(cat /proc/version)"; }
new() { expect_in version 'reads 6' "$(cat /proc/version)" && expect_in version 'reads 7' "$(cat /proc/version)"; }
