# Whom a message queue was to notify stayed with it when the queue went, if its process had shared its files.
# shellcheck shell=dash disable=SC2034
probe() { ./queue; }
