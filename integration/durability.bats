#!/usr/bin/env bats
# What kpatch has said stays said when the power is cut right after: names are flushed with their folders.

bats_require_minimum_version 1.5.0

load skip.bash
load livepatch-files.bash

setup() {
  kpatch=${KPATCH_BUILD_DIR:-$BATS_TEST_DIRNAME/../build}/kpatch/kpatch
  store=$BATS_TEST_TMPDIR/store
  mkdir -p "$store/$(uname -r)"
  local program
  for program in strace bwrap; do command -v $program >/dev/null || skip_package "$program is missing"; done
  bwrap --dev-bind / / --tmpfs /var/lib true || skip_machine "no namespaces"
}

# traced COMMAND…: kpatch with a store of its own; what it changed and flushed is in $trace, in order.
traced() {
  trace=$BATS_TEST_TMPDIR/trace
  strace -f -y -qq -e trace=fsync,rename,renameat,renameat2,unlink,unlinkat -o "$trace" \
    bwrap --dev-bind / / --tmpfs /var/lib --bind "$store" /var/lib/kpatch "$kpatch" "$@" || { cat "$trace"; return 1; }
}

# flushed_after WORD: the first flush of the folder comes behind the change that WORD is in.
flushed_after() {
  awk -v word="$1" -v folder="/$(uname -r)>)" '
    index($0, word) { changed = 1 }
    changed && /fsync/ && index($0, folder) { flushed = 1 }
    END { exit !flushed }' "$trace" || { cat "$trace"; return 1; }
}

@test "that a livepatch is accepted is on the disk" {
  echo "$(cat /proc/sys/kernel/random/boot_id) 999999 999999" >"$store/$(uname -r)/livepatch_fix.trial"
  traced accept livepatch_fix
  [ ! -e "$store/$(uname -r)/livepatch_fix.trial" ]
  flushed_after .trial
}

@test "that a livepatch is installed, and is no longer, is on the disk" {
  write_module "$BATS_TEST_TMPDIR/livepatch-fix.ko" "$(uname -r)"
  write_module "$BATS_TEST_TMPDIR/livepatch-other.ko" "$(uname -r)"
  traced install "$BATS_TEST_TMPDIR/livepatch-fix.ko" "$BATS_TEST_TMPDIR/livepatch-other.ko"
  flushed_after livepatch-fix.ko
  traced uninstall livepatch-fix
  flushed_after livepatch-fix.ko
  [ ! -e "$store/$(uname -r)/livepatch-fix.ko" ]
  [ -e "$store/$(uname -r)/livepatch-other.ko" ]
}
