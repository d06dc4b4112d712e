#!/usr/bin/env bats
# Kernels from a folder of packages, packed as other distributions do: the livepatch is that of the kernel's own
# packages, byte for byte. With their sources, and all of them: integration/repacked-run.

bats_require_minimum_version 1.5.0

load skip.bash
load repacked.bash
load archive.bash

setup_file() {
  local why
  kpatch_build=${KPATCH_BUILD_DIR:-$BATS_TEST_DIRNAME/../build}/kpatch-build/kpatch-build
  [ -x "$kpatch_build" ] || { echo "kpatch-build isn't built"; return 1; }
  shared=${KPATCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kpatch}
  why=$(missing_for_repacking)
  release=${KPATCH_TEST_RELEASE:-$(newest_release 6.12)}
  [ -n "$why$release" ] || why="apt knows no packages of the stock 6.12 cloud kernel"
  [ -n "$why" ] || why=$(fetch_stock "$kpatch_build" "$shared" "$release") || true
  export why kpatch_build shared release
  [ -z "$why" ] || return 0
  find_stock "$shared" "$release"
  revision_of "$packages"
  export packages patch=$BATS_TEST_DIRNAME/patches/patch2.patch REPACK_MODULES='*netfilter/x*'
  KPATCH_CACHE=$shared "$kpatch_build" -a "$release" -o "$BATS_FILE_TMPDIR/own" "$patch"
  own_cache "$BATS_FILE_TMPDIR/cache" "$shared"
}

setup() { [ -z "$why" ] || skip_package "$why"; }

teardown() {
  [ ! -e "$BATS_TEST_TMPDIR/server" ] || kill "$(cat "$BATS_TEST_TMPDIR/server")"
}

# build DIR [OPTION…]: for the release, from that folder.
build() {
  local folder=$1
  shift
  run --separate-stderr timeout 600 "$kpatch_build" --packages "$folder" -a "$release" -o "$BATS_TEST_TMPDIR/out" "$@" "$patch"
  printf 'exit %s\n%s\n%s\n' "$status" "$output" "$stderr"
}

repacked() { "$BATS_TEST_DIRNAME/repack" "$1" "$release" "$packages" '' "$BATS_TEST_TMPDIR/packages"; }

same_as_own() {
  [ "$status" -eq 0 ]
  cmp "$BATS_TEST_TMPDIR/out/livepatch-patch2.ko" "$BATS_FILE_TMPDIR/own/livepatch-patch2.ko"
}

refused() {
  local word
  [ "$status" -eq 1 ] || return 1
  for word in "$@"; do grep -qF -- "$word" <<<"$stderr" || { echo "the message doesn't say: $word"; return 1; }; done
  [ ! -e "$BATS_TEST_TMPDIR/out/livepatch-patch2.ko" ]
}

@test "RHEL's packages: the same livepatch; from the cache, too, when they are gone" {
  repacked rhel
  build "$BATS_TEST_TMPDIR/packages"
  same_as_own
  rm -r "$BATS_TEST_TMPDIR/packages" "$BATS_TEST_TMPDIR/out"
  run timeout 600 "$kpatch_build" -a "$release" -o "$BATS_TEST_TMPDIR/out" "$patch"
  echo "$output"
  [[ $output == *"$release: from packages that --packages gave once"* ]]
  same_as_own
}

@test "Ubuntu's packages without the debug package: vmlinux by its build id, or the package is named" {
  local port=18217
  repacked ubuntu
  rm "$BATS_TEST_TMPDIR"/packages/*.ddeb
  build "$BATS_TEST_TMPDIR/packages"
  refused 'lacks the debug package' "linux-image-unsigned-$release-dbgsym of Ubuntu"
  debuginfod -F -p $port -d :memory: "$packages/usr/lib/debug" >"$BATS_TEST_TMPDIR/log" 2>&1 3>&- &
  echo $! >"$BATS_TEST_TMPDIR/server"
  for _ in $(seq 60); do
    ! grep -q 'fts traversed' "$BATS_TEST_TMPDIR/log" || break
    sleep 1
  done
  DEBUGINFOD_URLS=http://localhost:$port build "$BATS_TEST_TMPDIR/packages"
  same_as_own
}

@test "a folder that isn't there, is empty, or has other kernels" {
  build "$BATS_TEST_TMPDIR/none"
  refused 'none: no such folder'
  mkdir "$BATS_TEST_TMPDIR/empty"
  build "$BATS_TEST_TMPDIR/empty"
  refused 'empty: there is no .deb, .ddeb, .rpm or .dsc in it'
  touch "$BATS_TEST_TMPDIR/file"
  build "$BATS_TEST_TMPDIR/file"
  refused 'file: a file, not a folder'
}

@test "a package that is cut off is named" {
  repacked ubuntu
  truncate -s "$(($(stat -c %s "$BATS_TEST_TMPDIR"/packages/*.ddeb) / 2))" "$BATS_TEST_TMPDIR"/packages/*.ddeb
  build "$BATS_TEST_TMPDIR/packages"
  refused "can't unpack vmlinux from linux-image-unsigned-$release-dbgsym"
}

@test "a snapshot of an archive, long out of date, whose signature is verified all the same" {
  local day=debian/20200101T000000Z r=6.12.95+deb12-cloud-amd64 archive=$BATS_TEST_TMPDIR/archive
  [ "$(uname -m)" = x86_64 ] || skip_machine "Debian's kernels are those of x86-64 here"
  command -v gpg >/dev/null || skip_package "gpg isn't installed"
  signing_key "$BATS_TEST_TMPDIR"
  (snapshot "$archive/$day" bookworm "linux-image-$r" "linux-image-$r-dbg" "linux-headers-$r" linux-source-6.12)
  (snapshot "$archive/${day/debian/debian-security}" bookworm-security something)
  gpgconf --kill all
  export KPATCH_CACHE=$BATS_TEST_TMPDIR/cache
  run --separate-stderr "$kpatch_build" --list-kernels=bookworm --archive "file://$archive/$day" --archive-key "$BATS_TEST_TMPDIR/key.gpg"
  echo "$output $stderr"
  [ "$status" -eq 0 ]
  grep -F "$r" <<<"$output" | grep -vF ': no '
  rm -r "$KPATCH_CACHE"
  run "$kpatch_build" --list-kernels=bookworm --archive "file://$archive/$day"
  echo "$output"
  ! grep -F "$r" <<<"$output" || return 1
  grep -E "NO_PUBKEY|not signed|couldn't be verified" <<<"$output"
}
