# Interrupts that could not be set up to their end were not given back to their domain.
# shellcheck shell=dash disable=SC2034
