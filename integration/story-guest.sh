# The story, in the guest: patch1 changes vmlinux, patch2 the same and the module xt_comment. Loaded, replaced, disabled,
# unloaded and loaded again, with the module there before the livepatch and after it.
# shellcheck shell=sh
. /guest.sh

patch1=/story/livepatch-patch1.ko
patch2=/story/livepatch-patch2.ko
name1=livepatch_patch1
name2=livepatch_patch2

add_module() { modprobe xt_comment && modprobe iptable_filter && iptables -A INPUT -i lo -m comment --comment story; }
drop_module() {
  iptables -F INPUT 2>/dev/null
  for module in iptable_filter xt_comment; do
    ! grep -q "^$module " /proc/modules || rmmod $module || return 1
  done
}

# patched yes|no, module_patched yes|no: what a read of /proc/meminfo and a real packet say in dmesg.
module_patched() {
  mark_dmesg
  ping -c 1 -W 2 127.0.0.1 >/dev/null || fail 'no ping' || return 1
  if [ "$1" = yes ]; then expect_dmesg 'comment_mt: livepatched'; else no_dmesg 'comment_mt: livepatched'; fi
}
# A livepatch that was replaced leaves sysfs a moment after the transition.
replaced() {
  tries=0
  while [ -e "$klp/$1" ]; do
    tries=$((tries + 1))
    [ $tries -le 50 ] || fail "$1 is still there" || return 1
    sleep 0.1
  done
}
remove() { disable_patch "$1" && unload_patch "$1"; }

one_patch() {
  patched no && load_patch $patch1 && patched yes && disable_patch $name1 && patched no &&
    unload_patch $name1 && patched no && load_patch $patch1 && patched yes && remove $name1
}

module_before() {
  add_module && module_patched no && load_patch $patch2 && patched yes && module_patched yes &&
    disable_patch $name2 && patched no && module_patched no && unload_patch $name2 && module_patched no &&
    load_patch $patch2 && module_patched yes && drop_module && patched yes && remove $name2
}

module_after() {
  load_patch $patch2 && patched yes && add_module && module_patched yes && drop_module &&
    add_module && module_patched yes && disable_patch $name2 && module_patched no && drop_module &&
    unload_patch $name2 && add_module && module_patched no && drop_module
}

replace() {
  add_module && load_patch $patch1 && patched yes && module_patched no &&
    load_patch $patch2 && replaced $name1 && patched yes && module_patched yes &&
    unload_patch $name1 && patched yes && module_patched yes && remove $name2 &&
    patched no && module_patched no && drop_module
}

replace_before_module() {
  load_patch $patch1 && load_patch $patch2 && replaced $name1 && add_module && patched yes &&
    module_patched yes && unload_patch $name1 && remove $name2 && module_patched no && drop_module
}

back_and_forth() {
  add_module || return 1
  for round in 1 2; do
    load_patch $patch2 && module_patched yes && load_patch $patch1 && replaced $name2 && patched yes &&
      module_patched no && unload_patch $name2 && load_patch $patch2 && replaced $name1 && module_patched yes &&
      unload_patch $name1 && remove $name2 || fail "(round $round)" || return 1
  done
  drop_module
}

ip link set lo up
for chapter in one_patch module_before module_after replace replace_before_module back_and_forth; do
  chapter $chapter
done
