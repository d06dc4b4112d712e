#!/usr/bin/env bats
# kpatch-build --previous with real modules of other makers: what each of them tells is compared, and what it doesn't tell
# is said by name. Modules of our own are releases-run's matter.

bats_require_minimum_version 1.5.0

load bad-input.bash
load other-makers.bash

setup() {
  kpatch_build=${KPATCH_BUILD_DIR:-$BATS_TEST_DIRNAME/../build}/kpatch-build/kpatch-build
  klpmake=${kpatch_build%/*/*}/klpmake/klpmake
  klp_build=${kpatch_build%/*/*}/klp-build/klp-build
  patches=$BATS_TEST_DIRNAME/patches
  shadow=$BATS_TEST_DIRNAME/kinds/shadow/any.patch
  # Whoever made it, such a module holds no lines, no ids, and no fixes.
  untold="doesn't tell its hunks, ids of shadow variables and fixes: they aren't compared [previous]"
}

# from_source: fix.patch of three functions, one of which has a shadow variable.
from_source() {
  stock_inputs
  [ -x "$klpmake" ] || skip_package "built without libclang"
  cp "$patches/patch2.patch" fix.patch
  change fs/proc/version.c '/^static int version_proc_show/,/^\}/{
      s/^\{$/&\n\tint *reads = klp_shadow_get_or_alloc(m->file, 0x6b70, 4, GFP_KERNEL, NULL, NULL);\n/
      s/^\treturn 0;/\tif (reads)\n\t\tseq_printf(m, "reads %d\\n", ++*reads);\n&/
    }
    s/^static int version_proc_show/void *klp_shadow_get_or_alloc(void *obj, unsigned long id, size_t size, gfp_t flags, void *ctor, void *data);\n\n&/' \
    >>fix.patch
}

# replace OLD PATCH…: builds what is to replace OLD.
replace() {
  local old=$1
  shift
  run --separate-stderr timeout 900 "$kpatch_build" -a "$release" -n livepatch-new -o "$BATS_TEST_TMPDIR/out" --previous "$old" "$@"
  printf 'exit %s\n%s\n%s\n' "$status" "$output" "$stderr"
  said=$output$stderr
}

# misses RULE…: these findings, and no other, one of each; nothing was delivered.
misses() {
  [ "$status" -eq 2 ] && [ ! -e "$BATS_TEST_TMPDIR/out/livepatch-new.ko" ] || return 1
  [ "$(grep -o '\[dropped-[a-z]*\]$' <<<"$stderr" | sort)" = "$(printf '[%s]\n' "$@" | sort)" ]
}

# of_source OLD: a module of from_source.
of_source() {
  replace "$1" "$patches/patch2.patch" "$shadow"
  [ "$status" -eq 0 ]
  [[ $said == *"$untold"* && $said == *"of other code than in "*"version_proc_show"* ]]
  rm "$BATS_TEST_TMPDIR/out/livepatch-new.ko"
  replace "$1" "$patches/patch1.patch"
  misses dropped-function dropped-function dropped-shadow
  [[ $said == *"$untold"*"error: comment_mt: of xt_comment"*"error: version_proc_show: of vmlinux"* ]]
}

@test "klpmake's module" {
  mkdir "$BATS_TEST_TMPDIR/old_fix"
  cd "$BATS_TEST_TMPDIR/old_fix" || return 1
  from_source
  "$klpmake" -b "$(dirname "$vmlinux")" >log 2>&1 || { cat log; return 1; }
  of_source old_fix.ko
}

@test "klp-build's module" {
  cd "$BATS_TEST_TMPDIR" || return 1
  from_source
  export KPATCH_CACHE=$shared HOME=$BATS_TEST_TMPDIR
  unset XDG_CONFIG_HOME
  mkdir -p .config/klp-build data
  printf 'work_dir=~/lps\ndata_dir=~/data\n' >.config/klp-build/config
  printf '1,SLE,%s,2099-01-01\n' "$release" >data/codestreams.csv
  {
    "$klp_build" setup --name old --fix fix.patch && "$klp_build" extract -n old && "$klp_build" push -n old
  } >log 2>&1 || { cat log; return 1; }
  of_source lps/old/ccp/1/x86_64/rpm/livepatch_old.ko
}

@test "a module by hand: each of its functions, and its callback" {
  stock_inputs
  by_hand
  replace "$work/by-hand.ko" "$patches/patch1.patch"
  misses dropped-function dropped-function dropped-function dropped-callback
  [[ $said == *"$untold"*"pre_patch: a callback of vmlinux"*"xt_match_seq_show: of x_tables"* ]]
  [[ $stderr != *"[dropped-state]"* ]]
}

@test "a module by hand with states, which the kernel lets nothing without them replace" {
  stock_inputs
  by_hand -DWITH_STATE
  replace "$work/by-hand.ko" "$patches/patch1.patch"
  misses dropped-function dropped-function dropped-function dropped-callback dropped-state
}

@test "kpatch 0.9's module" {
  [ -n "${KPATCH_DYNUP_TREE:-}" ] || skip_optional "KPATCH_DYNUP_TREE names no source of kpatch 0.9 with its tools built"
  KPATCH_TEST_RELEASE=$(newest_release 6.1)
  export KPATCH_TEST_RELEASE
  stock_inputs
  "$BATS_TEST_DIRNAME/dynup-module" "$KPATCH_DYNUP_TREE" "$release" "$BATS_TEST_TMPDIR" livepatch-old "$patches/patch2.patch" "$shadow"
  replace "$BATS_TEST_TMPDIR/livepatch-old.ko" "$patches/patch2.patch" "$shadow"
  [ "$status" -eq 0 ]
  [[ $said == *"$untold"* ]]
  rm "$BATS_TEST_TMPDIR/out/livepatch-new.ko"
  replace "$BATS_TEST_TMPDIR/livepatch-old.ko" "$patches/patch1.patch"
  misses dropped-function dropped-function dropped-callback dropped-shadow
  [[ $stderr == *"comment_mt: of xt_comment"*"post_unpatch: a callback of vmlinux"*"version_proc_show: of vmlinux"* ]]
}
