#!/usr/bin/env bats
# --full and the quick way make the same diff objects, for each kind of change. Only on kernels of one's own, which are
# built here in full: where KPATCH_TEST_KERNELS names own-ibt or own-noibt. See full-run.

bats_require_minimum_version 1.5.0

setup() {
  source "$BATS_TEST_DIRNAME/kernels.bash"
  [ -x "$(kpatch_build_program)" ] || skip "kpatch-build isn't built"
}

same_on() {
  [[ " ${KPATCH_TEST_KERNELS:-} " = *" $1 "* ]] || skip "KPATCH_TEST_KERNELS doesn't name $1"
  KPATCH_TEST_OUT=$BATS_TEST_TMPDIR "$BATS_TEST_DIRNAME/full-run" "$1"
}

@test "--full makes the diff objects of the quick way on a kernel with IBT" { same_on own-ibt; }
@test "--full makes the diff objects of the quick way on a kernel without IBT and retpolines" { same_on own-noibt; }
