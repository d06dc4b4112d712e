# A policy namespace that is being freed (no references are left) was found by its name, and got one.
# shellcheck shell=dash disable=SC2034
complains=broken
