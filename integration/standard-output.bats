#!/usr/bin/env bats
# Output that can't be written: a program that was asked to print has failed then, and says so.

load skip.bash
load livepatch-files.bash

setup() {
  build_dir=${KPATCH_BUILD_DIR:-$BATS_TEST_DIRNAME/../build}
  [ -c /dev/full ] || skip_machine "there is no /dev/full"
  cd "$BATS_TEST_TMPDIR" || return 1
}

# loses STATUS COMMAND…: with a full disk it ends so and says why; where there is room it doesn't.
loses() {
  local expected=$1 status=0
  shift
  "$@" >/dev/full 2>told || status=$?
  if [ "$status" -ne "$expected" ] || ! grep -q "standard output can't be written" told; then
    echo "$*: $status"
    cat told
    return 1
  fi
  "$@" >/dev/null 2>told || true
  ! grep -q 'standard output' told
}

@test "each program's --help" {
  local program error
  for program in "$build_dir"/*/{create-diff-object,cvm-cli,klp-build,klpmake,lookup,kpatch,kpatch-*}; do
    [[ -f $program && -x $program ]] || continue
    case ${program##*/} in
      kpatch-judge | kpatch-mutants | kpatch-shipped-code | kpatch-extract-proof | lookup) continue ;;  # have none
      kpatch-attest) error=2 ;;
      *) error=1 ;;
    esac
    loses $error "$program" --help
    loses $error "$program" --version
    "$program" --help >/dev/null
  done
}

@test "kpatch: what a module says, statements, the state" {
  local kpatch=$build_dir/kpatch/kpatch
  write_module livepatch-fix.ko "$(uname -r)" CVE-2026-1000
  loses 1 "$kpatch" info ./livepatch-fix.ko
  loses 1 "$kpatch" info ./livepatch-fix.ko --json
  loses 1 "$kpatch" vex ./livepatch-fix.ko
  loses 1 "$kpatch" status --json
  loses 1 "$kpatch" list
  loses 1 "$kpatch" uname
  "$kpatch" info ./livepatch-fix.ko >/dev/null
}

@test "kpatch load: the exit code tells of the machine, whatever becomes of the line" {
  run bash -c '"$1" load --json ./none.ko >/dev/full' bash "$build_dir/kpatch/kpatch"
  [ "$status" -eq 1 ]
  [[ $output == *"can't be written"* || $output == *"only root"* ]]
}

@test "kpatch-attest: what is expected" {
  [ -x "$build_dir/attest/kpatch-attest" ] || skip_package "built without OpenSSL"
  write_module livepatch-fix.ko "$(uname -r)"
  loses 2 "$build_dir/attest/kpatch-attest" expect livepatch-fix.ko
}

@test "rules, and packages' spec files" {
  loses 1 "$build_dir/rules/kpatch-explain" data-layout
  loses 1 "$build_dir/rules/kpatch-explain" --json
  cp "$BATS_TEST_DIRNAME/patches/patch1.patch" fix.patch
  run bash -c '"$1" -o - -k 6.1.0 fix.patch >/dev/full' bash "$build_dir/package/kpatch-package-builder"
  [ "$status" -eq 1 ]
}
