#!/bin/sh
# Run by systemd in the guest, once all that starts with the machine has started. Busybox is there beside Debian's own.
# shellcheck shell=sh
out=/dev/ttyS1
exec >$out 2>&1
say() { echo "$*"; }
fail() { echo "$*"; return 1; }
release=$(uname -r)
state() { systemctl show -p "$2" --value "$1"; }
# within SECONDS COMMAND…: it comes true in that time.
within() {
  left=$1
  shift
  until "$@" >/dev/null 2>&1; do
    left=$((left - 1))
    [ $left -gt 0 ] || return 1
    sleep 1
  done
}
chapter() {
  echo "@@ begin $1"
  if $1; then echo "@@ ok $1"; else echo "@@ failed $1"; fi
}

loaded_at_boot() {
  [ "$(state kpatch.service ActiveState)" = active ] || fail "kpatch.service: $(journalctl -u kpatch.service -o cat | tail -n 8)" || return 1
  grep -q '^livepatch_patch1 ' /proc/modules && kpatch status | grep -q 'patched' || fail "$(kpatch status)"
}
before_the_network() {
  first=$(systemctl show -p ExecMainExitTimestampMonotonic --value kpatch.service)
  then=$(systemctl show -p ActiveEnterTimestampMonotonic --value sysinit.target)
  [ "$first" -gt 0 ] && [ "$first" -le "$then" ] || fail "kpatch.service ended at $first, sysinit.target came at $then"
}
no_cycle() { ! journalctl -b -o cat | grep -i 'ordering cycle\|deleted to break' || fail "there is a cycle"; }
on_trial() { [ -e "/var/lib/kpatch/$release/livepatch_patch1.trial" ] || fail "it isn't on trial: $(ls "/var/lib/kpatch/$release")"; }
accepted_by_the_timer() {
  systemctl start kpatch-accept.timer
  within 120 test ! -e "/var/lib/kpatch/$release/livepatch_patch1.trial" || {
    fail "it isn't accepted: $(systemctl status kpatch-accept.timer kpatch-accept.service | tail -n 20)"
    return 1
  }
  journalctl -u kpatch-accept.service -o cat | grep -q 'livepatch_patch1 is accepted' || fail "$(journalctl -u kpatch-accept.service -o cat)"
}
agent_runs() {
  within 60 systemctl is-active kpatch-agent.service || fail "$(journalctl -u kpatch-agent.service -o cat | tail -n 8)" || return 1
  [ "$(curl -sk -o /dev/null -w '%{http_code}' https://127.0.0.1:8000/livepatch)" = 401 ] || fail "the agent doesn't answer"
}
# Within the walls that its unit puts around it.
agent_loads() {
  answer=$(curl -sk -w ' %{http_code}' -H 'Authorization: Bearer secret' -F file=@/systemd/livepatch-patch2.ko https://127.0.0.1:8000/livepatch)
  case $answer in *" 200") ;; *) fail "$answer; $(journalctl -u kpatch-agent.service -o cat | tail -n 8)" || return 1 ;; esac
  grep -q '^livepatch_patch2 ' /proc/modules && ! grep -q '^livepatch_patch1 ' /proc/modules || fail "$(kpatch list)" || return 1
  grep -q '"event": *"load"' /var/log/kpatch/events.json && grep -q livepatch_patch2 /var/log/kpatch/events.json ||
    fail "kpatch's event log, behind the walls: $(tail -n 2 /var/log/kpatch/events.json)"
}
# Another service within the same walls looks at the code that runs.
agent_compares() {
  sed -e 's,^ExecStart=.*,ExecStart=/usr/bin/kpatch check /systemd/livepatch-patch1.ko,' -e '/^Restart=/d' -e 's/^\[Service\]/&\nType=oneshot/' \
    /usr/lib/systemd/system/kpatch-agent.service >/run/systemd/system/compare.service
  systemctl daemon-reload
  systemctl start compare.service || fail "it ends with an error" || return 1
  answer=$(journalctl -u compare.service -o cat)
  case $answer in *"nothing is against it"*) ;; *) fail "$answer" ;; esac
}
stopped_in_order() {
  systemctl stop kpatch.service && grep -q '^livepatch_patch2 ' /proc/modules || fail "stopping the service took the livepatch away"
}
analyzed() {
  for unit in kpatch.service kpatch-accept.service kpatch-accept.timer kpatch-agent.service; do
    said=$(systemd-analyze verify --man=no /usr/lib/systemd/system/$unit 2>&1 | grep "$unit")
    [ -z "$said" ] || fail "$unit: $said" || return 1
  done
  level=$(systemd-analyze security kpatch-agent.service --no-pager | sed -n 's/.*exposure level for .*: \([0-9.]*\) .*/\1/p')
  say "exposure of kpatch-agent.service: $level"
  [ "${level%.*}" -le 5 ] || fail "exposure $level"
}

for chapter in loaded_at_boot before_the_network no_cycle on_trial agent_runs agent_loads agent_compares accepted_by_the_timer stopped_in_order \
  analyzed; do
  chapter $chapter
done
echo "@@ end"
systemctl --force --force reboot
