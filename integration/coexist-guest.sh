# The code that runs against what was shipped, and who else hooks what a livepatch replaces. patch1 replaces
# meminfo_proc_show, patch2 that and a function of a module, umount a function that BPF programs may decide about.
# shellcheck shell=sh
. /guest.sh

patch1=/coexist/livepatch-patch1.ko
umount=/coexist/livepatch-umount.ko
trace=/sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf 2>/dev/null || { mkdir -p /bpf && mount -t bpf bpf /bpf; }
pins=/sys/fs/bpf
[ -d $pins ] || pins=/bpf

# And says so.
loads_and_unloads() {
  expect_exit 0 "is in effect" kpatch load $patch1 && mark_dmesg && cat /proc/meminfo >/dev/null &&
    expect_dmesg 'meminfo_proc_show: livepatched' && expect_exit 0 'is unloaded' kpatch unload --all
}

# Each function of the kernel that can be patched is the shipped one, though the kernel has written to many.
every_function() {
  kpatch check --json /coexist/every.ko >/tmp/every
  grep -q '"bearing": "other code"' /tmp/every && {
    fail "$(grep -c '"bearing": "other code"' /tmp/every) functions differ: $(grep -A 3 '"bearing": "other code"' /tmp/every | grep -e '"function"' -e '"what"' | head -n 30)"
    return 1
  }
  grep -q '"bearing": "not known"' /tmp/every && { fail "$(grep '"what"' /tmp/every | head -n 5)"; return 1; }
  grep -q '"module": "livepatch_patch1"' /tmp/every || fail "check says nothing: $(head -n 5 /tmp/every)"
}
own_function() { expect_exit 0 'nothing is against it' kpatch check $patch1 && loads_and_unloads; }

# The kernel's text really is another: a probe has written to it. Where debugfs doesn't list it, nobody else tells.
changed_code() {
  for at in 9 5 12 16; do ! echo "p:kprobes/body meminfo_proc_show+$at" >>$trace/kprobe_events 2>/dev/null || break; done
  echo 1 >$trace/events/kprobes/enable
  expect_exit 0 'goes blind .*meminfo_proc_show' kpatch check $patch1 &&
    umount /sys/kernel/debug &&
    expect_exit 1 "other code  *meminfo_proc_show isn't the function that was shipped: .* first at +0x" kpatch check $patch1 &&
    expect_exit 1 "what it replaces isn't what was shipped" kpatch load $patch1 && [ -z "$(ls $klp)" ] &&
    expect_exit 0 'is in effect' kpatch load --force $patch1 && kpatch unload --all >/dev/null
  result=$?
  mount -t debugfs debug /sys/kernel/debug 2>/dev/null
  echo 0 >$trace/events/kprobes/enable
  echo >$trace/kprobe_events
  [ $result -eq 0 ] && expect_exit 0 'nothing is against it' kpatch check $patch1
}

no_kcore() {
  mount -o bind /dev/null /proc/kcore
  expect_exit 2 "not known .*the code that runs can't be compared: /proc/kcore can't be read" kpatch check $patch1 &&
    loads_and_unloads
  result=$?
  umount /proc/kcore
  return $result
}
damaged_note() { expect_exit 2 'is damaged' kpatch check /coexist/damaged.ko; }

probes() {
  echo 'p:kprobes/entry meminfo_proc_show' >>$trace/kprobe_events
  echo 'r:kprobes/return meminfo_proc_show' >>$trace/kprobe_events
  echo 1 >$trace/events/kprobes/enable
  expect_exit 0 'note .*probe at its entry or return' kpatch check $patch1 && loads_and_unloads
  result=$?
  echo 0 >$trace/events/kprobes/enable
  echo >$trace/kprobe_events
  return $result
}

tracers() {
  echo meminfo_proc_show >$trace/set_ftrace_filter
  grep -qw function $trace/available_tracers || { say "this kernel has no function tracer"; return; }
  echo function >$trace/current_tracer || fail "the tracer can't be started" || return 1
  grep -q '^meminfo_proc_show' $trace/enabled_functions || fail "not traced: $(cat $trace/current_tracer $trace/set_ftrace_filter $trace/enabled_functions)"
  expect_exit 0 'note .*is traced' kpatch check $patch1 && loads_and_unloads
  result=$?
  echo function_graph >$trace/current_tracer
  [ $result -eq 0 ] && expect_exit 0 'nothing is against it' kpatch check $patch1 && loads_and_unloads
  result=$?
  echo nop >$trace/current_tracer
  echo >$trace/set_ftrace_filter
  return $result
}

# hook KIND FUNCTION [VALUE]: nobody holds the program open: the file alone keeps it.
hook() { /bpf-hook "$1" "$2" $pins/hook "${3:-0}" || fail "the program can't be attached"; }
unhook() {
  rm -f $pins/hook
  sleep 1
}
# hooked KIND FUNCTION WORD: a BPF program is there, kpatch says so, and both work.
hooked() {
  hook "$1" "$2" && expect_exit 0 "$3" kpatch check $patch1 && loads_and_unloads
  result=$?
  unhook
  return $result
}
bpf_entry() { hooked entry meminfo_proc_show 'note .*BPF program .*(when it begins): looks_on, program'; }
bpf_exit() { hooked exit meminfo_proc_show 'note .*(when it ends): looks_on'; }
bpf_lsm() { hooked lsm bpf_lsm_sb_mount 'nothing is against it'; }

# unmounts ok|fails new|old: how umount(2) ends, and whether the function of the livepatch ran for it.
unmounts() {
  mkdir -p /mnt && mount -t tmpfs tmpfs /mnt || fail "nothing can be mounted" || return 1
  mark_dmesg
  ended=fails
  ! umount /mnt 2>/dev/null || ended=ok
  expect_eq "umount" "$1" $ended || return 1
  if [ "$2" = new ]; then expect_dmesg 'security_sb_umount: livepatched'; else no_dmesg 'security_sb_umount: livepatched'; fi
}
decides='may suppress .*security_sb_umount has a BPF program (fmod_ret) that decides .*: looks_on'

# Before the load: no load, unless it is forced. A program that says no keeps the new function from running, though it is
# younger, and the kernel says nothing of it; one that says 0 lets it run. Neither harms other livepatches.
bpf_modify() {
  hook modify security_sb_umount -1 && expect_exit 1 "$decides" kpatch check $umount &&
    expect_exit 1 'something else hooks' kpatch load $umount && ! in_memory livepatch_umount && unmounts fails old &&
    expect_exit 0 'nothing is against it' kpatch check $patch1 && loads_and_unloads &&
    expect_exit 0 'is in effect' kpatch load --force $umount && unmounts fails old && expect_exit 1 "$decides" kpatch check
  result=$?
  unhook
  [ $result -eq 0 ] && unmounts ok new && expect_exit 0 'nothing is against it' kpatch check
  result=$?
  kpatch unload --all >/dev/null
  return $result
}
# Beside a livepatch that is in effect.
bpf_modify_loaded() {
  expect_exit 0 'is in effect' kpatch load $umount && unmounts ok new && hook modify security_sb_umount -1 && unmounts fails old &&
    expect_exit 1 "$decides" kpatch check
  result=$?
  unhook
  [ $result -eq 0 ] && unmounts ok new && hook modify security_sb_umount 0 && unmounts ok new && expect_exit 1 "$decides" kpatch check
  result=$?
  unhook
  kpatch unload --all >/dev/null
  return $result
}

older_livepatch() {
  expect_exit 0 'is in effect' kpatch load $patch1 && expect_exit 0 'nothing is against it' kpatch check /coexist/livepatch-patch2.ko &&
    expect_exit 0 'in place of livepatch_patch1' kpatch load /coexist/livepatch-patch2.ko && kpatch unload --all >/dev/null
}

for chapter in every_function own_function changed_code no_kcore damaged_note probes tracers bpf_entry bpf_exit bpf_modify \
  bpf_modify_loaded bpf_lsm older_livepatch; do
  chapter $chapter
done
