# shellcheck shell=sh
# sysfs_emit() has a WARN() with a message, the patch adds a WARN_ON_ONCE(): neither may fire, both need their entries.
files=/sys/devices/system/cpu/vulnerabilities
old() { expect_not_in vulnerabilities livepatched "$(cat $files/*)"; }
new() { expect_in vulnerabilities livepatched "$(cat $files/*)"; }
