#!/usr/bin/env bats
# What kpatch-build does with input that it can't use: one clear message that names the thing, exit 1 (2 where the
# change can't be patched, 3 where there is none), nothing half-written, and the source as it was.

bats_require_minimum_version 1.5.0

load bad-input.bash

# shellcheck disable=SC2016,SC1003
odd_name=$'my (linux) & source; <*?> $x \'y\' "z" %s:\\t ü\nend'

setup() {
  stock_inputs
  out=$BATS_TEST_TMPDIR/out
  use_cache "$BATS_FILE_TMPDIR/cache"
  export TMPDIR=$BATS_TEST_TMPDIR/tmp
  mkdir -p "$TMPDIR"
  patch=$BATS_TEST_TMPDIR/fix.patch
  good_patch "$patch"
  [ -e "$BATS_FILE_TMPDIR/source-digest" ] || tree_digest "$source" >"$BATS_FILE_TMPDIR/source-digest"
}

teardown() {
  for mounted in "$BATS_TEST_TMPDIR/small" "$BATS_TEST_TMPDIR/$odd_name"; do
    ! mountpoint -q "$mounted" || umount -l "$mounted"
  done
}

# --- the patch -------------------------------------------------------------------------------------------------

@test "the good inputs build" {
  build "$patch"
  [ "$status" -eq 0 ]
  [ -s "$out/livepatch-fix.ko" ]
}

@test "no patch named" {
  build
  refused 1 'patch'
}

@test "no patch file" {
  build "$BATS_TEST_TMPDIR/absent.patch"
  refused 1 'absent\.patch' 'no such'
}

@test "a directory for a patch" {
  mkdir "$BATS_TEST_TMPDIR/dir.patch"
  build "$BATS_TEST_TMPDIR/dir.patch"
  refused 1 'dir\.patch' 'directory'
}

@test "an unknown option" {
  build --no-such-option "$patch"
  refused 1 'no-such-option'
}

@test "a patch that does not apply: which hunk" {
  sed -i 's/si_meminfo(&i);/si_something_else(\&i);/' "$patch"
  build "$patch"
  refused 1 'fs/proc/meminfo\.c' 'hunk #?1' 'not apply'
}

@test "of two hunks, the one that does not apply" {
  change fs/proc/meminfo.c 's/^\tsi_meminfo\(&i\);/\tbarrier();\n&/; s/^\tarch_report_meminfo\(m\);/\tbarrier();\n&/' >"$patch"
  [ "$(grep -c '^@@' "$patch")" -eq 2 ]
  sed -i 's/arch_report_meminfo(m);/arch_report_other(m);/' "$patch"
  build "$patch"
  refused 1 'fs/proc/meminfo\.c' 'hunk #?2'
}

@test "a patch that is already applied" {
  # the way back from a change: what it takes away isn't in the source, what it adds is
  change fs/proc/meminfo.c 's/^\tsi_meminfo\(&i\);/\tbarrier();\n&/' reverse >"$patch"
  build "$patch"
  refused 1 'fs/proc/meminfo\.c' 'already applied'
}

@test "a patch of a file that isn't there" {
  sed -i 's,fs/proc/meminfo\.c,fs/proc/nothing.c,' "$patch"
  build "$patch"
  refused 1 'fs/proc/nothing\.c'
}

@test "a patch pasted with spaces for tabs" {
  expand -t 8 "$patch" >"$patch.spaces"
  mv "$patch.spaces" "$patch"
  build "$patch"
  refused 1 'spaces' 'tab'
}

@test "an empty patch" {
  : >"$patch"
  build "$patch"
  refused 1 'fix\.patch' 'empty|no change'
}

@test "a patch file without a patch in it" {
  echo 'Dear list, the fix is attached.' >"$patch"
  build "$patch"
  refused 1 'fix\.patch'
}

@test "a patch that is cut off" {
  head -n 7 "$patch" >"$patch.cut"
  mv "$patch.cut" "$patch"
  build "$patch"
  refused 1 'fix\.patch|fs/proc/meminfo\.c'
}

@test "a patch that leaves the source tree" {
  sed -i 's,fs/proc/meminfo\.c,../../outside.c,' "$patch"
  build "$patch"
  refused 1 'outside\.c'
  [ ! -e "$BATS_TEST_TMPDIR/outside.c" ]
}

@test "a patch of a file that the config does not build" {
  change fs/jfs/jfs_umount.c 's/^int jfs_umount\(.*/&\n/' >"$patch"
  sed -i 's/^+$/+\/\/ changed/' "$patch"
  build "$patch"
  refused 2 'fs/jfs/jfs_umount\.c' 'config'
}

@test "a module that the kernel doesn't have" {
  cat >"$patch" <<'END'
--- a/net/netfilter/Makefile
+++ b/net/netfilter/Makefile
@@ -1,2 +1,3 @@
 # SPDX-License-Identifier: GPL-2.0
+obj-m += nf_quirk.o
 netfilter-objs := core.o nf_log.o nf_queue.o nf_sockopt.o utils.o
--- /dev/null
+++ b/net/netfilter/nf_quirk.c
@@ -0,0 +1,2 @@
+#include <linux/module.h>
+MODULE_LICENSE("GPL");
END
  build "$patch"
  refused 2 'nf_quirk\.ko' new-module
}

@test "of two files, one that the config does not build" {
  change fs/jfs/jfs_umount.c 's/^int jfs_umount\(.*/int jfs_unused;\n&/' >>"$patch"
  build "$patch"
  [ "$status" -eq 0 ]
  grep -qE 'fs/jfs/jfs_umount\.c: warning: the config does not build this file \(CONFIG_JFS_FS' <<<"$stderr"
  grep -q meminfo_proc_show <<<"$output$stderr"
  rm -r "$out"
}

# One export of fs/mbcache.c changes, and what else a test asks for.
mbcache() {
  change fs/mbcache.c "s/^\tset_bit\(MBE_REFERENCED_B, .*/&\n\tcpu_relax();/; ${1-}" >"$patch"
}

@test "a struct that exports lead to grows: their versions by the kernel's own generator" {
  mbcache
  change include/linux/mbcache.h 's/^\tu64\s+e_value;/&\n\tu64 e_more;/' >>"$patch"
  build "$patch"
  [ "$status" -eq 2 ]
  grep -qE 'fs/mbcache\.c: error: __mb_cache_entry_free: is exported, and its version changes from 0x[0-9a-f]{8} to 0x[0-9a-f]{8}, by struct mb_cache_entry \(gains e_more at 56; grows from 56 to 64 bytes\).*\[export\]' <<<"$stderr"
  grep -qE 'include/linux/mbcache\.h:[0-9]+: error: struct mb_cache_entry: changes its layout: .*\[data-layout\]' <<<"$stderr"
  ! grep -q 'export-versions' <<<"$stderr" || return 1
  nothing_written
}

@test "a struct of the file's own grows: opaque to modules, their versions stay" {
  mbcache 's/^\tstruct shrinker\s+\*c_shrink;/&\n\tint c_more[16];/'
  build "$patch"
  refused 2 'fs/mbcache\.c:[0-9]+: error: struct mb_cache: changes its layout: .*\[data-layout\]'
}

@test "exports of a patched file keep their versions: nothing is said" {
  mbcache
  build "$patch"
  [ "$status" -eq 0 ]
  ! grep -q 'export' <<<"$stderr" || return 1
  rm -r "$out"
}

@test "a patch with no functional change" {
  change fs/proc/meminfo.c 's/^static int meminfo_proc_show/\/* what free(1) reads *\/\n&/' >"$patch"
  build "$patch"
  [ "$status" -eq 3 ]
  grep -qi 'no functional change' <<<"$output$stderr"
  nothing_written
}

@test "a patch that only adds a function which nobody calls" {
  change fs/proc/meminfo.c 's/^static int meminfo_proc_show/int nobody_calls_it(int x);\nint nobody_calls_it(int x)\n{\n\treturn x + 1;\n}\n\n&/' >"$patch"
  build "$patch"
  [ "$status" -eq 3 ]
  grep -qi 'no functional change: the patch adds functions' <<<"$output$stderr"
  nothing_written
}

@test "a patch that moves lines alone" {
  change fs/proc/meminfo.c 's/^\tsi_meminfo\(&i\);/\n\n&/' >"$patch"
  build "$patch"
  [ "$status" -eq 3 ]
  nothing_written
}

@test "a compile error in the patched file: the compiler's message with the patch's file and line" {
  change fs/proc/meminfo.c 's/^\tsi_meminfo\(&i\);/\tthis_is_no_function(\&no_variable);\n&/' >"$patch"
  line=$(grep -n 'si_meminfo(&i);' "$source/fs/proc/meminfo.c" | cut -d: -f1)
  build "$patch"
  [ "$status" -eq 1 ]
  grep -qE "(^|[^/a-z])fs/proc/meminfo\.c:$line:.*error: .*no_variable" <<<"$stderr"
  nothing_written
}

@test "a patch out of a pipe" {
  build -n livepatch-fix <(cat "$patch")
  [ "$status" -eq 0 ]
  [ -s "$out/livepatch-fix.ko" ]
}

@test "a hunk whose text stands in another function than it names" {
  sed -i 's/^@@.*@@.*/& static int somewhere_else(void)/' "$patch"
  build "$patch"
  refused 1 "belongs to 'static int somewhere_else" 'meminfo_proc_show'
}

# --- what the options ask for ------------------------------------------------------------------------------------

@test "a cache that is somebody's home folder: nothing in it is touched" {
  home=$BATS_TEST_TMPDIR/home
  mkdir -p "$home/work/kernel" "$home/base/notes"
  echo mine | tee "$home/.profile" "$home/work/kernel/a" >"$home/base/notes/b"
  before=$(tree_digest "$home")
  KPATCH_CACHE=$home build "$patch"
  refused 1 "$home is no cache" 'KPATCH_CACHE'
  [ "$(tree_digest "$home")" = "$before" ]
  KPATCH_CACHE=$home run -1 "$kpatch_build" --cache drop
  [ "$(tree_digest "$home")" = "$before" ]
}

@test "a report that can't be written is told before the work" {
  build --report "$BATS_TEST_TMPDIR/absent/report.json" "$patch"
  refused 1 'absent/report\.json'
  ! grep -q '^preparing' <<<"$output"
}

@test "the name of a module that the kernel has" {
  build -n xt_comment "$patch"
  refused 1 'net/netfilter/xt_comment'
  build -n vmlinux "$patch"
  refused 1 'vmlinux'
}

# --- the config -----------------------------------------------------------------------------------------------

without_option() {
  sed -E "s/^CONFIG_($1)=.*/# CONFIG_\1 is not set/" "$config" >"$BATS_TEST_TMPDIR/config"
  use_config=$BATS_TEST_TMPDIR/config build "$patch"
}

@test "no config file" {
  use_config=$BATS_TEST_TMPDIR/absent.config build "$patch"
  refused 1 'absent\.config'
}

@test "a config without LIVEPATCH" {
  without_option LIVEPATCH
  refused 1 'CONFIG_LIVEPATCH'
}

@test "a config without KALLSYMS_ALL" {
  without_option KALLSYMS_ALL
  refused 1 'CONFIG_KALLSYMS_ALL'
}

@test "a config without DEBUG_INFO" {
  without_option 'DEBUG_INFO|DEBUG_INFO_DWARF5|DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT'
  refused 1 'CONFIG_DEBUG_INFO'
}

@test "a config of a kernel that is not this one" {
  echo 'this is no config' >"$BATS_TEST_TMPDIR/config"
  use_config=$BATS_TEST_TMPDIR/config build "$patch"
  refused 1 'config'
}

# --- source and compiler -----------------------------------------------------------------------------------------

@test "no source" {
  use_source=$BATS_TEST_TMPDIR/absent build "$patch"
  refused 1 'absent'
}

@test "a directory that holds no kernel source" {
  mkdir "$BATS_TEST_TMPDIR/not-a-kernel"
  use_source=$BATS_TEST_TMPDIR/not-a-kernel build "$patch"
  refused 1 'not-a-kernel'
}

@test "a source of another version than vmlinux" {
  other=$BATS_TEST_TMPDIR/other
  mkdir -p "$other/fs/proc"
  cp "$source"/{Kbuild,Kconfig} "$other/"
  cp "$source/fs/proc/meminfo.c" "$other/fs/proc/"
  sed -E 's/^PATCHLEVEL = .*/PATCHLEVEL = 11/' "$source/Makefile" >"$other/Makefile"
  use_source=$other build "$patch"
  refused 1 '6\.11' '6\.12'
  # Of the same series: only vmlinux tells. Nothing is copied before that.
  sed -E 's/^SUBLEVEL = .*/SUBLEVEL = 3/' "$source/Makefile" >"$other/Makefile"
  mkdir -p "$other/kernel"
  use_source=$other build "$patch"
  refused 1 '6\.12\.3' "the source is not the kernel's"
  ! grep -q '^the source: copied' <<<"$output$stderr"
}

# A compiler that calls itself another one, in front of this machine's.
other_compiler() {
  local name
  mkdir "$BATS_TEST_TMPDIR/bin"
  for name in gcc gcc-12 x86_64-linux-gnu-gcc x86_64-linux-gnu-gcc-12; do
    cat >"$BATS_TEST_TMPDIR/bin/$name" <<'SH'
#!/bin/sh
case "$*" in
  --version) echo 'gcc (Debian 11.3.0-12) 11.3.0' ;;
  -dumpversion | -dumpfullversion) echo 11.3.0 ;;
  *) exec /usr/bin/gcc-12 "$@" | sed 's/12\.2\.0/11.3.0/; s/^12 2 0/11 3 0/' ;;
esac
SH
    chmod +x "$BATS_TEST_TMPDIR/bin/$name"
  done
}

@test "another compiler than the kernel's, and none to be had: which one to install" {
  other_compiler
  printf '#!/bin/sh\necho "E: no such archive" >&2\nexit 1\n' >"$BATS_TEST_TMPDIR/bin/mmdebstrap"
  chmod +x "$BATS_TEST_TMPDIR/bin/mmdebstrap"
  use_cache "$BATS_TEST_TMPDIR/cache" # which may hold a root already
  PATH=$BATS_TEST_TMPDIR/bin:$PATH build "$patch"
  refused 1 '11\.3\.0' 'gcc-12' 'install' 'no such archive'
}

@test "another compiler than the kernel's: its own comes in a root, and gives the same module" {
  build "$patch"
  [ "$status" -eq 0 ]
  other_compiler
  PATH=$BATS_TEST_TMPDIR/bin:$PATH build -o "$out/root" "$patch"
  [ "$status" -eq 0 ]
  cmp "$out/livepatch-fix.ko" "$out/root/livepatch-fix.ko"
  # --launcher would run this machine's.
  rm -r "$out"
  PATH=$BATS_TEST_TMPDIR/bin:$PATH build --launcher env "$patch"
  refused 1 "runs the compiler of this machine"
}

@test "a source path that a shell or make would read otherwise" {
  # Not the shared cache's source: it is a copy of this one that is built from.
  rm "$KPATCH_CACHE/source"
  tree=$BATS_TEST_TMPDIR/$odd_name
  mkdir "$tree"
  mount -o bind,ro "$source" "$tree" 2>/dev/null || cp -a --reflink=auto "$source/." "$tree"
  use_source=$tree build "$patch"
  umount "$tree" 2>/dev/null || true
  [ "$status" -eq 0 ]
  [ -s "$out/livepatch-fix.ko" ]
}

# --- vmlinux and Module.symvers -----------------------------------------------------------------------------------

@test "no vmlinux" {
  use_vmlinux=$BATS_TEST_TMPDIR/absent-vmlinux build "$patch"
  refused 1 'absent-vmlinux'
}

@test "a vmlinux that is no ELF file" {
  echo hello >"$BATS_TEST_TMPDIR/vmlinux"
  use_vmlinux=$BATS_TEST_TMPDIR/vmlinux build "$patch"
  refused 1 'vmlinux'
}

@test "a stripped vmlinux" {
  strip -o "$BATS_TEST_TMPDIR/vmlinux" "$vmlinux"
  use_vmlinux=$BATS_TEST_TMPDIR/vmlinux build "$patch"
  refused 1 'vmlinux' 'symbol|stripped'
}

@test "a truncated vmlinux" {
  head -c 30000000 "$vmlinux" >"$BATS_TEST_TMPDIR/vmlinux"
  use_vmlinux=$BATS_TEST_TMPDIR/vmlinux build "$patch"
  refused 1 'vmlinux' 'truncated|cut|end of|beyond'
}

@test "an empty vmlinux" {
  : >"$BATS_TEST_TMPDIR/vmlinux"
  use_vmlinux=$BATS_TEST_TMPDIR/vmlinux build "$patch"
  refused 1 'vmlinux'
}

@test "a vmlinux of another architecture" {
  cp "$vmlinux" "$BATS_TEST_TMPDIR/vmlinux"
  # e_machine, two bytes at offset 18: 183 is EM_AARCH64
  printf '\267\000' | dd of="$BATS_TEST_TMPDIR/vmlinux" bs=1 seek=18 conv=notrunc status=none
  use_vmlinux=$BATS_TEST_TMPDIR/vmlinux build "$patch"
  refused 1 'vmlinux' 'aarch64|architecture|machine'
}

@test "no Module.symvers" {
  use_symvers=$BATS_TEST_TMPDIR/absent.symvers build "$patch"
  refused 1 'absent\.symvers'
}

@test "a Module.symvers that is cut off" {
  head -c 500011 "$symvers" >"$BATS_TEST_TMPDIR/Module.symvers"
  use_symvers=$BATS_TEST_TMPDIR/Module.symvers build "$patch"
  refused 1 'Module\.symvers' 'line [0-9]+|:[0-9]+|cut|truncated|incomplete'
}

@test "an empty Module.symvers" {
  : >"$BATS_TEST_TMPDIR/Module.symvers"
  use_symvers=$BATS_TEST_TMPDIR/Module.symvers build "$patch"
  refused 1 'Module\.symvers'
}

@test "an unknown release" {
  run --separate-stderr timeout 120 "$kpatch_build" -a 6.99.42-nobody-amd64 -o "$out" "$patch"
  printf '%s\n%s\n' "$output" "$stderr"
  refused 1 '6\.99\.42-nobody-amd64'
}

@test "an unknown series" {
  run --separate-stderr timeout 120 "$kpatch_build" -a 5.99-cloud -o "$out" "$patch"
  printf '%s\n%s\n' "$output" "$stderr"
  refused 1 '5\.99-cloud'
}

# --- the machine ------------------------------------------------------------------------------------------------

@test "an output directory that is a file" {
  : >"$BATS_TEST_TMPDIR/file"
  out=$BATS_TEST_TMPDIR/file build "$patch"
  out=$BATS_TEST_TMPDIR/none refused 1 'file'
  [ ! -s "$BATS_TEST_TMPDIR/file" ]
}

@test "an output directory that can't be made" {
  out=/proc/kpatch-out build "$patch"
  out=$BATS_TEST_TMPDIR/none refused 1 '/proc/kpatch-out'
}

@test "an output directory that is not writable" {
  [ "$(id -u)" -ne 0 ] || skip_machine "root may write everywhere"
  mkdir "$out"
  chmod a-w "$out"
  build "$patch"
  refused 1 "$out"
}

# small SIZE: a file system of that size
small() {
  [ "$(id -u)" -eq 0 ] || skip_machine "a small file system needs root"
  mkdir -p "$BATS_TEST_TMPDIR/small"
  mount -t tmpfs -o "size=$1" kpatch-test "$BATS_TEST_TMPDIR/small" 2>/dev/null || skip_machine "mount isn't permitted here"
}

@test "disk full where the module goes" {
  small 16k
  out=$BATS_TEST_TMPDIR/small/out
  mkdir "$out"
  build "$patch"
  refused 1 'no space left|disk is full' 'livepatch-fix|small/out'
}

@test "disk full in the cache, then there is room again" {
  small 12m
  use_cache "$BATS_TEST_TMPDIR/small/cache"
  build "$patch"
  refused 1 'no space left|disk is full'
  mount -o remount,size=2g "$BATS_TEST_TMPDIR/small"
  build "$patch"
  [ "$status" -eq 0 ]
}

@test "disk full in the scratch directory" {
  small 64k
  TMPDIR=$BATS_TEST_TMPDIR/small build "$patch"
  [ "$status" -eq 0 ] || TMPDIR=$BATS_TEST_TMPDIR/small refused 1 'no space left|disk is full'
}

# --- interrupted, and side by side --------------------------------------------------------------------------------

# stop_after SECONDS SIGNAL: starts a build, sends its process the signal, waits for its end. Sets status.
stop_after() {
  local pid
  # a background command of a script ignores SIGINT unless told otherwise
  env --default-signal=INT setsid "$kpatch_build" -a "$release" -o "$out" "$patch" >"$BATS_TEST_TMPDIR/stopped.log" 2>&1 3>&- &
  pid=$!
  sleep "$1"
  kill "-$2" "$pid" 2>/dev/null || true
  status=0
  wait "$pid" || status=$?
  cat "$BATS_TEST_TMPDIR/stopped.log"
  # Its children end with it, at once or within the time that an orphan needs to notice.
  for _ in $(seq 50); do
    pgrep -s "$pid" >/dev/null || break
    sleep 0.1
  done
  if [ "$2" != KILL ]; then
    ! pgrep -s "$pid" -a || { echo "children are left"; return 1; }
    if [ "$status" -ne 0 ]; then nothing_written; fi
  fi
  # Whatever is there is whole.
  [ ! -e "$out/livepatch-fix.ko" ] || modinfo "$out/livepatch-fix.ko" >/dev/null
}

random_seconds() { echo "$((RANDOM % $1)).$((RANDOM % 10))"; }

works_after() {
  build "$patch"
  [ "$status" -eq 0 ]
  [ -s "$out/livepatch-fix.ko" ]
  [ "$(tree_digest "$source")" = "$(cat "$BATS_FILE_TMPDIR/source-digest")" ]
}

@test "stopped at any moment of making the base: the next run works" {
  use_cache "$BATS_TEST_TMPDIR/cache"
  for signal in INT TERM KILL; do
    moment=$(random_seconds 12)
    echo "SIG$signal after $moment s"
    stop_after "$moment" $signal
    rm -rf "$out"
  done
  works_after
}

@test "stopped at any moment of a build on a ready base: the next run works" {
  build "$patch"
  for signal in INT TERM KILL INT TERM KILL; do
    moment=$(random_seconds 3)
    echo "SIG$signal after $moment s"
    rm -rf "$out"
    stop_after "$moment" $signal
  done
  works_after
}

@test "two builds at once in one cache" {
  use_cache "$BATS_TEST_TMPDIR/cache"
  pids=()
  for n in 1 2; do
    "$kpatch_build" -a "$release" -o "$out/$n" "$patch" >"$BATS_TEST_TMPDIR/$n.log" 2>&1 3>&- &
    pids+=($!)
  done
  failed=0
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
  cat "$BATS_TEST_TMPDIR"/[12].log
  [ $failed -eq 0 ]
  cmp "$out/1/livepatch-fix.ko" "$out/2/livepatch-fix.ko"
}

# What the first one made of the original must not stand for what the second one makes.
@test "another compiler of the same version, after a patch of the same file" {
  build "$patch"
  [ "$status" -eq 0 ]
  rm -r "$out"
  version=$(sed -nE 's/^CONFIG_CC_VERSION_TEXT="\S*gcc-([0-9]+) .*/\1/p' "$config")
  mkdir "$BATS_TEST_TMPDIR/bin"
  for compiler in "gcc-$version" "$(uname -m)-linux-gnu-gcc-$version"; do
    printf '#!/bin/sh\ncase "$*" in *" -c "*) set -- "$@" -fno-schedule-insns2;; esac\nexec %s "$@"\n' "$(command -v "$compiler")" \
      >"$BATS_TEST_TMPDIR/bin/$compiler"
    chmod +x "$BATS_TEST_TMPDIR/bin/$compiler"
  done
  PATH=$BATS_TEST_TMPDIR/bin:$PATH build "$patch"
  refused 1 '\[proof\]'
}

# Hundreds of objects read it, a few of them show that it can't be.
@test "a struct of a wide header changes: refused after a look at few objects" {
  change include/linux/tcp.h 's/^struct tcp_sock \{/&\n\tunsigned long livepatch_member;/' >"$BATS_TEST_TMPDIR/wide.patch"
  build "$BATS_TEST_TMPDIR/wide.patch"
  [ "$status" -eq 2 ]
  grep -q 'struct tcp_sock: changes its layout.*\[data-layout\]' <<<"$stderr"
  nothing_written
  log=$(find "$KPATCH_CACHE/logs" -name '*.log' -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)
  compiles=$(grep -c '^\$ .*gcc.* -c ' "$log")
  [ "$compiles" -gt 0 ]
  [ "$compiles" -le 16 ] || { echo "$compiles compiles"; return 1; }
}

# Without make: by the commands that make recorded, and with what was kept of an earlier patch.
@test "a second patch is finished without make, and has the bytes that make gives it" {
  use_cache "$BATS_TEST_TMPDIR/cache"
  change fs/proc/uptime.c 's/"%lu\.%02lu /"%5lu.%02lu /' >"$BATS_TEST_TMPDIR/second.patch"
  last_log() { find "$KPATCH_CACHE/logs" -name '*.log' -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2; }
  build "$patch"
  [ "$status" -eq 0 ]
  grep -q '^\$ make .* M=' "$(last_log)"

  build -n second -o "$out/recipe" "$patch" "$BATS_TEST_TMPDIR/second.patch"
  [ "$status" -eq 0 ]
  if grep '^\$ make .* M=' "$(last_log)"; then echo "make was run again"; return 1; fi
  # Of meminfo.c only the patched object is compiled, of the template what belongs to the module.
  [ "$(grep -c '^\$ .*gcc.*meminfo\.c$' "$(last_log)")" -eq 1 ]
  [ "$(grep -c '^\$ .*gcc.*livepatch-main\.c' "$(last_log)")" -eq 0 ]

  # What was kept is torn: found out, and made anew.
  for file in "$KPATCH_CACHE"/base/*/objects/* "$KPATCH_CACHE"/base/*/module/kept/*; do
    case $file in *.sum) ;; *) echo x >>"$file" ;; esac
  done
  build -n second -o "$out/torn" "$patch" "$BATS_TEST_TMPDIR/second.patch"
  [ "$status" -eq 0 ]

  rm -r "$KPATCH_CACHE"/base/*/module "$KPATCH_CACHE"/base/*/objects
  build -n second -o "$out/make" "$patch" "$BATS_TEST_TMPDIR/second.patch"
  [ "$status" -eq 0 ]
  grep -q '^\$ make .* M=' "$(last_log)"
  cmp "$out/make/second.ko" "$out/recipe/second.ko"
  cmp "$out/make/second.ko" "$out/torn/second.ko"

  # Commands that no longer fit: make has the last word.
  sed -i 's/modpost/no-such-program/' "$KPATCH_CACHE"/base/*/module/recipe.json
  build -n second -o "$out/broken" "$patch" "$BATS_TEST_TMPDIR/second.patch"
  [ "$status" -eq 0 ]
  cmp "$out/make/second.ko" "$out/broken/second.ko"
}

@test "after all of this the source is as it was" {
  [ "$(tree_digest "$source")" = "$(cat "$BATS_FILE_TMPDIR/source-digest")" ]
}
