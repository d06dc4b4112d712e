# shellcheck shell=sh
# timens_add_boottime() is inlined in several objects; two of them are looked at.
uptime_seconds() { cut -d. -f1 /proc/uptime; }
old() {
  [ "$(uptime_seconds)" -lt 1000000 ] || fail "uptime: $(uptime_seconds)" || return 1
  expect_not_in uptime days "$(uptime)"
}
new() {
  [ "$(uptime_seconds)" -ge 1000000 ] || fail "uptime: $(uptime_seconds)" || return 1
  expect_in uptime '11 days' "$(uptime)"
}
