# A frame that carries its tag went to the real device so, which may not be able to compute checksums behind it.
# shellcheck shell=dash disable=SC2034
modules="veth 8021q"
setup() {
  ip link add outer0 type veth && ip link set outer0 up && ip link set veth0 up &&
    ip link add link outer0 name inner0 type vlan id 5 reorder_hdr off && ip link set inner0 up
}
cleanup() { ip link del outer0; }
probe() { ./send; }
