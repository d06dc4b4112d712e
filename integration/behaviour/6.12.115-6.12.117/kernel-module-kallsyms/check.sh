# The size of a module's data symbol went up to the end of the module's code.
# shellcheck shell=dash disable=SC2034
