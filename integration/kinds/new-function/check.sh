# shellcheck shell=sh
# version_proc_show() calls a function that the patch adds.
old() { expect_not_in version livepatched "$(cat /proc/version)"; }
new() { expect_in version livepatched "$(cat /proc/version)"; }
