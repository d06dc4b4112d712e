# Time spent at a frequency that isn't known was written before the table.
# shellcheck shell=dash disable=SC2034
