#!/bin/sh
# The guest's first process: mounts what a test needs, runs /run.sh with its output on the second serial port (the
# first one is the console, with the kernel's messages), and ends QEMU.
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mount -t tmpfs tmp /tmp
mount -t debugfs debug /sys/kernel/debug 2>/dev/null
mount -t tracefs trace /sys/kernel/tracing 2>/dev/null
out=/dev/ttyS1
[ -c $out ] || out=/dev/console
stty -F $out -opost 2>/dev/null
export PATH=/bin:/sbin:/usr/sbin
if [ -e /run.sh ]; then
  sh /run.sh >$out 2>&1 </dev/null
fi
echo "@@ end" >$out
sync
sleep 0.2
# Not poweroff, which takes ACPI. QEMU runs with -no-reboot.
reboot -f
