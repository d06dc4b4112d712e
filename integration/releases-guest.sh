# Cumulative releases, in the guest: each replaces the one before it, and nothing of that is left.
# shellcheck shell=sh
. /guest.sh

# functions NAME KO: the kernel patches what the module's tables say, and no more.
functions() {
  list=/releases/$(basename "$2" .ko).functions
  while read -r object function; do
    ls -d "$klp/$1/$object/$function",* >/dev/null 2>&1 || fail "$1 doesn't patch $object:$function" || return 1
  done <"$list"
  expect_eq "functions of $1" "$(wc -l <"$list")" "$(find "$klp/$1" -mindepth 2 -maxdepth 2 -name '*,*' | wc -l)"
}

# upgrade KO: in place of what is loaded. A livepatch that was replaced leaves sysfs a moment after the transition.
upgrade() {
  load_patch "$1" && now=$(patch_name "$1") && functions "$now" "$1" || return 1
  if [ -n "$before" ]; then
    tries=0
    while [ -e "$klp/$before" ]; do
      tries=$((tries + 1))
      [ $tries -le 50 ] || fail "$before is still there" || return 1
      sleep 0.1
    done
    unload_patch "$before" || return 1
  fi
  before=$now
  mark_dmesg
  cat /proc/meminfo >/dev/null && expect_dmesg 'meminfo_proc_show: livepatched' || return 1
  expect_eq 'livepatches' 1 "$(find "$klp" -mindepth 1 -maxdepth 1 | wc -l)"
}

chain() {
  before='' number=1
  while [ -e "/releases/livepatch-release-$number.ko" ]; do
    upgrade "/releases/livepatch-release-$number.ko" || fail "(release $number)" || return 1
    number=$((number + 1))
  done
  [ $number -gt 3 ] || fail "$number releases" || return 1
  # The third has shadow variables: they are those of each release after it.
  expect_in 'version' 'reads ' "$(cat /proc/version)" || return 1
  [ -e /releases/livepatch-release-100.ko ] || at_the_end
}

hundred() {
  upgrade /releases/livepatch-release-100.ko || return 1
  for round in 1 2 3; do
    find /proc /sys /bin -maxdepth 2 >/dev/null 2>&1
    echo "$round" >/tmp/file && mv /tmp/file /tmp/other && cat /tmp/other >/dev/null || return 1
  done
  at_the_end
}

at_the_end() {
  disable_patch "$before" && unload_patch "$before" || return 1
  mark_dmesg
  cat /proc/meminfo >/dev/null && no_dmesg 'meminfo_proc_show: livepatched' &&
    expect_not_in 'version' 'reads ' "$(cat /proc/version)"
}

ip link set lo up
modprobe xt_comment && modprobe iptable_filter
chapter chain
[ ! -e /releases/livepatch-release-100.ko ] || chapter hundred
