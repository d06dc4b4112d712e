# An error behind the first extent was lost: the file seemed to have no more.
# shellcheck shell=dash disable=SC2034
