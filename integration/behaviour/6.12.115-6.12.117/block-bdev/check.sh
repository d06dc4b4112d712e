# A block device file with the number 0:0, which no driver has, was found as a device.
# shellcheck shell=dash disable=SC2034
setup() { mknod /tmp/nobody b 0 0 && mknod /tmp/somebody b 7 0; }
cleanup() { rm /tmp/nobody /tmp/somebody; }
