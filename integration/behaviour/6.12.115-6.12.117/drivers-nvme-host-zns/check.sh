# Zones were read out of a report beyond its end, when the device has more of them than it can tell at once.
# shellcheck shell=dash disable=SC2034
