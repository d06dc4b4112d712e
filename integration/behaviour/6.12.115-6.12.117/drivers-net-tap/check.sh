# Who said that it takes large UDP packets (and no large TCP ones) didn't get any.
# shellcheck shell=dash disable=SC2034
modules="dummy macvtap"
setup() {
  ip link add lower0 type dummy && ip link set lower0 up && ip link add link lower0 name upper0 type macvtap &&
    ip link set upper0 up
}
cleanup() { ip link del lower0; }
probe() {
  ./offload "/dev/tap$(cat /sys/class/net/upper0/ifindex)" && cat /sys/module/behaviour_drivers_net_tap/parameters/verdict
  rmmod behaviour_drivers_net_tap
}
