# A supervisor whose "add this file and answer with it" was interrupted could never answer that call again.
# shellcheck shell=dash disable=SC2034
probe() { ./supervise; }
