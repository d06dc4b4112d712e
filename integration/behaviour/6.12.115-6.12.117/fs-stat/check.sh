# File systems without fs-verity didn't say that they know of it.
# shellcheck shell=dash disable=SC2034
probe() { ./ask; }
