# shellcheck shell=sh
# A patched function of xt_comment calls a new one of x_tables, of which no function is replaced. Its module comes, goes
# and comes again while the livepatch stays.
drop_modules() {
  iptables -F INPUT 2>/dev/null
  for module in iptable_filter ip_tables xt_comment x_tables; do
    ! grep -q "^$module " /proc/modules || rmmod $module || return 1
  done
}
ping_through() {
  modprobe xt_comment && modprobe iptable_filter &&
    iptables -A INPUT -i lo -m comment --comment test -j ACCEPT || return 1
  mark_dmesg
  ping -c 1 -W 2 127.0.0.1 >/dev/null || fail 'no ping'
}
sequence() {
  ip link set lo up
  drop_modules && load_patch "$ko" || return 1
  for _ in first second; do
    ping_through && expect_dmesg 'comment_mt: livepatched, families' || return 1
    drop_modules || return 1
  done
  ping_through && disable_patch "$patch" && mark_dmesg && ping -c 1 -W 2 127.0.0.1 >/dev/null &&
    no_dmesg 'comment_mt: livepatched' && unload_patch "$patch" && drop_modules
}
