#!/usr/bin/env bats
# kpatch-build --from-source and --both over stock 6.12: what is made, what is refused by name, and one that is loaded.

bats_require_minimum_version 1.5.0

load bad-input.bash
# shellcheck source=integration/kernels.bash
. "$BATS_TEST_DIRNAME/kernels.bash"

setup() {
  kpatch_build=${KPATCH_BUILD_DIR:-$BATS_TEST_DIRNAME/../build}/kpatch-build/kpatch-build
  [ -x "${kpatch_build%/*/*}/klpmake/klpmake" ] || skip_package "built without libclang"
  out=$BATS_TEST_TMPDIR/out
  stock_inputs
}

# patch_of SED FILE: fix.patch, of one file of the kernel's source.
patch_of() {
  local tree=$BATS_TEST_TMPDIR/tree
  mkdir -p "$tree/a/$(dirname "$2")" "$tree/b/$(dirname "$2")"
  cp "$source/$2" "$tree/a/$2"
  sed "$1" "$source/$2" >"$tree/b/$2"
  (cd "$tree" && diff -ruN a b) >"$BATS_TEST_TMPDIR/fix.patch" || true
  [ -s "$BATS_TEST_TMPDIR/fix.patch" ]
}

@test "vmlinux and a module from source: the text is delivered, proof and audit are as ever, twice the same bytes" {
  build --from-source -n livepatch-both --report "$out.json" "$BATS_TEST_DIRNAME/patches/patch2.patch"
  [ "$status" -eq 0 ]
  [[ $output == *"proof: 2 functions as shipped"*"source: 2 functions from source"*"vmlinux: meminfo_proc_show"*"xt_comment: comment_mt"* ]]
  grep -q '^static int meminfo_proc_show' "$out/livepatch-both.meminfo.c"
  grep -q 'comment_mt' "$out/livepatch-both.xt_comment.c"
  run -1 grep -F -e "$source" -e "$shared/" "$out"/*.c
  modinfo -F kpatch_options "$out/livepatch-both.ko" | grep -qx -e --from-source
  [ "$(shipped_code_of "$out/livepatch-both.ko")" = "vmlinux:meminfo_proc_show xt_comment:comment_mt" ]
  run -0 "${kpatch_build%/*/*}/verify/kpatch-verify" -a "$release" "$out/livepatch-both.ko"
  [[ $output == *"nothing speaks against it"* ]]
  mv "$out" "$out.first"
  build --from-source -n livepatch-both "$BATS_TEST_DIRNAME/patches/patch2.patch"
  diff -r "$out" "$out.first"
}

@test "both ways: the module is that of diff objects, and the difference is told" {
  build --both --explain -n livepatch-both "$BATS_TEST_DIRNAME/patches/patch2.patch"
  [ "$status" -eq 0 ]
  [[ $output == *"both ways: 2 functions replaced by both, "* ]]
  [ -s "$out/livepatch-both.from-source.ko" ]
  [ -s "$out/livepatch-both.meminfo.c" ]
  build -n livepatch-both -o "$out.plain" "$BATS_TEST_DIRNAME/patches/patch2.patch"
  [ "$status" -eq 0 ]
  # But for the line that says how it was built.
  cmp <(objcopy -O binary -j .text.meminfo_proc_show "$out/livepatch-both.ko" /dev/stdout) \
    <(objcopy -O binary -j .text.meminfo_proc_show "$out.plain/livepatch-both.ko" /dev/stdout)
}

@test "callbacks, and a file that is new, are refused by name" {
  patch_of '/^static int meminfo_proc_show/i #include "kpatch-macros.h"\nstatic int before(struct klp_object *o) { return 0; }\nKPATCH_PRE_PATCH_CALLBACK(before);
    /show_val_kb(m, "MemTotal:/i \\tpr_info("meminfo\\n");' fs/proc/meminfo.c
  build --from-source "$BATS_TEST_TMPDIR/fix.patch"
  refused 2 'fs/proc/meminfo.c: error: has callbacks' no-source
  # The other way takes it.
  build "$BATS_TEST_TMPDIR/fix.patch"
  [ "$status" -eq 0 ]
}

# A livepatch has a __this_module of its own, and functions of one file may be new for another's.
@test "THIS_MODULE stays that of the patched module; what only another file uses is refused by name" {
  patch_of 's/while (ksmbd_conn_alive(conn)) {/while (conn \&\& ksmbd_conn_alive(conn)) {/' fs/smb/server/connection.c
  build --from-source -n livepatch-this "$BATS_TEST_TMPDIR/fix.patch"
  [ "$status" -eq 0 ]
  readelf -Ws "$out/livepatch-this.ko" | grep -qF .klp.sym.ksmbd.__this_module,0
  grep -qF 'struct module __this_module asm(' "$out/livepatch-this.connection.c"

  rm -rf "$BATS_TEST_TMPDIR/tree" "$out"
  patch_of '$a int shared_by_both(int x)\n{\n\treturn x + 1;\n}' fs/proc/version.c
  patch_of 's/^\tget_avenrun(avnrun, /\textern int shared_by_both(int x);\n\n\tget_avenrun(avnrun, shared_by_both(1) - 2 + /' fs/proc/loadavg.c
  build --from-source "$BATS_TEST_TMPDIR/fix.patch"
  [ "$status" -eq 2 ]
  [[ $stderr == *"fs/proc/loadavg.c: error: uses shared_by_both, which is new in another file"*"[no-source]"* ]]
}

@test "options that don't go together: one message each" {
  for words in "--from-source --both" "--from-source --full" "--both --assess" "--from-source --debug-info"; do
    # shellcheck disable=SC2086  # words
    build $words "$BATS_TEST_DIRNAME/patches/patch2.patch"
    refused 1 "${words%% *}|${words##* }"
  done
}

@test "loaded in its kernel: what was extracted runs, and is unloaded" {
  local why
  why=$(missing_for_guests) || skip_package "${why#*] }"
  printf '%s\n' 'dmesg -c >/dev/null' 'cat /proc/meminfo >/dev/null' "dmesg | grep -q 'meminfo_proc_show: livepatched'" >"$BATS_TEST_TMPDIR/fixed.sh"
  build --from-source --test-script "$BATS_TEST_TMPDIR/fixed.sh" -n livepatch-both "$BATS_TEST_DIRNAME/patches/patch2.patch"
  [ "$status" -eq 0 ]
  [ -s "$out/livepatch-both.ko" ]
}
