# A module whose table of section names isn't one of strings was taken.
# shellcheck shell=dash disable=SC2034
probe() { ./torn behaviour_kernel_module_main.ko; }
