# shellcheck shell=sh
# do_task_stat() asks a static key of vmlinux, which is then switched while the livepatch is in place.
switch=/proc/sys/kernel/task_delayacct
[ -e $switch ] || switch=/proc/sys/kernel/sched_schedstats # before 5.14
old() { expect_not_in stat plain "$(cat /proc/1/stat)"; }
new() {
  expect_in stat ' plain' "$(cat /proc/1/stat)" || return 1
  echo 1 >$switch
  expect_in 'stat, key on' ' accounting' "$(cat /proc/1/stat)" || return 1
  echo 0 >$switch
  expect_in 'stat, key off again' ' plain' "$(cat /proc/1/stat)"
}
cleanup() { echo 0 >$switch; }
