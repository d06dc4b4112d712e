# shellcheck shell=sh
# One patch of vmlinux, x_tables and xt_comment, both loaded.
setup() {
  ip link set lo up
  modprobe xt_comment && modprobe iptable_filter
  iptables -A INPUT -i lo -m comment --comment test -j ACCEPT
}
old() {
  mark_dmesg
  ping -c 1 -W 2 127.0.0.1 >/dev/null || fail 'no ping' || return 1
  expect_not_in version livepatched "$(cat /proc/version)" &&
    expect_not_in matches livepatched "$(cat /proc/net/ip_tables_matches)" && no_dmesg 'comment_mt: livepatched'
}
new() {
  mark_dmesg
  ping -c 1 -W 2 127.0.0.1 >/dev/null || fail 'no ping' || return 1
  expect_in version livepatched "$(cat /proc/version)" &&
    expect_in matches 'comment (livepatched)' "$(cat /proc/net/ip_tables_matches)" &&
    expect_dmesg 'comment_mt: livepatched'
}
cleanup() { iptables -F INPUT; }
