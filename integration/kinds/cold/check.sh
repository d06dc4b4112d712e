# shellcheck shell=sh
# The message of drop_caches_sysctl_handler() is in its .cold part, where the compiler makes one (6.1). To be run before
# anything writes 4 to drop_caches, which silences it for good.
drop() {
  mark_dmesg
  echo 1 >/proc/sys/vm/drop_caches
}
old() { drop && expect_dmesg 'drop_caches: 1$' && no_dmesg livepatched; }
new() { drop && expect_dmesg 'drop_caches: 1, livepatched'; }
