#!/usr/bin/env bats
# klp-build's care for its data: on a cache of made-up packages, so that what is removed is nobody's.

bats_require_minimum_version 1.5.0

load skip.bash

setup() {
  klp_build=${KPATCH_BUILD_DIR:-$BATS_TEST_DIRNAME/../build}/klp-build/klp-build
  [ -x "$klp_build" ] || skip_package "built without libclang"
  command -v dpkg-deb >/dev/null || skip_package "dpkg-deb isn't installed"
  export HOME=$BATS_TEST_TMPDIR KPATCH_CACHE=$BATS_TEST_TMPDIR/cache
  unset XDG_CONFIG_HOME KLP_WORK_DIR KLP_DATA_DIR KLP_KERNEL_SOURCE
  mkdir -p "$HOME/.config/klp-build" "$HOME/data"
  printf 'work_dir=~/lps\ndata_dir=~/data\n' >"$HOME/.config/klp-build/config"
  one=6.1.0-98-cloud-amd64 two=6.1.0-99-cloud-amd64 other=6.12.99+deb13-cloud-amd64
  printf '15.5u1,SLE,%s,2099-01-01\n15.5u2,SLE,%s,2099-01-01\n' "$one" "$two" >"$HOME/data/codestreams.csv"
  "$klp_build" data >/dev/null  # makes the cache
  cd "$HOME" || return 1
}

klp() { run --separate-stderr "$klp_build" "$@"; printf 'exit %s\n%s\n%s\n' "$status" "$output" "$stderr"; }

# entry KIND DIGIT KEY: a folder of the cache.
entry() {
  local folder
  folder=$KPATCH_CACHE/$1/$(printf "$2%.0s" {1..32})
  mkdir -p "$folder"
  printf '%b' "$3" >"$folder/key.txt"
  touch "$folder/complete" "$folder.lock"
  echo "$folder"
}

# packages DIGIT RELEASE: with a vmlinux, and the package of symbols that it came in.
packages() {
  local folder tree=$BATS_TEST_TMPDIR/tree
  folder=$(entry packages "$1" "packages: 1\nrelease: $2\nversion: 6.1.1-1\n")
  mkdir -p "$folder/boot" "$tree/DEBIAN" "$tree/usr/lib/debug/boot"
  echo image >"$folder/boot/vmlinuz-$2"
  (cd "$folder" && md5sum "boot/vmlinuz-$2" >md5sums)
  echo 'int x;' | gcc -xc -c -o "$tree/usr/lib/debug/boot/vmlinux-$2" -
  printf 'Package: linux-image-%s-dbg\nVersion: 6.1.1-1\nArchitecture: amd64\nMaintainer: a <a@b>\nDescription: x\n' "$2" >"$tree/DEBIAN/control"
  (cd "$tree" && md5sum usr/lib/debug/boot/* >DEBIAN/md5sums)
  dpkg-deb -b "$tree" "$folder/linux-image-$2-dbg_6.1.1-1_amd64.deb" >/dev/null
  cp -r "$tree/usr" "$folder/"
  rm -r "$tree"
  echo "$folder"
}

@test "data --verify-all: what isn't as it was packed goes" {
  local first second
  first=$(packages 1 "$one") second=$(packages 2 "$two")
  klp data --verify-all
  [ "$status" -eq 0 ]
  [ "$(grep -c 'there, and as it was packed' <<<"$output")" -eq 2 ]
  echo more >>"$first/usr/lib/debug/boot/vmlinux-$one"
  klp data --verify-all
  [ "$status" -eq 1 ]
  [[ $output == *"15.5u1 "*"damaged, and removed: usr/lib/debug/boot/vmlinux-$one isn't as its package had it"* ]]
  [ ! -e "$first" ]
  echo other >"$second/boot/vmlinuz-$two"
  klp data --verify-all
  [ "$status" -eq 1 ]
  [[ $output == *"damaged, and removed: boot/vmlinuz-$two isn't as its package had it"* ]]
  first=$(packages 1 "$one")
  truncate -s -8 "$first/linux-image-$one-dbg_6.1.1-1_amd64.deb"
  klp data --verify-all --filter 15.5u1
  [ "$status" -eq 1 ]
  [[ $output == *"damaged, and removed: linux-image-$one-dbg_6.1.1-1_amd64.deb can't be read"* ]]
}

@test "data --force fetches what is there once more; --download alone leaves it" {
  local first
  first=$(packages 1 "$one")
  mkdir bin
  for program in apt-get apt-cache; do printf '#!/bin/sh\nexit 1\n' >bin/$program && chmod +x bin/$program; done
  PATH=$PWD/bin:$PATH klp data --download --filter 15.5u1
  [ "$status" -eq 0 ]
  [ -e "$first" ]
  PATH=$PWD/bin:$PATH klp data --download --force --filter 15.5u1
  [ "$status" -eq 1 ]
  [[ $stderr == *"15.5u1: "* ]]
  [ ! -e "$first" ]
}

@test "data --cleanup-obsolete: what was a codestream and is none any more; not what others have" {
  local first second third
  first=$(packages 1 "$one") second=$(packages 2 "$two") third=$(packages 3 "$other")
  klp data --cleanup-obsolete
  [ "$status" -eq 0 ]
  [ -e "$second" ]
  sed -i 2d data/codestreams.csv
  klp data --cleanup-obsolete
  [ "$status" -eq 0 ]
  [[ $output == *"$two 6.1.1-1: removed"* ]]
  [ -e "$first" ]
  [ ! -e "$second" ]
  [ -e "$third" ]
}

@test "clean-sources: sources and bases of codestreams; packages stay, and what is nobody's codestream" {
  local first source base of_two shared own
  first=$(packages 1 "$one")
  source=$(entry source 4 'source package: linux-source-6.1\nversion: 6.1.1-1\n')
  shared=$(entry source 5 'source package: linux-source-6.1\nversion: 6.1.2-1\n')
  packages 2 "$two" >/dev/null
  base=$(entry base 6 "base: stock 2\nrelease: $one\nsource path: $source/tree\n")
  of_two=$(entry base 7 "base: stock 2\nrelease: $two\nsource path: $shared/tree\n")
  own=$(entry base 8 "base: own 2\nrelease: $one\nsource path: /somewhere\n")
  klp clean-sources --filter 15.5u1
  [ "$status" -eq 0 ]
  [[ $output == *"15.5u1: what was prepared of it: removed"*"linux-source-6.1 6.1.1-1: removed"*"2 removed, 0 in use"* ]]
  [ ! -e "$base" ]
  [ ! -e "$source" ]
  [ -e "$first" ]
  [ -e "$of_two" ]
  [ -e "$shared" ]
  [ -e "$own" ]
}
