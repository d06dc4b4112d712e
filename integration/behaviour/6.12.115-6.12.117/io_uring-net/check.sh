# A connect of a socket that must not wait was tried again and again when the other side's queue was full.
# shellcheck shell=dash disable=SC2034
probe() {
  insmod behaviour_io_uring_net.ko && ./connect && cat /sys/module/behaviour_io_uring_net/parameters/seen
  rmmod behaviour_io_uring_net
}
