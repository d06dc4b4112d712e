# A new namespace that failed halfway kept its mount of mqueue.
# shellcheck shell=dash disable=SC2034
