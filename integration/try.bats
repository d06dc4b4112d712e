#!/usr/bin/env bats
# kpatch-try and kpatch-build --test, in real kernels: a livepatch whose test says what it does, tests that say nothing, and
# livepatches that fail. What is concluded from what a guest tells: unit/try_test.cc.

bats_require_minimum_version 1.5.0

load bad-input.bash
# shellcheck source=integration/kernels.bash
. "$BATS_TEST_DIRNAME/kernels.bash"

setup_file() {
  stock_inputs
  "$kpatch_build" -a "$release" -n livepatch-ours -o "$BATS_FILE_TMPDIR" "$BATS_TEST_DIRNAME/patches/patch2.patch"
}

setup() {
  kpatch_build=${KPATCH_BUILD_DIR:-$BATS_TEST_DIRNAME/../build}/kpatch-build/kpatch-build
  try=${kpatch_build%/*/*}/try/kpatch-try
  stock_inputs
  ours=$BATS_FILE_TMPDIR/livepatch-ours.ko
  cd "$BATS_TEST_TMPDIR" || return 1
}

check() { run --separate-stderr "$try" "$@"; printf 'exit %s\n%s\n%s\n' "$status" "$output" "$stderr"; }
needs_guests() {
  local why
  why=$(missing_for_guests) || skip_package "${why#*] }"
}
meminfo_test() {
  cat >fixed.sh <<'SCRIPT'
dmesg -c >/dev/null
cat /proc/meminfo >/dev/null
dmesg | grep -q 'meminfo_proc_show: livepatched'
SCRIPT
}

@test "bad input: each with one message, and nothing is booted" {
  check
  [ "$status" -eq 1 ]
  [[ $stderr == *"give one module"* ]]
  check none.ko
  [ "$status" -eq 1 ]
  [[ $stderr == "error: none.ko: no such file" ]]
  echo text >text.ko
  check text.ko
  [ "$status" -eq 1 ]
  [[ $stderr == "error: 'text.ko'"* ]]
  check --timeout 5 "$ours"
  [ "$status" -eq 1 ]
  [[ $stderr == *"--timeout: give seconds, from 30"* ]]
  check --accel xen "$ours"
  [ "$status" -eq 1 ]
  [[ $stderr == *"kvm or tcg"* ]]
  check --test-script none.sh "$ours"
  [ "$status" -eq 1 ]
  [[ $stderr == "error: none.sh: no such file" ]]
  check --disk none.img "$ours"
  [ "$status" -eq 1 ]
  [[ $stderr == *"none.img: no such disk image"* ]]
  echo root:x:0:0:root:/root:/bin/sh >passwd
  check --initramfs passwd "$ours"
  [ "$status" -eq 1 ]
  [[ $stderr == "error: passwd: it is no initramfs"* ]]
  check --disk "$ours" --initramfs "$ours" "$ours"
  [ "$status" -eq 1 ]
  [[ $stderr == *"one of them"* ]]
  xz -dc "$packages/lib/modules/$release/kernel/net/netfilter/xt_comment.ko.xz" >xt_comment.ko ||
    cp "$packages/lib/modules/$release/kernel/net/netfilter/xt_comment.ko" .
  check xt_comment.ko
  [ "$status" -eq 1 ]
  [[ $stderr == *"xt_comment.ko is no livepatch"* ]]
  run --separate-stderr env PATH=/nowhere "$try" "$ours"
  [ "$status" -eq 1 ]
  [[ $stderr == *"is missing"* ]]
}

@test "a kernel from a folder of packages: those with its image and its modules" {
  needs_guests
  command -v dpkg-deb >/dev/null || skip_package "dpkg-deb isn't installed"
  meminfo_test
  local folder=packages tree=tree
  mkdir -p "$folder" "$tree/DEBIAN" "$tree/boot" "$tree/lib/modules/$release/kernel/net"
  cp "$packages/boot/vmlinuz-$release" "$tree/boot"
  cp -r "$packages/lib/modules/$release/kernel/net/netfilter" "$tree/lib/modules/$release/kernel/net"
  cp "$packages/lib/modules/$release/modules.builtin" "$tree/lib/modules/$release"
  printf '%s\n' "Package: linux-image-$release" 'Version: 1-1' "Architecture: $(dpkg --print-architecture)" \
    'Maintainer: nobody <a@b>' 'Description: test' >"$tree/DEBIAN/control"
  dpkg-deb -Znone -b "$tree" "$folder/linux-image.deb"
  check --packages "$folder" --test-script fixed.sh "$ours"
  [ "$status" -eq 0 ]
  [[ $output == *"$release"* ]]
  # The livepatch's own release isn't there.
  check --packages "$folder" -a 6.12.1-none "$ours"
  [ "$status" -eq 1 ]
  [[ $stderr == *"has no packages of the kernel 6.12.1-none; it has $release"* ]]
  check --packages "$BATS_TEST_TMPDIR/none" "$ours"
  [ "$status" -eq 1 ]
  [[ $stderr == *"no such folder"* ]]
  rm "$folder"/*
  check --packages "$folder" "$ours"
  [ "$status" -eq 1 ]
  [[ $stderr == *"there is no .deb"* ]]
}

@test "a kernel by its image and its modules, and a module of it that nothing patches" {
  needs_guests
  cat >beside.sh <<'SCRIPT'
grep -q '^dummy ' /proc/modules || exit 0
dmesg -c >/dev/null
cat /proc/meminfo >/dev/null
dmesg | grep -q 'meminfo_proc_show: livepatched'
SCRIPT
  check --kernel "$packages/boot/vmlinuz-$release" --modules "$packages/lib/modules/$release" --with dummy \
    --test-script beside.sh "$ours"
  [ "$status" -eq 0 ]
  # One that is built in is there already.
  builtin=$(basename "$(tail -n 1 "$packages/lib/modules/$release/modules.builtin")" .ko)
  check --with "$builtin" --with dummy --test-script beside.sh "$ours"
  [ "$status" -eq 0 ]
  check --kernel "$packages/boot/vmlinuz-$release" --modules "$packages/lib/modules/$release" --with no_such "$ours"
  [ "$status" -eq 1 ]
  [[ $stderr == *no_such* ]]
}

@test "a livepatch of vmlinux and a module does what its test asks, by a program of another initramfs" {
  needs_guests
  mkdir -p more/opt
  printf '#!/bin/sh\nexec cat /proc/meminfo\n' >more/opt/reader
  chmod +x more/opt/reader
  (cd more && find . | cpio --quiet -o -H newc -R 0:0 | gzip) >more.cpio.gz
  cat >reader.sh <<'SCRIPT'
[ -x /opt/reader ] || exit 0
dmesg -c >/dev/null
/opt/reader >/dev/null
dmesg | grep -q 'meminfo_proc_show: livepatched'
SCRIPT
  check --json --initramfs more.cpio.gz --test-script reader.sh "$ours"
  [ "$status" -eq 0 ]
  python3 - "$output" <<'CHECK'
import json, sys
v = json.loads(sys.argv[1])
assert v["good"] and v["findings"] == [], v
assert [(p["name"], p.get("test")) for p in v["phases"]][2:] == [
    ("before", 1), ("load", None), ("after", 0), ("unload", None), ("unloaded", 1), ("control", 1)], v["phases"]
assert [f["object"] for f in v["functions"]] == ["vmlinux", "xt_comment"]
assert all(p["seconds"] >= 0 for p in v["phases"]) and v["phases"][0]["seconds"] > 0.1
CHECK
  [ -z "$(find . -name '*.log')" ]
}

@test "a test that looks at the livepatch's name alone proves nothing" {
  needs_guests
  echo 'ls -d /sys/kernel/livepatch/livepatch_ours' >named.sh
  check --test-script named.sh "$ours"
  [ "$status" -eq 3 ]
  [[ $output == *"named.sh passes with a livepatch that redirects nothing"*"[try-control]"* ]]
}

@test "the test fails, and the kernel's messages are kept" {
  needs_guests
  echo 'echo still broken; exit 7' >broken.sh
  check --test-script broken.sh "$ours"
  [ "$status" -eq 2 ]
  [[ $output == *"broken.sh fails with the livepatch (status 7): still broken [try-test]"* ]]
  grep -q 'kpatch-try: phase after' livepatch-ours.console.log
}

@test "a kernel that complains, and is tainted, while the livepatch is loaded" {
  needs_guests
  sed 's/^+.*livepatched.*/+\tWARN_ON(m);/' "$BATS_TEST_DIRNAME/patches/patch1.patch" >warns.patch
  "$kpatch_build" -a "$release" -n livepatch-warns -o . warns.patch
  cat >reads.sh <<'SCRIPT'
dmesg -c >/dev/null
cat /proc/meminfo >/dev/null
dmesg | grep -q 'WARNING: .*meminfo_proc_show'
SCRIPT
  check --test-script reads.sh livepatch-warns.ko
  [ "$status" -eq 2 ]
  [[ $output == *"the kernel complains: WARNING: "*"[try-log]"*"tainted as by no livepatch: W [try-taint]"* ]]
}

@test "a module that the kernel refuses" {
  needs_guests
  sed 's/ SMP / PMS /' "$ours" >livepatch-other.ko
  check livepatch-other.ko
  [ "$status" -eq 2 ]
  [[ $output == *"insmod: "*"version magic"*"[try-load]"* ]]
}

@test "kpatch-build --test delivers what passes, and nothing else" {
  needs_guests
  meminfo_test
  run --separate-stderr "$kpatch_build" -a "$release" -n livepatch-tested -o out --test-script fixed.sh \
    "$BATS_TEST_DIRNAME/patches/patch1.patch"
  [ "$status" -eq 0 ]
  [ -e out/livepatch-tested.ko ]
  rm -r out
  echo true >always.sh
  run --separate-stderr "$kpatch_build" -a "$release" -n livepatch-tested -o out --test-script always.sh \
    "$BATS_TEST_DIRNAME/patches/patch1.patch"
  [ "$status" -eq 1 ]
  [[ $stderr == *"[try-control]"* ]]
  [ ! -e out/livepatch-tested.ko ]
  run --separate-stderr "$kpatch_build" -a "$release" --test-script none.sh "$BATS_TEST_DIRNAME/patches/patch1.patch"
  [ "$status" -eq 1 ]
  [[ $stderr == *"--test-script none.sh: no such file"* ]]
}

@test "the test runs in the system of a disk image, which stays as it was" {
  needs_guests
  command -v mke2fs >/dev/null || skip_package "mke2fs is missing"
  mkdir -p root/bin root/proc root/sys root/dev root/tmp
  for name in sh cat dmesg grep; do cp "$(command -v busybox)" "root/bin/$name"; done
  echo here >root/its-own
  truncate -s 32M disk.img
  mke2fs -q -t ext4 -d root disk.img
  before=$(sha256sum <disk.img)
  cat >on-disk.sh <<'SCRIPT'
grep -q here /its-own || exit 0
echo written >/written
dmesg -c >/dev/null
cat /proc/meminfo >/dev/null
dmesg | grep -q 'meminfo_proc_show: livepatched'
SCRIPT
  check --disk disk.img --test-script on-disk.sh "$ours"
  [ "$status" -eq 0 ]
  [ "$before" = "$(sha256sum <disk.img)" ]
}

@test "kpatch try runs it" {
  run env PATH="${try%/*}:$PATH" "${kpatch_build%/*/*}/kpatch/kpatch" try --version
  [ "$status" -eq 0 ]
  [[ $output == kpatch-try* ]]
}
