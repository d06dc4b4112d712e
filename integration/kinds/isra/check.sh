# shellcheck shell=sh
# do_sysinfo() is do_sysinfo.isra.0 in the kernel. procs prints the number of processes as sysinfo() tells it.
old() { [ "$(./procs)" -lt 1000 ] || fail "procs: $(./procs)"; }
new() { [ "$(./procs)" -ge 1000 ] || fail "procs: $(./procs)"; }
