# kpatch in the guest: patch1 changes vmlinux, patch2 the same and the module xt_comment, sleep a function that tasks
# sleep in.
# shellcheck shell=sh
. /guest.sh

patch1=/target/livepatch-patch1.ko
patch2=/target/livepatch-patch2.ko
sleep_patch=/target/livepatch-sleep.ko
release=$(uname -r)
store=/var/lib/kpatch/$release


refusals() {
  echo text >/tmp/text.ko
  expect_exit 1 'is no livepatch' kpatch load "/lib/modules/$release/xt_comment.ko" &&
    expect_exit 1 'is no kernel module' kpatch load /tmp/text.ko &&
    expect_exit 1 "isn't installed" kpatch load nothing &&
    expect_exit 1 "isn't loaded" kpatch unload nothing &&
    sed "s/vermagic=$release/vermagic=9${release#?}/" $patch1 >/tmp/other.ko &&
    expect_exit 1 "is for 9${release#?}, and $release runs here" kpatch load /tmp/other.ko || return 1
  # Kernels with CONFIG_MODVERSIONS take modules of other releases, but not those of other kinds: its words are told.
  sed 's/ SMP / PMS /' $patch1 >/tmp/other.ko
  expect_exit 1 'kernel: .*version magic' kpatch load /tmp/other.ko && expect_exit 1 'no livepatch' kpatch status &&
    [ -z "$(ls /sys/kernel/livepatch)" ]
}

load_and_unload() {
  patched no && expect_exit 0 'livepatch_patch1 is in effect' kpatch load $patch1 && patched yes &&
    expect_exit 0 'loaded already' kpatch load $patch1 &&
    expect_exit 0 'livepatch_patch1 .enabled.' kpatch list && expect_exit 0 meminfo_proc_show kpatch status &&
    expect_exit 0 "$release/livepatch_patch1" kpatch uname &&
    expect_exit 0 '"state": "patched"' kpatch status --json &&
    expect_exit 0 'no transition' kpatch signal && expect_exit 1 'no transition' kpatch force &&
    expect_exit 0 'is unloaded' kpatch unload livepatch-patch1 && patched no &&
    ! in_memory livepatch_patch1 && expect_exit 1 'no livepatch' kpatch status
}

replace() {
  expect_exit 0 'is in effect' kpatch load $patch1 &&
    expect_exit 0 'in place of livepatch_patch1' kpatch load $patch2 && patched yes && ! in_memory livepatch_patch1 &&
    expect_exit 0 'in place of livepatch_patch2' kpatch load $patch1 && patched yes && ! in_memory livepatch_patch2 &&
    expect_exit 0 'is unloaded' kpatch unload --all && patched no && ! in_memory livepatch_patch1
}

fixes() {
  expect_exit 1 'not known to be fixed' kpatch status --cve CVE-2026-1000 &&
    expect_exit 0 'is in effect' kpatch load /target/livepatch-fixes.ko &&
    expect_exit 0 'cve-2026-1000: fixed by livepatch_fixes' kpatch status --cve cve-2026-1000 &&
    expect_exit 0 'fixed by' kpatch status --cve 0123456789ab --cve DSA-1 &&
    expect_exit 1 'CVE-2026-100: not known' kpatch status --cve CVE-2026-1000 --cve CVE-2026-100 &&
    expect_exit 0 'CVE-2026-1000, 0123456789abcdef0123, DSA-1' kpatch status && expect_exit 0 'is unloaded' kpatch unload --all
}

# A task that sleeps in the old function keeps the transition from ending, until the kernel wakes it after 15 seconds.
stalled() {
  sleep 300 &
  sleeper=$!
  sleep 0.5
  expect_exit 2 'is in hrtimer_nanosleep' kpatch load --wait 5 $sleep_patch && ! in_memory livepatch_sleep &&
    [ -z "$(ls /sys/kernel/livepatch)" ] && kill -0 $sleeper &&
    expect_exit 0 'is in effect' kpatch load --wait 90 $sleep_patch && kill -0 $sleeper &&
    expect_exit 0 'is unloaded' kpatch unload --wait 90 livepatch_sleep && ! in_memory livepatch_sleep
  result=$?
  kill $sleeper
  return $result
}

# Probes of who watches the old function, and ftrace turned off.
hooks() {
  trace=/sys/kernel/tracing
  expect_exit 0 'nothing is against it' kpatch check $patch1 || return 1
  # Where the second instruction is depends on what is in front of the call of ftrace.
  for at in 9 5; do ! echo "p:kprobes/body meminfo_proc_show+$at" >>$trace/kprobe_events 2>/dev/null || break; done
  echo 'p:kprobes/entry meminfo_proc_show' >>$trace/kprobe_events &&
    echo 1 >$trace/events/kprobes/enable && expect_exit 0 'goes blind .*meminfo_proc_show' kpatch check $patch1 &&
    expect_exit 0 'note .*probe at its entry' kpatch check $patch1 &&
    expect_exit 0 'sees nothing' kpatch load $patch1 && patched yes && expect_exit 0 'goes blind' kpatch check &&
    expect_exit 0 'is unloaded' kpatch unload --all
  result=$?
  echo 0 >$trace/events/kprobes/enable
  echo >$trace/kprobe_events
  [ $result -eq 0 ] || return 1
  echo 0 >/proc/sys/kernel/ftrace_enabled
  expect_exit 1 'ftrace is off' kpatch check $patch1 && expect_exit 1 'ftrace is off' kpatch load $patch1 &&
    expect_exit 1 'ftrace_enabled' kpatch load $patch1 && ! in_memory livepatch_patch1
  result=$?
  echo 1 >/proc/sys/kernel/ftrace_enabled
  sleep 300 &
  sleeper=$!
  sleep 0.5
  expect_exit 0 'sleeps in hrtimer_nanosleep' kpatch check $sleep_patch || result=1
  kill $sleeper
  expect_exit 0 'no livepatch is loaded' kpatch check && return $result
}

# Ten upgrades, one by the next, while others fork, read and sleep.
storm() {
  workers=
  for _ in 1 2 3; do
    while :; do sh -c 'cat /proc/meminfo >/dev/null; sleep 0.01'; done &
    workers="$workers $!"
  done
  expect_exit 0 'is in effect' kpatch load $patch1
  result=$?
  for _ in 1 2 3 4 5; do
    [ $result -ne 0 ] || { expect_exit 0 'in place of livepatch_patch1' kpatch load $patch2 && patched yes &&
      expect_exit 0 'in place of livepatch_patch2' kpatch load $patch1 && patched yes; } || result=1
  done
  # shellcheck disable=SC2086
  kill $workers
  expect_exit 0 'is unloaded' kpatch unload --all && patched no && return $result
}

# What ran before is put back when the command fails after the load, or the kernel warns while it is watched.
health() {
  expect_exit 0 'is in effect' kpatch load $patch1 &&
    expect_exit 1 "couldn't be put back" kpatch load --watch 2 $patch2 && ! in_memory livepatch_patch2 &&
    expect_exit 0 'is installed' kpatch install $patch1 && kpatch accept livepatch_patch1 >/dev/null &&
    expect_exit 1 "isn't loaded: the health command ended with 1" kpatch load --health false $patch2 &&
    expect_exit 2 'livepatch_patch1 is in effect again' kpatch load --health '! grep -q "^livepatch_patch2 " /proc/modules' \
      $patch2 && patched yes && ! in_memory livepatch_patch2 && [ ! -e "$store/livepatch_patch1.trial" ] || return 1
  (sleep 2 && echo '<3>INFO: task a:1 blocked for more than 120 seconds.' >/dev/kmsg) &
  expect_exit 2 'the kernel logged "INFO: task a:1 blocked for more than 120 seconds."; livepatch_patch1 is in effect again' \
    kpatch load --watch 1m $patch2 && ! in_memory livepatch_patch2 &&
    expect_exit 0 'nothing was amiss in 3 s' kpatch load --watch 3 --health 'grep -q livepatch_patch2 /proc/modules || :' \
      $patch2 && ! in_memory livepatch_patch1 && kpatch unload --all && kpatch uninstall livepatch_patch1 && patched no
}

at_boot() {
  expect_exit 0 'is installed' kpatch install $patch1 && expect_exit 2 "isn't in effect" kpatch status &&
    expect_exit 0 "livepatch_patch1 ($release)" kpatch list &&
    expect_exit 0 'is in effect' kpatch load --boot && patched yes && expect_exit 0 patched kpatch status &&
    expect_exit 0 'is accepted' kpatch accept && [ ! -e "$store/livepatch_patch1.trial" ] &&
    expect_exit 0 'is installed' kpatch install $patch2 && expect_exit 2 "livepatch_patch2, which isn't" kpatch status &&
    expect_exit 0 'in place of livepatch_patch1' kpatch load livepatch_patch2 && expect_exit 0 patched kpatch status &&
    expect_exit 0 'it stays loaded' kpatch uninstall livepatch-patch2 && kpatch uninstall livepatch_patch1 &&
    [ ! -e "$store" ] && kpatch unload --all
}

# The machine went down while a livepatch was on trial: another boot finds the mark.
crash_loop() {
  kpatch install $patch1 && kpatch load livepatch_patch1 && kpatch unload livepatch_patch1 || return 1
  echo "00000000-0000-0000-0000-000000000000 0 0" >"$store/livepatch_patch1.trial"
  expect_exit 1 'the machine went down' kpatch load --boot && patched no &&
    expect_exit 1 "isn't accepted" kpatch accept && expect_exit 0 'is accepted' kpatch accept --force livepatch_patch1 &&
    expect_exit 0 'is in effect' kpatch load --boot && patched yes && kpatch accept && kpatch unload --all &&
    kpatch uninstall livepatch_patch1
}

for chapter in refusals load_and_unload replace fixes storm stalled hooks health at_boot crash_loop; do
  chapter $chapter
done
