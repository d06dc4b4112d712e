#!/usr/bin/env bats
# --bundle and --from-bundle: a machine with an empty cache and without a network builds the same bytes.

bats_require_minimum_version 1.5.0

load bad-input.bash

setup() {
  stock_inputs
  patch=$BATS_TEST_DIRNAME/patches/patch2.patch
}

@test "all that a build needs, in one file: the same bytes without a network" {
  unshare --map-root-user --net true 2>/dev/null || skip_machine "no network namespaces here"
  "$kpatch_build" -a "$release" -n livepatch-there --fixes CVE-2026-1 -R -o "$BATS_TEST_TMPDIR/here" --bundle "$BATS_TEST_TMPDIR/all.tar.zst" "$patch"
  mkdir "$BATS_TEST_TMPDIR/cache" "$BATS_TEST_TMPDIR/empty"
  cd "$BATS_TEST_TMPDIR/empty"
  run --separate-stderr unshare --map-root-user --net env KPATCH_CACHE="$BATS_TEST_TMPDIR/cache" HOME="$BATS_TEST_TMPDIR/empty" \
    "$kpatch_build" --from-bundle "$BATS_TEST_TMPDIR/all.tar.zst" -o "$BATS_TEST_TMPDIR/there"
  printf '%s\n' "$output" "$stderr"
  [ "$status" -eq 0 ]
  cmp "$BATS_TEST_TMPDIR/here/livepatch-there.ko" "$BATS_TEST_TMPDIR/there/livepatch-there.ko"
  chmod -R u+w "$BATS_TEST_TMPDIR/cache"
  rm -rf "$BATS_TEST_TMPDIR/cache"
}

# not_a_bundle: bundle.tar.zst of what is in $tree is refused by a message with the word.
not_a_bundle() {
  tar -C "$tree" --zstd -cf "$BATS_TEST_TMPDIR/bundle.tar.zst" .
  KPATCH_CACHE=$BATS_TEST_TMPDIR/cache run -1 "$kpatch_build" --from-bundle "$BATS_TEST_TMPDIR/bundle.tar.zst" -o "$BATS_TEST_TMPDIR/out"
  echo "$output"
  [[ $output == *"error: --from-bundle "*"$1"* && ! -e $BATS_TEST_TMPDIR/out ]]
}

@test "what is no bundle, and one that says what isn't so" {
  tree=$BATS_TEST_TMPDIR/tree
  mkdir -p "$tree"
  echo '{}' >"$tree/bundle.json"
  not_a_bundle "damaged"
  echo '{"version": 2}' >"$tree/bundle.json"
  not_a_bundle "later kpatch-build"
  echo '{"version": 1, "release": "r", "name": "n", "patches": ["../../etc/passwd"]}' >"$tree/bundle.json"
  not_a_bundle "outside"
  mkdir -p "$tree/entries/source/0123456789abcdef0123456789abcdef"
  echo 'source package: other' >"$tree/entries/source/0123456789abcdef0123456789abcdef/key.txt"
  not_a_bundle "isn't what its key says"
  head -c 300 "$BATS_TEST_TMPDIR/bundle.tar.zst" >"$BATS_TEST_TMPDIR/cut.tar.zst"
  for file in "$BATS_TEST_TMPDIR/cut.tar.zst" "$patch" "$BATS_TEST_TMPDIR/absent"; do
    KPATCH_CACHE=$BATS_TEST_TMPDIR/cache run -1 "$kpatch_build" --from-bundle "$file" -o "$BATS_TEST_TMPDIR/out"
    echo "$output"
    [[ $output == *"error: --from-bundle "* ]]
  done
}

@test "files that were given by path are no part of a bundle" {
  run -1 "$kpatch_build" -a "$release" -m "$packages/lib/modules/$release" -o "$BATS_TEST_TMPDIR/out" --bundle "$BATS_TEST_TMPDIR/all.tar.zst" "$patch"
  [[ $output == *"--modules names something else"* && ! -e $BATS_TEST_TMPDIR/all.tar.zst ]]
}
