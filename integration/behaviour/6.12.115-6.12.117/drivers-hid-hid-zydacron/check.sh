# A report of one byte was read as one of two.
# shellcheck shell=dash disable=SC2034
