# The limit of a compressed cluster was counted in the device's blocks, in place of those of the file system.
# shellcheck shell=dash disable=SC2034
