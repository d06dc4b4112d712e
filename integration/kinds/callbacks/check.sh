# shellcheck shell=sh
# Four callbacks for vmlinux, and four for a module of which no function changes; the module comes later.
called() { expect_dmesg "callback: $1"; }
not_called() { no_dmesg "callback: $1"; }
old() { expect_not_in version livepatched "$(cat /proc/version)"; }
sequence() {
  for module in iptable_filter ip_tables xt_comment x_tables; do
    ! grep -q "^$module " /proc/modules || rmmod $module || return 1
  done
  old && load_patch "$ko" || return 1
  called 'vmlinux pre_patch' && called 'vmlinux post_patch' && not_called '.*unpatch' && not_called x_tables || return 1
  modprobe x_tables || return 1
  called 'x_tables pre_patch' && called 'x_tables post_patch' && not_called '.*unpatch' || return 1
  expect_in version livepatched "$(cat /proc/version)" || return 1
  mark_dmesg
  disable_patch "$patch" || return 1
  called 'vmlinux pre_unpatch' && called 'vmlinux post_unpatch' && called 'x_tables pre_unpatch' &&
    called 'x_tables post_unpatch' && not_called '.*pre_patch' && unload_patch "$patch" && old
}
