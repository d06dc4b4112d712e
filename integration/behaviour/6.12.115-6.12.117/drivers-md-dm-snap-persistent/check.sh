# An error in place of a client stayed behind, and was given back as if it were one.
# shellcheck shell=dash disable=SC2034
