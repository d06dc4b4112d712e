# shellcheck shell=sh
# A static call through its key, a changed function and a changed section that the author leaves out, and a function
# that is patched though it didn't change.
setup() {
  ip link set lo up
  modprobe xt_comment && modprobe iptable_filter && iptables -A INPUT -i lo -m comment --comment test
}
old() {
  mark_dmesg
  expect_not_in version steal "$(cat /proc/version)" && no_dmesg 'author macros'
}
new() {
  mark_dmesg
  ping -c 1 -W 2 127.0.0.1 >/dev/null
  expect_in version 'steal 0' "$(cat /proc/version)" && expect_dmesg 'author macros' &&
    expect_dmesg 'comment_mt: livepatched' && expect_not_in cmdline ignored "$(cat /proc/cmdline)" &&
    expect_in functions 'loadavg_proc_show,' "$(ls "$klp/$patch/vmlinux")" &&
    expect_not_in functions 'cmdline_proc_show,' "$(ls "$klp/$patch/vmlinux")"
}
cleanup() { iptables -F INPUT; }
