# A place in the ring that the modem had set beyond its end was written to.
# shellcheck shell=dash disable=SC2034
