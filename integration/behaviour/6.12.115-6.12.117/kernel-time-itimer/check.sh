# A CPU timer that is to fire this moment had 0 left, which says that it isn't armed.
# shellcheck shell=dash disable=SC2034
