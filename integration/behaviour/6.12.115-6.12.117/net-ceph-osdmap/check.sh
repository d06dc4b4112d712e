# A crush map whose weights don't fit a bucket's size was taken.
# shellcheck shell=dash disable=SC2034
