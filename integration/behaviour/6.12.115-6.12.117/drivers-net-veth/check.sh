# The other end's largest packet stayed as it was when its program was replaced by one that takes packets in parts.
# shellcheck shell=dash disable=SC2034
modules="veth"
setup() { ip link add left0 type veth && ip link set veth0 name right0; }
cleanup() { ip link del left0; }
probe() { ./replace; }
