# What a task's list of rings takes was not charged to the task's memory group.
# shellcheck shell=dash disable=SC2034
probe() { ./ring && cat /sys/module/behaviour_io_uring_tctx/parameters/verdict && rmmod behaviour_io_uring_tctx; }
