# A lease break on a connection that is going away took a reference of it, as if it were alive.
# shellcheck shell=dash disable=SC2034
