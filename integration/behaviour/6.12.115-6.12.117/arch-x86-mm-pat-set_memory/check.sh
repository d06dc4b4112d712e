# Whether a page can be written to, as the page tables above it say, came out as "no" for all of them.
# shellcheck shell=dash disable=SC2034
