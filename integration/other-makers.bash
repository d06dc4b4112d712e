# Livepatches of other makers, for tests of what reads them. After stock_inputs (bad-input.bash).

# by_hand [FLAG…]: $work/by-hand.ko, built by kbuild in the base that kpatch-build has made.
by_hand() {
  local entry base=
  for entry in "$shared"/base/*/; do
    [ ! -e "$entry/complete" ] || ! grep -qxF "release: $release" "$entry/key.txt" || base=$entry
  done
  work=$BATS_TEST_TMPDIR/by-hand
  mkdir -p "$work"
  cp "$BATS_TEST_DIRNAME/verify/by-hand.c" "$work"
  echo 'obj-m := by-hand.o' >"$work/Kbuild"
  make -C "$base/kbuild" M="$work" CC=gcc-12 KCFLAGS="$*" modules >"$work/log" 2>&1 || { cat "$work/log"; return 1; }
}
