#!/usr/bin/env bats
# kpatch-verify over real modules and kernels: one of kpatch-build, one written by hand and built by kbuild alone, one that
# is no livepatch, and each for another kernel.

bats_require_minimum_version 1.5.0

load bad-input.bash
load other-makers.bash

setup_file() {
  stock_inputs
  "$kpatch_build" -a "$release" -n livepatch-ours -o "$BATS_FILE_TMPDIR" \
    "$BATS_TEST_DIRNAME/kinds/vmlinux-and-modules/any.patch"
}

setup() {
  kpatch_build=${KPATCH_BUILD_DIR:-$BATS_TEST_DIRNAME/../build}/kpatch-build/kpatch-build
  verify=${kpatch_build%/*/*}/verify/kpatch-verify
  stock_inputs
  ours=$BATS_FILE_TMPDIR/livepatch-ours.ko
}

check() { run --separate-stderr "$verify" "$@"; printf 'exit %s\n%s\n%s\n' "$status" "$output" "$stderr"; }

@test "ours: nothing speaks against it, by the kernel's files, by its release, and by the file alone" {
  check -a "$release" "$ours"
  [ "$status" -eq 0 ]
  [[ $output == *"nothing speaks against it"* && $output == *"xt_comment: comment_mt"* ]]
  check --symvers "$symvers" -m "$packages/lib/modules/$release" "$ours" "$vmlinux"
  [ "$status" -eq 0 ]
  [[ $output == *"judged for   $release"* ]]
  check "$ours"
  [ "$status" -eq 0 ]
  [[ $output == *"by the file alone"*"no vmlinux"* ]]
}

@test "JSON is all that stands on stdout" {
  check --json -a "$release" "$ours"
  [ "$status" -eq 0 ]
  python3 -c 'import json, sys; v = json.load(sys.stdin); assert v["good"] and len(v["functions"]) == 3' <<<"$output"
}

@test "written by hand: its structs are read, and what they name is looked up" {
  by_hand
  check -a "$release" "$work/by-hand.ko"
  [ "$status" -eq 0 ]
  [[ $output == *"tables of struct klp_patch"*"vmlinux: cmdline_proc_show, version_proc_show"*"x_tables: xt_match_seq_show"* ]]
  by_hand '-DOLD_NAME=\"c_next\"'
  check -a "$release" "$work/by-hand.ko"
  [ "$status" -eq 2 ]
  [[ $output == *"symbols c_next, and sympos is 0"* ]]
  by_hand '-DOLD_NAME=\"no_such_function\"'
  check -a "$release" "$work/by-hand.ko"
  [ "$status" -eq 2 ]
  [[ $output == *"vmlinux has no symbol no_such_function"* ]]
}

@test "no livepatch, no module, cut off: each with its reason" {
  check -a "$release" "$(find "$packages" -name 'xt_comment.ko' -path '*debug*' -prune -o -name 'xt_comment.ko*' -print -quit)"
  [ "$status" -eq 2 ]
  [[ $output == *"it is no livepatch"* ]]
  check "$BATS_TEST_DIRNAME/verify/by-hand.c"
  [ "$status" -eq 1 ]
  [[ $stderr == "error: "*"by-hand.c"* ]]
  head -c 5000 "$ours" >"$BATS_TEST_TMPDIR/cut.ko"
  check "$BATS_TEST_TMPDIR/cut.ko"
  [ "$status" -eq 1 ]
  [[ $stderr == "error: "*"cut.ko"* ]]
  check
  [ "$status" -eq 1 ]
  [[ $stderr == *"give a module"* ]]
}

@test "another kernel: vermagic, CRCs and the size of struct module are named" {
  other=$(newest_release 6.1)
  find_stock "$shared" "$other" || skip_package "no files of a 6.1 kernel in the cache"
  check -a "$other" "$ours"
  [ "$status" -eq 2 ]
  [[ $output == *"it was built for another kernel than $other"*"the kernel's is 0x"*"the kernel's struct module"* ]]
}

@test "kpatch verify runs it" {
  run env PATH="${verify%/*}:$PATH" "${kpatch_build%/*/*}/kpatch/kpatch" verify --json "$ours"
  [ "$status" -eq 0 ]
  [[ $output == *'"good": true'* ]]
}
