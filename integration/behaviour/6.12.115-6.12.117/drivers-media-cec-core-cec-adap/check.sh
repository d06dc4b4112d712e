# An adapter that gets another address told of the change once too often.
# shellcheck shell=dash disable=SC2034
