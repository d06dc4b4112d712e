# shellcheck shell=sh
# A module that is patched where it refers to itself goes and comes back, while the livepatch stays. Its callbacks refer
# to the module too. On 6.1, where we take the references back ourselves, pre-patch refuses the module in between (a
# newer kernel forgets to take them back then).
matches=/proc/net/ip_tables_matches
drop_modules() {
  for module in iptable_filter ip_tables xt_comment x_tables; do
    ! grep -q "^$module " /proc/modules || rmmod $module || return 1
  done
}
add_modules() { modprobe ip_tables && modprobe xt_comment; }
refused() {
  case $(uname -r) in 6.1.*) ;; *) return 0 ;; esac
  hostname refuse
  modprobe x_tables 2>/dev/null # busybox: its status says nothing
  hostname guest
  ! grep -q '^x_tables ' /proc/modules || fail 'x_tables was not refused'
}
sequence() {
  drop_modules && add_modules && load_patch "$ko" || return 1
  for round in first second third; do
    add_modules || fail "$round: $(messages)" || return 1
    expect_in "$round" 'comment (livepatched ip 0)' "$(cat $matches)" || return 1
    mark_dmesg
    drop_modules && expect_dmesg 'x_tables goes: -22' && refused && check_dmesg || return 1
  done
  add_modules && disable_patch "$patch" && expect_not_in disabled livepatched "$(cat $matches)" &&
    unload_patch "$patch" && expect_not_in unloaded livepatched "$(cat $matches)"
}
