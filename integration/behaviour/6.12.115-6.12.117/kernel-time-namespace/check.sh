# A time behind the end of the host's clock wrapped around to one that is long over.
# shellcheck shell=dash disable=SC2034
