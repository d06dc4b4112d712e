# A guest that plays chapters: patches are built and staged, a kernel is booted, NAME-guest.sh is run in it, and each of
# its chapters has a result: "ok CHAPTER" or "failed CHAPTER: why", further lines of it indented.
# shellcheck shell=bash

# shellcheck source=integration/kernels.bash
. "$(dirname "${BASH_SOURCE[0]}")/kernels.bash"

# set_stage NAME KERNEL PATCH…: builds the patches for the kernel (as in kernels.bash) as livepatch-PATCH, into
# ROOT/NAME. Sets root, out, and what use_kernel and own_kernel set.
set_stage() {
  local name=$1 kernel_name=$2 patch here
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  shift 2
  use_kernel "$kernel_name" || return 1
  out=${KPATCH_TEST_OUT:-$(test_cache)/$name}/${kernel_name//:/-}
  root=$out/root
  rm -rf "$root"
  mkdir -p "$root/$name"
  for patch in "$@"; do
    if ! timeout 1800 "$(kpatch_build_program)" "${build_options[@]}" -n "livepatch-$patch" -o "$root/$name" \
      "$here/patches/$patch.patch" >"$out/$patch.log" 2>&1; then
      echo "failed $patch: the build: $(tail -n 5 "$out/$patch.log")"
      return 1
    fi
  done
  own_kernel || return 1
  cp "$here/$name-guest.sh" "$root/run.sh"
}

# play SECONDS CHAPTER…: boots what is staged; prints the results, and fails when one of them is bad.
play() {
  local seconds=$1 failed=0
  shift
  run_guest "$kernel" "$release" "$root" "$out/guest" "$seconds" || failed=1
  results "$@" && return $failed
}

# results CHAPTER…: of a guest that has run.
results() {
  local chapter failed=0
  for chapter in "$@"; do
    if grep -qx "@@ ok $chapter" "$out/guest"; then
      echo "ok $chapter"
    else
      echo "failed $chapter: $(sed -n "/^@@ begin $chapter\$/,/^@@ failed/p" "$out/guest" | grep -v '^@@' | sed -n 1,12p)" | sed '2,$s/^/  /'
      failed=1
    fi
  done
  return $failed
}
