# The timer of a connection's sign of life went to the queue of all, not to that of work that is bound to its processor.
# shellcheck shell=dash disable=SC2034
