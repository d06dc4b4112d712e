# The error of one program's registration was lost when the next one could be registered.
# shellcheck shell=dash disable=SC2034
