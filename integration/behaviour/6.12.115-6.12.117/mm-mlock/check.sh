# The number of pages of a locked mapping was kept in an int: 8 TiB and more counted as less than nothing.
# shellcheck shell=dash disable=SC2034
probe() { ./lock; }
