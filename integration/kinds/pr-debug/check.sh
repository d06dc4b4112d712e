# shellcheck shell=sh
# A pr_debug() is off until dynamic debug turns it on.
control=/proc/dynamic_debug/control
old() { expect_not_in version livepatched "$(cat /proc/version)"; }
new() {
  mark_dmesg
  expect_in version livepatched "$(cat /proc/version)" && no_dmesg 'version read by' || return 1
  echo 'func version_proc_show +p' >$control || fail 'dynamic debug knows no version_proc_show' || return 1
  cat /proc/version >/dev/null
  expect_dmesg 'version read by cat' || return 1
  echo 'func version_proc_show -p' >$control
  mark_dmesg
  cat /proc/version >/dev/null
  no_dmesg 'version read by'
}
