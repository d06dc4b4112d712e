# The header that a multicast router is told of had bytes in it that were whatever was in memory.
# shellcheck shell=dash disable=SC2034
modules="dummy"
setup() { ip link add router0 type dummy && ip link set router0 up && ip addr add 10.9.0.1/24 dev router0; }
cleanup() { ip link del router0; }
probe() { ./router; }
