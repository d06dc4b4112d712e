#!/usr/bin/env bats
# Packages of us, as packaging/ makes them: what they hold, what they ask for, and that what was unpacked runs.

bats_require_minimum_version 1.5.0

load skip.bash

setup_file() {
  # A fixed place, which is what compilers' caches go by.
  export work=${KPATCH_BUILD_DIR:-$BATS_TEST_DIRNAME/../build}/packaging
  mkdir -p "$work/tmp"
  work=$(cd "$work" && pwd)
  export TMPDIR=$work/tmp
}

setup() {
  top=$BATS_TEST_DIRNAME/..
  packaging=$top/packaging
  version=$(sed -n "s/^project('kpatch'.*, version: '\([^']*\)'.*/\1/p" "$top/meson.build")
  root=$BATS_TEST_TMPDIR/root
  mkdir -p "$root"
}

needs() {
  local program
  for program; do command -v "$program" >/dev/null || skip_package "$program is missing"; done
}

# What takes minutes.
in_full() { [ -n "${KPATCH_TEST_ALL:-}" ] || skip_optional "only with ./check --all"; }

# This is about the packages: they are compiled like build/, of which ccache may have
# all (CXX="ccache c++" when build/ was configured, or an earlier run of this).
as_in_build() {
  export PATH=/usr/lib/ccache:$PATH MESON_OPTIONS='--buildtype=debugoptimized -Dwerror=true' CCACHE_NOHASHDIR=1
  # debhelper has a home of its own.
  CCACHE_DIR=$(ccache --get-config cache_dir 2>/dev/null) && export CCACHE_DIR
  export DEB_CFLAGS_SET='' DEB_CXXFLAGS_SET='' DEB_CPPFLAGS_SET='' DEB_LDFLAGS_SET=''
}

# holds FOLDER: the programs below it run, and find their data files; the rest is there.
holds() {
  local program
  for program in kpatch kpatch-build kpatch-package kpatch-package-builder create-diff-object; do
    run "$1/bin/$program" --version
    [ "$output" = "$program $version" ] || { echo "$output"; return 1; }
    [ -n "$(compgen -G "$1/share/man/man1/$program.1*")" ]
  done
  (cd "$top/kmod-template" && find . -name '*.[ch]') | sort |
    diff - <(cd "$1/share/kpatch/kmod-template" && find . -type f | sort)
  [ -f "$1/share/kpatch/kbuild/query.mk" ]
  grep -qE '^ExecStart=.*/bin/kpatch load --boot' "$1/lib/systemd/system/kpatch.service"
}

@test "the version is the same everywhere" {
  [ -n "$version" ]
  [ "$(sed -nE '1s/^kpatch \(([^)]*)\).*/\1/p' "$packaging/debian/changelog")" = "$version" ]
  [ "$(sed -nE 's/^Version: *//p' "$packaging/kpatch.spec")" = "$version" ]
  grep -qF "> - $version-1" "$packaging/kpatch.spec"
}

@test "Debian's package is built with what setup/packages.txt says" {
  # g++ is always there when packages are built.
  diff <("$top/setup/install" --list tools | grep -vx 'g++') \
    <(sed -n '/^Build-Depends:/,/^$/p' "$packaging/debian/control" | tr ',' '\n' | awk '{ sub(/^Build-Depends:/, "") } $1 { print $1 }' |
      grep -v debhelper | sort)
}

@test "each option of --help is in the manual page, and the other way round" {
  local build=${KPATCH_BUILD_DIR:-$top/build} folder program
  for program in kpatch kpatch-build kpatch-build/kpatch-rebuild rules/kpatch-explain create-diff-object sign/kpatch-sign sign/kpatch-keys deploy/cvm-cli deploy/kpatch-deploy agent/kpatch-agent attest/kpatch-attest verify/kpatch-verify try/kpatch-try \
    package/kpatch-package package/kpatch-package-builder; do
    folder=${program%/*} program=${program#*/}
    diff <("$build/$folder/$program" --help | sed 's|`[^`]*`||' | grep -oE '(^|[ ,[])--[a-z][a-z-]*' | grep -oE -e '--.*' | sort -u) \
      <(grep -oE '(Fl|,) -[a-z][a-z-]*' "$top/doc/$program.1" | grep -oE -e '-[a-z-]+$' | sed 's/^/-/' | sort -u) ||
      { echo "$program"; return 1; }
  done
}

@test "Debian's package: built, without an error of lintian's, unpacked" {
  in_full
  needs dpkg-buildpackage dh lintian
  as_in_build
  export DEB_BUILD_OPTIONS='nocheck noautodbgsym'
  rm -rf "$work/deb"
  "$packaging/deb" "$work/deb"
  deb=$(compgen -G "$work/deb/kpatch-build_${version}_*.deb")
  run lintian --allow-root --fail-on error "$deb"
  echo "$output"
  [ "$status" -eq 0 ]
  target=$(compgen -G "$work/deb/kpatch_${version}_*.deb")
  [ -z "$(dpkg-deb -f "$target" Depends)" ]
  dpkg-deb -x "$target" "$root"
  for package in $("$top/setup/install" --list kernel); do
    dpkg-deb -f "$deb" Depends | tr -d ' ' | tr ',' '\n' | grep -xF "$package"
  done
  dpkg-deb -x "$deb" "$root"
  holds "$root/usr"
}

@test "RPM: built, unpacked" {
  needs rpmbuild rpm2cpio cpio
  in_full
  as_in_build
  rm -rf "$work/rpm"
  "$packaging/rpm" "$work/rpm" --nodeps --define 'optflags %{nil}'
  rpm=$(compgen -G "$work/rpm/kpatch-build-$version-1*.rpm" | grep -v debug)
  [ "$(rpm -qp --qf '%{license}' "$rpm")" = GPL-2.0-only ]
  rpm -qlp "$rpm" | grep -x /usr/bin/kpatch-build
  [ -f "$work/rpm/kpatch-$version-1.src.rpm" ]
  target=$(compgen -G "$work/rpm/kpatch-$version-1*.rpm" | grep -v 'debug\|src')
  for package in "$rpm" "$target"; do (cd "$root" && rpm2cpio "$package" | cpio -idm --quiet); done
  holds "$root/usr"
}

@test "RPM: the spec is well formed" {
  needs rpmspec
  run rpmspec -q --qf '%{name} %{version} %{license}\n' "$packaging/kpatch.spec"
  [ "$output" = "kpatch $version GPL-2.0-only
kpatch-build $version GPL-2.0-only
kpatch-agent $version GPL-2.0-only" ] || { echo "$output"; return 1; }
}

@test "tarball: built, needs no library, runs where there is nothing else" {
  in_full
  needs dpkg-source bwrap
  [ -e /usr/share/doc/liblz4-dev ] || skip_package "liblz4-dev is missing"
  "$packaging/tarball" -b "$work/static" "$work"
  tar -xf "$work/kpatch-$version-$(uname -m).tar.xz" -C "$root" --strip-components=1
  holds "$root"
  for program in "$root"/bin/*; do
    run readelf -ldW "$program"
    [ "$status" -eq 0 ]
    [[ $output != *INTERP* && $output != *NEEDED* ]] || { echo "$output"; return 1; }
  done
  # Names of groups, and elfutils' debuginfod, are where glibc would load libraries of the machine's.
  DEBUGINFOD_URLS=http://127.0.0.1:1 bwrap --ro-bind "$root" / /bin/kpatch-build --version
}
