#!/usr/bin/env bats
# The way of a user: patch1, then patch2 that replaces it and patches a module too, with the module there before and
# after, in any order of disabling, unloading and loading again. See story-guest.sh.

bats_require_minimum_version 1.5.0

setup() {
  source "$BATS_TEST_DIRNAME/kernels.bash"
  why=$(missing_for_guests) || skip "$why"
}

@test "the story on the stock 6.12 kernel" { "$BATS_TEST_DIRNAME/story-run" 6.12; }
@test "the story on the stock 6.1 kernel" { "$BATS_TEST_DIRNAME/story-run" 6.1; }
# An own kernel costs a kernel build: only where KPATCH_TEST_KERNELS names it.
own_kernel_wanted() {
  [[ " ${KPATCH_TEST_KERNELS:-} " = *" $1 "* ]] || skip "KPATCH_TEST_KERNELS doesn't name $1"
}

@test "the story on an own kernel with IBT" { own_kernel_wanted own-ibt; "$BATS_TEST_DIRNAME/story-run" own-ibt; }
@test "the story on an own kernel without IBT and retpolines" { own_kernel_wanted own-noibt; "$BATS_TEST_DIRNAME/story-run" own-noibt; }
