# A machine that fails in the middle of things. It boots twice: /dev/vda keeps what kpatch keeps. patch1 and patch2 replace
# meminfo_proc_show, sleep a function that tasks sleep in.
# shellcheck shell=sh
. /guest.sh

patch1=/faults/livepatch-patch1.ko
patch2=/faults/livepatch-patch2.ko
sleep_patch=/faults/livepatch-sleep.ko
release=$(uname -r)
for module in virtio_pci virtio_blk crc32c_generic ext4; do modprobe $module 2>/dev/null; done
mkdir -p /var/lib/kpatch /var/log/kpatch
mount -t ext4 /dev/vda /var/lib/kpatch || say "the disk can't be mounted"

# The state of the machine is told: one of the two patches, or none, and kpatch says which.
says() { expect_exit "$1" "$2" kpatch status; }

# Nothing is installed half; what runs stays.
full_disk() {
  kpatch load $patch1 >/dev/null && umount /var/lib/kpatch && mount -t tmpfs -o size=16k tmpfs /var/lib/kpatch || return 1
  expect_exit 1 'No space left' kpatch install $patch2 && [ -z "$(find /var/lib/kpatch -name '*.ko*' -size +0)" ] &&
    patched yes && says 0 livepatch_patch1 && mount -t tmpfs -o size=4k tmpfs /var/log/kpatch &&
    dd if=/dev/zero of=/var/log/kpatch/filled bs=4k count=1 2>/dev/null && expect_exit 0 "isn't logged" kpatch load $patch2 && in_memory livepatch_patch2 && patched yes &&
    expect_exit 0 'is unloaded' kpatch unload --all && patched no
  result=$?
  umount /var/log/kpatch 2>/dev/null
  umount /var/lib/kpatch
  mount -t ext4 /dev/vda /var/lib/kpatch
  return $result
}

# kpatch is killed while it waits: the transition goes on without it, status says so, and the next kpatch finds its way.
killed_in_transition() {
  sleep 300 &
  sleeper=$!
  sleep 0.5
  # Long enough for an emulator on a busy machine: it must be killed before it gives up.
  kpatch load --wait 600 $sleep_patch >/dev/null 2>&1 &
  loading=$!
  tries=0
  until [ "$(cat $klp/livepatch_sleep/transition 2>/dev/null)" = 1 ] || [ $tries -gt 100 ]; do
    tries=$((tries + 1))
    sleep 0.1
  done
  kill -KILL $loading
  expect_exit 0 'in transition' kpatch status && expect_exit 0 'hrtimer_nanosleep' kpatch status && kill $sleeper &&
    expect_exit 0 'loaded already\|is in effect' kpatch load --wait 60 $sleep_patch
  result=$?
  wait_transition livepatch_sleep && expect_exit 0 'is unloaded' kpatch unload --wait 60 --all && ! in_memory livepatch_sleep &&
    return $result
}

# Killed at any time of a load, twenty times: afterwards one of the two runs, or none, status says which, and a load succeeds.
killed_at_once() {
  for pause in 0 0.01 0.02 0.03 0.05 0.08 0.1 0.15 0.2 0.3 0 0.01 0.02 0.03 0.05 0.08 0.1 0.15 0.2 0.3; do
    kpatch load $patch1 >/dev/null 2>&1 &
    loading=$!
    sleep $pause
    kill -KILL $loading 2>/dev/null
    wait $loading 2>/dev/null
    if in_memory livepatch_patch1; then
      wait_transition livepatch_patch1 && says 0 livepatch_patch1 && patched yes || return 1
    else
      says 1 'no livepatch' && patched no || return 1
    fi
    expect_exit 0 'is in effect\|loaded already' kpatch load $patch1 && patched yes && kpatch unload --all >/dev/null || return 1
  done
  patched no
}

# timed NAME KO: a load, its time, and how many tasks slept in what it replaces just before.
timed() {
  sleepers=$(kpatch check --json "$2" | grep -c '"tid"')
  kpatch load --json --wait 60 "$2" >/tmp/load || { fail "$(cat /tmp/load)"; return 1; }
  say "@@ load $1 $(sed -n 's/.*"seconds": *\([0-9.e-]*\).*/\1/p' /tmp/load) $sleepers"
}
hundred_loads() {
  workers=
  for length in 0.05 0.3 1; do
    while :; do sleep $length; cat /proc/meminfo >/dev/null; done &
    workers="$workers $!"
  done
  count=0
  result=0
  while [ $count -lt "$(cat /loads)" ] && [ $result = 0 ]; do
    count=$((count + 4))
    timed nobody-sleeps-there $patch1 && timed nobody-sleeps-there $patch2 && kpatch unload --all >/dev/null &&
      timed tasks-sleep-there $sleep_patch && kpatch unload --wait 60 --all >/dev/null &&
      timed tasks-sleep-there $sleep_patch && kpatch unload --wait 60 --all >/dev/null || result=1
  done
  # shellcheck disable=SC2086
  kill $workers
  return $result
}

# The second boot: it was on trial when the power went, and isn't loaded; the file is whole; somebody decides.
power_was_lost() {
  [ -e "/var/lib/kpatch/$release/livepatch_sleep.trial" ] || fail "no trial: $(ls "/var/lib/kpatch/$release")" || return 1
  installed=$(find "/var/lib/kpatch/$release" -name '*.ko')
  [ "$(sha256sum <"$installed")" = "$(sha256sum <$sleep_patch)" ] || fail "the installed file is another" || return 1
  expect_exit 1 'the machine went down' kpatch load --boot && ! in_memory livepatch_sleep && says 2 "isn't in effect" &&
    expect_exit 0 'is accepted' kpatch accept --force livepatch_sleep && expect_exit 0 'is in effect' kpatch load --boot &&
    says 0 patched && expect_exit 0 'is accepted' kpatch accept
}

if [ -e /var/lib/kpatch/second ]; then
  chapter power_was_lost
  exit
fi
for chapter in full_disk killed_in_transition killed_at_once hundred_loads; do
  chapter $chapter
done
touch /var/lib/kpatch/second
kpatch install $sleep_patch
sync
sleep 300 &
sleep 0.5
kpatch load --wait 100 livepatch_sleep &
until [ "$(cat $klp/livepatch_sleep/transition 2>/dev/null)" = 1 ]; do sleep 0.1; done
say "@@ cut"
sleep 60
