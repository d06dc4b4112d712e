# shellcheck shell=sh
# What is refused is counted by name, in vmlinux and in a module (in a softirq there), the places of one name together; only
# root reads it, nobody writes it, and it begins at 0 each time.
attempts=/sys/module/livepatch_attempts/parameters/attempts
tries() {
  ./lower 15 /proc/version
  ./lower 15 /proc/version
  ./lower 8 /proc/version
  ping -c 1 -W 2 -s 1200 127.0.0.1 >/dev/null  # the request and the answer come in
}
setup() {
  ip link set lo up
  modprobe xt_comment && modprobe iptable_filter && iptables -A INPUT -i lo -m comment --comment test
}
old() {
  tries
  ./lower 15 /proc/version || fail 'version is refused'
}
loaded() {
  expect_eq 'before any attempt' "$(printf 'CVE-2026-1234 0\nCVE-2026-1235 0')" "$(sort $attempts)" &&
    expect_eq mode 400 "$(stat -c %a $attempts)"
}
new() {
  ! ./lower 15 /proc/version || fail 'version is not refused' || return 1
  tries
  cat /proc/version >/dev/null
  expect_eq 'after attempts' "$(printf 'CVE-2026-1234 5\nCVE-2026-1235 1')" "$(sort $attempts)" &&
    ! { echo 7 >$attempts; } 2>/dev/null
}
unloaded() {
  [ ! -e $attempts ] || fail 'the counts are still there' || return 1
  ! insmod "$ko" attempts=7 2>/dev/null || fail 'the count can be given' || return 1
  load_patch "$ko" && loaded && disable_patch "$patch" && unload_patch "$patch"
}
cleanup() { iptables -F INPUT; }
