#!/usr/bin/env bats
# kpatch-build --assess on real kernels: each verdict, the ways out of refusals, and that these build.

bats_require_minimum_version 1.5.0

load bad-input.bash

setup() {
  stock_inputs
  out=$BATS_TEST_TMPDIR/out
  patch=$BATS_TEST_TMPDIR/fix.patch
}

assess() {
  run --separate-stderr timeout 300 "$kpatch_build" --assess -a "$release" "$@"
  printf 'exit %s\n%s\n%s\n' "$status" "$output" "$stderr"
}

@test "a patch that fits: it can be patched, and nothing is built" {
  good_patch "$patch"
  assess "$patch"
  [ "$status" -eq 0 ]
  [[ $output == *"$release"*" patchable "* ]]
  assess --json "$patch"
  [ "$status" -eq 0 ]
  python3 -c 'import json, sys; a = json.load(sys.stdin)["releases"][0]
assert a["verdict"] == "patchable" and a["objects"] == 1 and a["compiled"] and not a["offset"], a' <<<"$output"
  [ ! -e "$out" ]
}

@test "elsewhere than its lines say" {
  good_patch "$patch"
  sed -i 's/^@@ -41,6 +41,8 @@/@@ -45,6 +45,8 @@/' "$patch"
  assess "$patch"
  [ "$status" -eq 0 ]
  [[ $output == *"patchable, with an offset"* ]]
}

@test "already there, and neither there nor to be applied" {
  change fs/proc/meminfo.c 's/^\tsi_meminfo\(&i\);/\tbarrier();\n&/' reverse >"$patch"
  assess "$patch"
  [ "$status" -eq 3 ]
  [[ $output == *"already there"* ]]
  good_patch "$patch"
  sed -i 's/si_meminfo(&i);/si_something_else(\&i);/' "$patch"
  assess "$patch"
  [ "$status" -eq 1 ]
  [[ $output == *"does not apply"*"hunk 1"* ]]
}

@test "not built, without influence, refused by what the file is" {
  change fs/jfs/jfs_umount.c 's/^int jfs_umount\(.*/&\n\/* not built *\//' >"$patch"
  [ -s "$patch" ]
  assess "$patch"
  [ "$status" -eq 3 ]
  [[ $output == *"not built"*"CONFIG_JFS_FS"* ]]
  change Documentation/process/howto.rst '1s/^/x\n/' >"$patch"
  assess "$patch"
  [ "$status" -eq 3 ]
  [[ $output == *"no change"* ]]
  change arch/x86/entry/entry_64.S '1s/^/\n/' >"$patch"
  assess "$patch"
  [ "$status" -eq 2 ]
  [[ $output == *" refused "*"[assembly]"* ]]
}

@test "a changed initialiser: a callback is written, and builds" {
  change fs/pipe.c 's/^static unsigned int pipe_max_size = 1048576;/static unsigned int pipe_max_size = 524288;/' >"$patch"
  assess --way-out "$BATS_TEST_TMPDIR/ways" "$patch"
  [ "$status" -eq 2 ]
  [[ $output == *"pipe_max_size"*"[data-init]"*"a way out"* ]]
  "$kpatch_build" -a "$release" -o "$out" "$patch" "$BATS_TEST_TMPDIR"/ways/*.patch
}

# The module holds the key's test, and no branch that the kernel would enter for it.
@test "a static branch on a module's key is a test of its state" {
  change net/netfilter/x_tables.c '/^static int xt_match_seq_show/,/^\}/s/^\tstruct nf_mttg_trav.*|^\tconst struct xt_match \*match;/&\n\n\tif (static_key_false(\&xt_tee_enabled))\n\t\tseq_puts(seq, "tee");/' >"$patch"
  assess "$patch"
  [ "$status" -eq 0 ]
  [[ $output == *"patchable"* ]]
  "$kpatch_build" --explain -a "$release" -o "$out" "$patch" >"$BATS_TEST_TMPDIR/log"
  grep -q 'static branches on xt_tee_enabled are tests of its state' "$BATS_TEST_TMPDIR/log"
  readelf -rW "$out"/*.ko | grep -q 'klp.sym.x_tables.xt_tee_enabled,0'
  ! readelf -rW "$out"/*.ko | sed -n "/section '.rela__jump_table'/,/^\$/p" | grep -q xt_tee_enabled
}

@test "a struct that grows: a shadow variable is written, and applies" {
  change include/linux/pipe_fs_i.h 's/^struct pipe_inode_info \{/&\n\tunsigned int livepatch_tries;/' >"$patch"
  change fs/pipe.c 's/^static long pipe_set_size\(.*/&/; /^static long pipe_set_size/,/^\}/s/^\tunsigned long user_bufs;/&\n\n\tpipe->livepatch_tries++;/' >>"$patch"
  assess --way-out "$BATS_TEST_TMPDIR/ways" "$patch"
  [[ $output == *"pipe_inode_info"*"[data-layout]"*"a way out"* ]]
  assess "$patch" "$BATS_TEST_TMPDIR"/ways/*.patch
  [ "$status" -ne 2 ]
  grep -F 'klp_shadow_get_or_alloc' "$BATS_TEST_TMPDIR"/ways/*.patch
}

@test "two kernels, and the worst of both; a commit" {
  good_patch "$patch"
  assess -a 9.9.9-none "$patch"
  [ "$status" -eq 1 ]
  [[ $output == *" patchable "*"9.9.9-none"*" failed "* ]]
  mkdir "$BATS_TEST_TMPDIR/git" && cd "$BATS_TEST_TMPDIR/git"
  git init -q . && mkdir -p fs/proc && cp "$source/fs/proc/meminfo.c" fs/proc && git add . &&
    git -c user.name=a -c user.email=a@b commit -qm before && patch -sp1 <"$patch" &&
    git -c user.name=a -c user.email=a@b commit -qam fix
  assess HEAD
  [ "$status" -eq 0 ]
  [[ $output == *" patchable "* ]]
  assess HEAD~7
  [ "$status" -eq 1 ]
  [[ $stderr == *"HEAD~7: neither a patch nor a commit"* ]]
}

@test "options that don't belong together" {
  good_patch "$patch"
  run -1 "$kpatch_build" --json -a "$release" "$patch"
  [[ $output == *"belong to --assess"* ]]
  assess --full "$patch"
  [ "$status" -eq 1 ]
}
