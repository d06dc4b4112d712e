# Memory for a descriptor was taken by a size that is smaller than any descriptor.
# shellcheck shell=dash disable=SC2034
