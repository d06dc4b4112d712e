# shellcheck shell=sh
# pv_steal_clock is a static call of vmlinux that modules can't use, cond_resched() one that they can.
old() { expect_not_in version steal "$(cat /proc/version)"; }
new() { expect_in version 'steal 0' "$(cat /proc/version)"; }
