# An interface that goes down in another network namespace stopped the server's interface of the same name.
# shellcheck shell=dash disable=SC2034
