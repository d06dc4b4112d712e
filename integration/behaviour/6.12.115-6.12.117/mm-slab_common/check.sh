# A cache that was taken off the list just before all caches got their place in sysfs was taken out of there.
# shellcheck shell=dash disable=SC2034
