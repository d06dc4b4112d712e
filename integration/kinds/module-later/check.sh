# shellcheck shell=sh
# x_tables comes after the livepatch, goes, and comes again.
matches=/proc/net/ip_tables_matches
drop_modules() {
  for module in iptable_filter ip_tables xt_comment x_tables; do
    ! grep -q "^$module " /proc/modules || rmmod $module || return 1
  done
}
sequence() {
  drop_modules || return 1
  load_patch "$ko" || return 1
  for round in first second; do
    modprobe ip_tables && modprobe xt_comment || return 1
    expect_in "$round" 'comment (livepatched)' "$(cat $matches)" || return 1
    drop_modules || return 1
  done
  modprobe ip_tables && modprobe xt_comment || return 1
  disable_patch "$patch" || return 1
  expect_not_in disabled livepatched "$(cat $matches)" && unload_patch "$patch" &&
    expect_not_in unloaded livepatched "$(cat $matches)"
}
