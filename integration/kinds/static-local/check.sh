# shellcheck shell=sh
# drop_caches_sysctl_handler() has a static variable, stfu: 4 once that was written. The new function must see the old
# one's variable, and leave it behind.
setup() { echo 4 >/proc/sys/vm/drop_caches; }
old() {
  mark_dmesg
  echo 1 >/proc/sys/vm/drop_caches
  no_dmesg 'drop_caches keeps quiet'
  no_dmesg 'drop_caches: 1'
}
new() {
  mark_dmesg
  echo 1 >/proc/sys/vm/drop_caches
  expect_dmesg 'drop_caches keeps quiet: 4' && no_dmesg 'drop_caches: 1'
}
