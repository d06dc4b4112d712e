# shellcheck shell=sh
# cpu_show_common() is cpu_show_common.constprop.0 in the kernel. No CPU of QEMU's has all of these bugs.
files=/sys/devices/system/cpu/vulnerabilities
old() { expect_not_in vulnerabilities 'says the livepatch' "$(cat $files/*)"; }
new() { expect_in vulnerabilities 'Not affected, says the livepatch' "$(cat $files/*)"; }
