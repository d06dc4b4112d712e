# The victim of an out-of-memory kill that the reaper has done with still tried to reclaim when it wanted more memory.
# shellcheck shell=dash disable=SC2034
setup() {
  mkdir -p /tmp/groups && mount -t cgroup2 none /tmp/groups || return 1
  echo +memory >/tmp/groups/cgroup.subtree_control && mkdir /tmp/groups/small && echo 4M >/tmp/groups/small/memory.max
}
cleanup() { rmdir /tmp/groups/small && umount /tmp/groups; }
# The module charges the group of the one that loads it.
probe() {
  sh -c 'echo $$ >/tmp/groups/small/cgroup.procs; insmod ./behaviour_mm_memcontrol.ko'
  cat /sys/module/behaviour_mm_memcontrol/parameters/verdict
  rmmod behaviour_mm_memcontrol
}
