#!/kpatch-try/busybox sh
# The guest's first process: loads a livepatch, and tells the host on the second serial port what came of it, a line each
# that begins with "@@". The kernel's messages go to the first one; "kpatch-try: phase NAME" parts them.
#
# /kpatch-try/plan sets: port; modules (files, in their order); ko; control (or empty); test (or empty); seconds;
# disk_modules (files, or empty); probe.
# shellcheck shell=dash disable=SC2154
here=/kpatch-try
busybox=$here/busybox
for folder in proc sys dev tmp run root bin $here/bin; do $busybox mkdir -p /${folder#/}; done
$busybox mount -t proc proc /proc
$busybox --install -s $here/bin
[ -e /bin/sh ] || $busybox ln -s $busybox /bin/sh
PATH=$here/bin
export PATH
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mount -t tmpfs tmp /tmp
mount -t debugfs debug /sys/kernel/debug 2>/dev/null
mount -t tracefs trace /sys/kernel/tracing 2>/dev/null
. $here/plan
klp=/sys/kernel/livepatch
out=/dev/$port
stty -F "$out" -opost 2>/dev/null
exec 3>"$out"
tell() { echo "@@ $*" >&3; }
# Nobody gets here twice: QEMU runs with -no-reboot.
end() {
  echo "kpatch-try: phase end" >/dev/kmsg
  tell "$1"
  sync
  sleep 0.2
  reboot -f
  sleep 60
}
phase() {
  echo "kpatch-try: phase $1" >/dev/kmsg
  tell "phase $1"
}
# Ends it: what comes behind would say nothing.
broken() {
  tell "broken $*"
  end end
}

[ -z "$probe" ] || end "phase probe"
phase guest
tell "release $(uname -r)"

add_modules() {
  for file in "$@"; do
    error=$(insmod "$file" 2>&1) && continue
    case $error in
      *'File exists'*) ;;
      *) tell "module ${file##*/} isn't loaded: ${error##*: }" ;;
    esac
  done
}
# shellcheck disable=SC2086
add_modules $modules

# The test's own world: the disk, where there is one, and else what the initramfs has.
world=
if [ -n "$disk_modules" ]; then
  # shellcheck disable=SC2086
  add_modules $disk_modules
  mkdir -p /disk
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ -z "$world" ] || break
    for device in /dev/vda[0-9]* /dev/vda; do
      [ -b "$device" ] && mount "$device" /disk 2>/dev/null || continue
      if [ -e /disk/bin/sh ] || [ -L /disk/bin/sh ]; then
        world=/disk
        break
      fi
      umount /disk
    done
    [ -n "$world" ] || sleep 0.5
  done
  [ -n "$world" ] || broken "no partition of the disk can be mounted and has /bin/sh"
  mount -t proc proc /disk/proc
  mount -t sysfs sys /disk/sys
  mount --bind /dev /disk/dev
  mount -t tmpfs tmp /disk/tmp
  cp "$test" /disk/tmp/kpatch-try-test 2>/dev/null
fi
ip link set lo up 2>/dev/null

# The test, in a shell of its own. Its output is shown, its exit status told.
run_test() {
  [ -n "$test" ] || return 0
  began=$(cut -d. -f1 /proc/uptime)
  (
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$here/bin
    cd /
    exec 3>&-
    if [ -n "$world" ]; then
      exec timeout -k 5 "$seconds" chroot /disk /bin/sh /tmp/kpatch-try-test
    fi
    exec timeout -k 5 "$seconds" sh "$test"
  ) </dev/null >/tmp/output 2>&1
  status=$?
  tail -n 100 /tmp/output | sed 's/^/| /' >&3
  tell "test $status"
  # By TERM or by KILL, and not before its time.
  case $status in
    143 | 137) [ $(($(cut -d. -f1 /proc/uptime) - began)) -lt "$seconds" ] || tell "stopped $seconds" ;;
  esac
}

# Tasks that still have to change over are woken with a stop and a continue, as `kpatch signal` does.
nudge() {
  for state in /proc/[0-9]*/task/[0-9]*/patch_state; do
    task=${state%/patch_state}
    task=${task##*/}
    case $task in "$$" | 1) continue ;; esac
    case $(cat "$state" 2>/dev/null) in
      -1 | '') ;;
      *) kill -STOP "$task" 2>/dev/null && kill -CONT "$task" 2>/dev/null ;;
    esac
  done
}
wait_transition() {
  tries=0
  while [ -e "$klp/$name/transition" ] && [ "$(cat "$klp/$name/transition" 2>/dev/null)" != 0 ]; do
    tries=$((tries + 1))
    if [ $tries -gt $((seconds * 5)) ]; then
      for state in /proc/[0-9]*/task/[0-9]*/patch_state; do
        case $(cat "$state" 2>/dev/null) in
          "$1") echo "| waits for $(cat "${state%/patch_state}/comm"): $(head -n 6 "${state%/patch_state}/stack" 2>/dev/null | tr '\n' ' ')" >&3 ;;
        esac
      done
      return 1
    fi
    [ $((tries % 15)) -ne 0 ] || nudge
    sleep 0.2
  done
}

# The directory that a livepatch gets is told by what is there afterwards: a file's name is nobody's.
load() {
  error=$(insmod "$1" 2>&1) || broken "insmod: ${error##*: }"
  name=$(ls $klp)
  [ -n "$name" ] || broken "it is loaded, but not in $klp"
  wait_transition 0 || broken "the transition didn't end within $seconds seconds"
  [ "$(cat "$klp/$name/enabled")" = 1 ] || broken "it is loaded, but not enabled"
}
unload() {
  echo 0 >"$klp/$name/enabled" || broken "it can't be disabled"
  wait_transition 1 || broken "the transition of the way back didn't end within $seconds seconds"
  tries=0
  while [ -e "$klp/$name" ] || ! rmmod "$name" 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -le 100 ] || broken "it is disabled, but can't be unloaded"
    sleep 0.1
  done
}
functions() {
  for path in "$klp/$name"/*/*,*; do
    [ -d "$path" ] || continue
    object=${path%/*}
    # Kernels before 6.1 have no such file.
    patched=$(cat "$object/patched" 2>/dev/null) || {
      patched=1
      [ "${object##*/}" = vmlinux ] || [ -d "/sys/module/${object##*/}" ] || patched=0
    }
    tell "function ${object##*/} ${path##*/} $patched"
  done
}
taint() { tell "taint $(cat /proc/sys/kernel/tainted)"; }

phase before
run_test
taint
phase load
load "$ko"
functions
taint
if [ -n "$test" ]; then
  phase after
  run_test
  taint
fi
phase unload
unload
taint
if [ -n "$test" ]; then
  phase unloaded
  run_test
fi
if [ -n "$control" ]; then
  phase control
  load "$control"
  run_test
  unload
fi
end end
