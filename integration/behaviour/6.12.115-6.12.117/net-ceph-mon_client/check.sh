# A client without a single monitor was set up.
# shellcheck shell=dash disable=SC2034
modules="libceph"
