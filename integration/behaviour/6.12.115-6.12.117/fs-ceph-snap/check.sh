# The sizes of two lists of snapshots could add up to 0, so that their place in the message was not looked at.
# shellcheck shell=dash disable=SC2034
complains=both # the fixed function says that the message is corrupt
