#!/usr/bin/env bats
# kpatch-package-builder and kpatch-package: what packages of livepatches hold, and what happens where they are installed,
# upgraded and removed: in roots of their own, with a kpatch that writes down what it was asked for.

bats_require_minimum_version 1.5.0

load bad-input.bash
load livepatch-files.bash

setup() {
  build_dir=${KPATCH_BUILD_DIR:-$BATS_TEST_DIRNAME/../build}
  build_dir=$(cd "$build_dir" && pwd)
  release=6.12.117+deb12-cloud-amd64
  stand_ins=$BATS_TEST_TMPDIR/bin
  mkdir -p "$stand_ins" "$BATS_TEST_TMPDIR/work"
  export PATH=$stand_ins:$build_dir/package:$build_dir/kpatch:$PATH
  unset SOURCE_DATE_EPOCH DEBEMAIL DEBFULLNAME
  cd "$BATS_TEST_TMPDIR/work" || return 1
  cp "$BATS_TEST_DIRNAME/patches/patch1.patch" livepatch-test.patch
}

needs() {
  local program
  for program; do command -v "$program" >/dev/null || skip_package "$program is missing"; done
}

# A kpatch-build that makes a module of the name that it is asked for, without a compiler for kernels.
stand_in_kpatch_build() {
  {
    echo '#!/bin/bash'
    declare -f write_module
    cat <<'SCRIPT'
echo "$*" >>"$KPATCH_BUILD_LOG"
while [ $# -gt 1 ]; do case $1 in -a) release=$2 ;; -n) name=$2 ;; -o) out=$2 ;; esac; shift; done
[ -f "$1" ] && mkdir -p "$out" && write_module "$out/$name.ko" "$release"
SCRIPT
  } >"$stand_ins/kpatch-build"
  chmod +x "$stand_ins/kpatch-build"
  export KPATCH_BUILD_LOG=$BATS_TEST_TMPDIR/kpatch-build.log
}

# what LINE…: the output has these lines and no other ones.
is() { diff <(printf '%s\n' "$@") <(printf '%s\n' "$output"); }

refused() { [ "$status" -eq "$1" ] && [[ $output == *"$2"* ]] || { echo "$status: $output"; return 1; }; }

# --- the founding page ------------------------------------------------------------------------------------------

@test "builder: the page's commands, a real patch for a real kernel" {
  needs rpmbuild rpm
  stock_inputs
  export PATH=$build_dir/kpatch-build:$PATH
  run kpatch-package-builder -b livepatch-test.patch -k "$release"
  [ "$status" -eq 0 ] || { echo "$output"; return 1; }
  # shellcheck disable=SC2154  # lines is bats'
  spec=$(sed -n 's/.*writing spec file to \(.*\)\.\.\.$/\1/p' <<<"${lines[2]}")
  [[ $(basename "$spec") =~ ^kpatch_[A-Za-z0-9]{6}\.spec$ ]]
  [ ! -e "$spec" ]
  is 'kpatch-package-builder: generating spec file...' 'kpatch-package-builder: building RPM...' \
    "kpatch-package-builder: writing spec file to $spec..." \
    "kpatch-package-builder: writing kpatch-module-livepatch-test-1-1.$(uname -m).rpm..."

  run rpm -qip "kpatch-module-livepatch-test-1-1.$(uname -m).rpm"
  for line in 'Name        : kpatch-module-livepatch-test' 'Version     : 1' 'Release     : 1' \
    "Architecture: $(uname -m)" 'Install Date: (not installed)' 'Group       : System Environment/Kernel' \
    'License     : GPLv2' 'Signature   : (none)' 'Source RPM  : kpatch-module-livepatch-test-1-1.src.rpm' \
    'Summary     : kpatch livepatch module' 'Package generated from livepatch-test.patch by kpatch-package-builder'; do
    grep -xF "$line" <<<"$output"
  done

  run rpm -qlp "kpatch-module-livepatch-test-1-1.$(uname -m).rpm"
  is "/var/lib/kpatch/$release/kpatch-livepatch-test.ko"

  # File, .modinfo and so sysfs agree on the name.
  rpm2cpio ./*.rpm | cpio -id --quiet
  [ "$(modinfo -F name "var/lib/kpatch/$release/kpatch-livepatch-test.ko")" = kpatch_livepatch_test ]
}

@test "builder: -h says what the page says, and then the rest; -v" {
  run -0 kpatch-package-builder -h
  printf '%s\n' "$output" >help
  [ "$(head -n 2 help)" = 'usage: kpatch-package-builder [-h] [-v] [-o FILE | -b] [-k VERSION] [-a ARCH]
                              [--set-release NUM] [--set-version NUM] [-d]' ]
  while IFS= read -r line; do grep -qxF -- "$line" help || { echo "missing: $line"; return 1; }; done <<'HELP'
Build an RPM package or an RPM spec file to install and manage a kpatch
livepatch module.

positional arguments:
  PATCH                 patch file from which to build the livepatch module

optional arguments:
  -h, --help            show this help message and exit
  -v, --version         show program's version number and exit
  -o FILE, --output FILE
                        name of output spec file
  -b, --build-rpm       build an RPM package
  -k VERSION, --kernel VERSION
                        target kernel version to build the livepatch module
                        against. Defaults to the currently running version
  -a ARCH, --arch ARCH  architecture to compile the patch against
  --set-release NUM     package release version
  --set-version NUM     package version number
  -d, --debug           print debug information

Usage examples:

Build an RPM package for a given patch:

    $ kpatch-package-builder --build-rpm module.patch

Generate a spec file to later build into an RPM:

    $ kpatch-package-builder --output module.spec module.patch
HELP
  run -0 kpatch-package-builder -v
  is "kpatch-package-builder 0.1.0"
}

@test "builder: the page's long options; a spec that rpmbuild takes later" {
  needs rpmbuild rpm
  stand_in_kpatch_build
  cp livepatch-test.patch module.patch
  run -0 kpatch-package-builder --build-rpm module.patch
  rpm -qlp "kpatch-module-module-1-1.$(uname -m).rpm" | grep -x "/var/lib/kpatch/.*/kpatch-module.ko"
  run -0 kpatch-package-builder --output module.spec module.patch
  is 'kpatch-package-builder: generating spec file...' 'kpatch-package-builder: writing module.spec...'
  rpmbuild -bb --define "_topdir $PWD/top" --define "_sourcedir $PWD" --define "_dbpath $PWD/db" module.spec
  [ -e "top/RPMS/$(uname -m)/kpatch-module-module-1-1.$(uname -m).rpm" ]
}

@test "builder: without -o NAME.spec here; -o - on stdout alone" {
  mkdir elsewhere && cp livepatch-test.patch elsewhere/fix-1.2.patch
  run -0 --separate-stderr kpatch-package-builder elsewhere/fix-1.2.patch -k "$release"
  [ -z "$output" ]
  grep -qx "Name: *kpatch-module-fix-1.2" fix-1.2.spec
  grep -qx "kpatch-build -a $release -n kpatch-fix-1-2 -o . \"%{SOURCE0}\"" fix-1.2.spec
  # shellcheck disable=SC2154  # stderr is bats'
  run -0 --separate-stderr kpatch-package-builder -o - -p elsewhere/fix-1.2.patch -k "$release"
  diff <(printf '%s\n' "$output") fix-1.2.spec
  [ "$stderr" = 'kpatch-package-builder: generating spec file...' ]
}

@test "builder: versions, releases and architectures are what is asked for" {
  needs rpmbuild rpm
  stand_in_kpatch_build
  run -0 kpatch-package-builder -b livepatch-test.patch --set-version 2 --set-release=7 -k 3.10.0-229.el7
  run -0 rpm -qp --qf '%{version} %{release}\n[%{filenames}\n]' "kpatch-module-livepatch-test-2-7.$(uname -m).rpm"
  is '2 7' "/var/lib/kpatch/3.10.0-229.el7.$(uname -m)/kpatch-livepatch-test.ko"
  run -0 --separate-stderr kpatch-package-builder -o - livepatch-test.patch -k 3.10.0-229.el7 -a arm64
  grep -qx 'ExclusiveArch: *aarch64' <<<"$output"
  grep -qx '/var/lib/kpatch/3.10.0-229.el7.aarch64/kpatch-livepatch-test.ko' <<<"$output"
  grep -qx 'Requires: *kernel-uname-r = 3.10.0-229.el7.aarch64' <<<"$output"
}

@test "builder: a module that is ready is packaged as it is" {
  needs rpmbuild rpm
  write_module livepatch-fix.ko "$release" CVE-2026-1
  printf 'signed~Module signature appended~\n' >>livepatch-fix.ko
  run -0 kpatch-package-builder -b livepatch-fix.ko
  rpm2cpio "kpatch-module-livepatch-fix-1-1.$(uname -m).rpm" | cpio -id --quiet
  cmp livepatch-fix.ko "var/lib/kpatch/$release/livepatch-fix.ko"
  rpm -qp --qf '%{description}\n' ./*.rpm | grep -x 'Fixes: CVE-2026-1'
  run kpatch-package-builder -b livepatch-fix.ko -k 6.1.0-9-amd64
  refused 1 "it is for $release, not for 6.1.0-9-amd64"
}

@test "builder: with SOURCE_DATE_EPOCH the same patch gives the same bytes" {
  needs rpmbuild
  stand_in_kpatch_build
  export SOURCE_DATE_EPOCH=1700000000
  mkdir one two
  (cd one && kpatch-package-builder -b ../livepatch-test.patch -k "$release")
  sleep 1.1
  (cd two && kpatch-package-builder -b ../livepatch-test.patch -k "$release")
  cmp one/*.rpm two/*.rpm
}

@test "builder: rpmlint has nothing to say but of what every module and the page's tags are" {
  needs rpmbuild rpmlint
  stand_in_kpatch_build
  run -0 kpatch-package-builder -b livepatch-test.patch -k "$release"
  # A .ko is a relocatable object; License, Summary and the lack of the rest are the page's; the store is ours to clean.
  cat >rpmlint.toml <<'TOML'
Filters = ["statically-linked-binary", "unstripped-binary-or-object", "missing-PT_GNU_STACK-section", "invalid-license GPLv2",
  "summary-not-capitalized", "no-url-tag", "no-signature", "no-packager-tag", "no-documentation", "no-changelogname-tag",
  "dangerous-command-in-%post rm", "dangerous-command-in-%postun rm"]
TOML
  run -0 rpmlint -c rpmlint.toml ./*.rpm
  [[ $output == *"0 errors, 0 warnings"* ]] || { echo "$output"; return 1; }
}

# --- wrong use --------------------------------------------------------------------------------------------------

@test "builder: one input, one output; usage errors end with 2" {
  run kpatch-package-builder
  refused 2 'one of the arguments PATCH, -p/--patch, --manifest is required'
  run kpatch-package-builder -b -o x.spec livepatch-test.patch
  refused 2 'argument -b/--build-rpm: not allowed with argument -o/--output'
  run kpatch-package-builder -p livepatch-test.patch livepatch-test.patch
  refused 2 'one patch makes a package'
  run kpatch-package-builder --manifest m.yaml livepatch-test.patch
  refused 2 "--manifest isn't allowed with a patch"
  run kpatch-package-builder --manifest m.yaml -k 6.1
  refused 2 'not allowed with --manifest'
  run kpatch-package-builder --bogus livepatch-test.patch
  refused 2 '--bogus: unknown option'
  [ ! -e x.spec ]
}

@test "builder: missing and wrong files, kernels, versions, architectures" {
  run kpatch-package-builder nothing.patch
  refused 1 'nothing.patch: there is no such file'
  mkdir folder.patch
  run kpatch-package-builder folder.patch
  refused 1 'it is no file'
  for kernel in ../../etc '6.12;reboot' '%{lua:os.exit()}' $'6.1\n6.2' .hidden; do
    run kpatch-package-builder livepatch-test.patch -k "$kernel"
    refused 1 "is no kernel's version"
  done
  for version in '1-2' '%{x}' '' ' ' '1;2'; do
    run kpatch-package-builder livepatch-test.patch -k "$release" --set-version "$version"
    refused 1 '--set-version'
    run kpatch-package-builder livepatch-test.patch -k "$release" --set-release "$version"
    refused 1 '--set-release'
  done
  run kpatch-package-builder livepatch-test.patch -a z80
  refused 1 "-a z80: no kernel's architecture"
  : >empty.patch
  cp /etc/passwd passwd
  for file in empty.patch passwd /dev/null; do
    run kpatch-package-builder "$file" -k "$release"
    [ "$status" -eq 1 ] || { echo "$file: $output"; return 1; }
  done
  [ -z "$(compgen -G '*.spec')" ]
  run kpatch-package-builder livepatch-test.patch -k "$release" --set-version 1..2
  refused 1 'no two dots in a row'
  printf 'no module' >x.ko
  run kpatch-package-builder x.ko
  refused 1 'it is no kernel module'
  run kpatch-package-builder livepatch-test.patch -k "$release" -o missing/x.spec
  refused 1 "can't write missing/x.spec"
}

@test "builder: hostile names of patches are refused, and nothing of them runs" {
  for name in 'a b.patch' '%{lua:io.open("ran","w")}.patch' '%(touch ran).patch' 'x;touch ran.patch' $'x\ntouch ran.patch' \
    '$(touch ran).patch' '`touch ran`.patch' '"x.patch' "x'.patch" '.hidden.patch' $'\e[31m.patch'; do
    cp livepatch-test.patch "$name"
    run kpatch-package-builder -b -k "$release" -- "$name"
    refused 1 'rename it'
    [[ $output != *$'\e'* ]]
    write_module x.ko "$release" && mv x.ko "${name%.patch}.ko"
    run kpatch-package -- "${name%.patch}.ko"
    refused 1 'rename it'
    [ ! -e ran ]
  done
  # What a module says of itself goes into the package's description.
  write_module x.ko "$release" '%{lua:x}'
  run kpatch-package-builder -b x.ko
  refused 1 'is no CVE, commit or advisory'
}

@test "builder: rpmbuild that is missing, that fails" {
  needs rpmbuild
  mkdir only && ln -s "$build_dir/package/kpatch-package-builder" only/
  PATH=$PWD/only run kpatch-package-builder -b livepatch-test.patch -k "$release"
  refused 1 "rpmbuild isn't installed"
  printf '#!/bin/sh\necho "fs/proc/meminfo.c:1: error: the reason"\nexit 2\n' >"$stand_ins/kpatch-build"
  chmod +x "$stand_ins/kpatch-build"
  export TMPDIR=$BATS_TEST_TMPDIR/tmp && mkdir "$TMPDIR"
  run kpatch-package-builder -b livepatch-test.patch -k "$release"
  refused 1 'rpmbuild failed with 1:'
  [[ $output == *'fs/proc/meminfo.c:1: error: the reason'* ]]
  [ -z "$(compgen -G '*.rpm')" ]
  [ -z "$(ls -A "$TMPDIR")" ] || { ls -A "$TMPDIR"; return 1; }
  run kpatch-package-builder -d -b livepatch-test.patch -k "$release"
  refused 1 'Executing(%build)'
}

# --- manifests --------------------------------------------------------------------------------------------------

@test "manifest: several packages, and several modules in one" {
  needs rpmbuild rpm
  stand_in_kpatch_build
  mkdir in && cp livepatch-test.patch in/a.patch && cp livepatch-test.patch in/b.patch
  cat >in/m.yaml <<YAML
packages:
  - name: both
    version: 3
    patches:
      - filename: a.patch
        kernels: [$release, 6.1.0-56-cloud-amd64]
  - name: stacked
    version: "1.10"
    patches:
      - {filename: a.patch, kernels: [$release]}
      - {filename: b.patch, kernels: [$release]}
YAML
  run -0 kpatch-package-builder --manifest in/m.yaml -b --set-release 2
  run -0 rpm -qp --qf '[%{filenames}\n]' "kpatch-module-both-3-2.$(uname -m).rpm"
  is /var/lib/kpatch/6.1.0-56-cloud-amd64/kpatch-a.ko "/var/lib/kpatch/$release/kpatch-a.ko"
  run -0 rpm -qp --qf '[%{filenames}\n]' "kpatch-module-stacked-1.10-2.$(uname -m).rpm"
  is "/var/lib/kpatch/$release/kpatch-a.ko" "/var/lib/kpatch/$release/kpatch-b.ko"
  run -0 rpm -qp --requires "kpatch-module-both-3-2.$(uname -m).rpm"
  grep -qx "(linux-image-$release or linux-image-6.1.0-56-cloud-amd64)" <<<"$output"
  # Two that are meant to be in effect at once don't replace each other.
  [ "$(grep -c -- ' -R ' "$KPATCH_BUILD_LOG")" -eq 2 ]
  run kpatch-package-builder --manifest in/m.yaml -o one.spec
  refused 2 'in/m.yaml has 2 packages'
  run -0 kpatch-package-builder --manifest in/m.yaml
  [ -e both.spec ]
  [ -e stacked.spec ]
}

# wrong LINE MESSAGE: the manifest on stdin is refused with them.
wrong() {
  cat >m.yaml
  run timeout 20 kpatch-package-builder --manifest m.yaml
  refused 1 "m.yaml${1:+:$1}: $2"
}

@test "manifest: what is wrong is named with its line" {
  wrong 3 'unknown key "patch"; a package has name, version, patches' <<<$'packages:\n  - name: a\n    patch: x\n'
  wrong 2 'a package lacks the key "version"' <<<$'packages:\n  - name: a\n    patches: []\n'
  wrong 4 'patches: the list is empty' <<<$'packages:\n  - name: a\n    version: 1\n    patches: []\n'
  wrong 4 'kernels: the list is empty' <<<$'packages:\n- {name: a, version: 1, patches: [\n  {filename: x.patch,\n  kernels: []}]}\n'
  wrong 3 '"name" a second time' <<<$'packages:\n  - name: a\n    name: b\n'
  wrong 1 'packages: the list is empty' <<<'packages: []'
  wrong 1 'packages: a list is meant' <<<'packages: none'
  wrong 1 'a manifest has keys: packages' <<<'just text'
  wrong '' 'a manifest has keys: packages' </dev/null
  wrong 2 'name: a text is meant' <<<$'packages:\n- {name: [x], version: 1, patches: [{filename: a, kernels: [b]}]}\n'
  wrong 3 '6.1 a second time' <<<$'packages:\n- {name: a, version: 1, patches: [\n  {filename: x.patch, kernels: [6.1, 6.1]}]}\n'
  wrong 2 'version 1-2: it begins with' <<<$'packages:\n- {name: a, version: 1-2, patches: [{filename: livepatch-test.patch, kernels: [6.1]}]}\n'
  wrong 2 'x.patch: there is no such file' <<<$'packages:\n- {name: a, version: 1, patches: [{filename: x.patch, kernels: [6.1]}]}\n'
  wrong 2 '"%{lua:x}": in a package' <<<$'packages:\n- {name: "%{lua:x}", version: 1, patches: [{filename: livepatch-test.patch, kernels: [6.1]}]}\n'
  wrong 3 '' <<<$'packages:\n  - name: a\n bad\n'
  run kpatch-package-builder --manifest none.yaml
  refused 1 "can't read none.yaml"
}

@test "manifest: tags, anchors, aliases and deep nests are refused at once" {
  wrong 1 'a tag, ' <<<'packages: !!python/object/apply:os.system ["touch ran"]'
  [ ! -e ran ]
  wrong 1 'an anchor' <<<$'a: &a [x, x]\nb: &b [*a, *a]\npackages: [*b]\n'
  wrong 2 'the referenced anchor is not defined' <<<$'packages:\n - *nobody\n'
  { printf 'packages: '; head -c 100000 /dev/zero | tr '\0' '['; } | wrong 1 ''
  { printf 'packages: "'; head -c 2000000 /dev/zero | tr '\0' 'x'; printf '"'; } | wrong '' 'more than 1 MiB'
  wrong '' 'several documents' <<<$'packages: []\n---\npackages: []\n'
}

# --- .deb -------------------------------------------------------------------------------------------------------

@test "deb: what it holds and says; the same module twice gives the same bytes" {
  needs dpkg-deb
  write_module kpatch-livepatch-test.ko "$release" CVE-2026-1 CVE-2026-2
  run -0 kpatch package kpatch-livepatch-test.ko --maintainer 'A B <a@example.org>'
  is "kpatch-module-livepatch-test_1-1_$(dpkg --print-architecture).deb"
  deb=$output
  dpkg-deb -c "$deb" | awk '{ print $1, $2, $6 }' | grep -v '/$' >files
  diff - files <<LIST
-rw-r--r-- root/root ./usr/share/doc/kpatch-module-livepatch-test/changelog.Debian.gz
-rw-r--r-- root/root ./usr/share/doc/kpatch-module-livepatch-test/copyright
-rw-r--r-- root/root ./var/lib/kpatch/$release/kpatch-livepatch-test.ko
LIST
  [ "$(dpkg-deb -f "$deb" Package Version Architecture Depends | tr '\n' '|')" = \
    "Package: kpatch-module-livepatch-test|Version: 1-1|Architecture: $(dpkg --print-architecture)|Depends: kpatch, linux-image-$release|" ]
  dpkg-deb -I "$deb" | grep -qx ' *Fixes: CVE-2026-1, CVE-2026-2'
  dpkg-deb -I "$deb" | grep -q 'postinst'
  touch kpatch-livepatch-test.ko -d 2020-01-01
  export SOURCE_DATE_EPOCH=1700000000
  mkdir other && cp kpatch-livepatch-test.ko other/ && chmod 600 other/*.ko
  kpatch-package --format deb -o one --maintainer 'A B <a@example.org>' kpatch-livepatch-test.ko
  (umask 077 && kpatch-package --format deb -o two --maintainer 'A B <a@example.org>' other/kpatch-livepatch-test.ko)
  cmp one/*.deb two/*.deb
  kpatch-package --format rpm -o one kpatch-livepatch-test.ko
  rpm -qlp one/*.rpm | grep -x "/var/lib/kpatch/$release/kpatch-livepatch-test.ko"
}

@test "deb: without an error of lintian's" {
  needs dpkg-deb lintian
  write_module kpatch-livepatch-test.ko "$release"
  DEBFULLNAME='A B' DEBEMAIL=a@kpatch.example kpatch-package --format deb kpatch-livepatch-test.ko
  # Scripts that can't break a transaction are what this is for; the rest a package of a module can't say.
  run -0 lintian --allow-root --fail-on error,warning --suppress-tags \
    maintainer-script-ignores-errors,initial-upload-closes-no-bugs,copyright-without-copyright-notice,bogus-mail-host,bogus-mail-host-in-debian-changelog ./*.deb
}

@test "deb: modules of one name for two kernels are one package, of two names two" {
  needs dpkg-deb
  mkdir one two
  write_module one/livepatch-fix.ko "$release"
  write_module two/livepatch-fix.ko 6.1.0-56-cloud-amd64
  write_module livepatch-Other_1.ko "$release"
  run -0 kpatch-package --format deb one/livepatch-fix.ko livepatch-Other_1.ko two/livepatch-fix.ko --set-version 4 --set-release 2
  is "kpatch-module-livepatch-fix_4-2_$(dpkg --print-architecture).deb" \
    "kpatch-module-livepatch-other-1_4-2_$(dpkg --print-architecture).deb"
  [ "$(dpkg-deb -f kpatch-module-livepatch-fix_4-2_*.deb Depends)" = \
    "kpatch, linux-image-$release | linux-image-6.1.0-56-cloud-amd64" ]
  run kpatch-package one/livepatch-fix.ko one/livepatch-fix.ko
  refused 1 'two modules are called livepatch-fix'
  write_module x.ko "$release" && mv x.ko renamed.ko
  run kpatch-package renamed.ko
  refused 1 'the module in it is called x; rename the file'
  run kpatch-package livepatch-test.patch
  refused 1 'packaged by kpatch-package-builder'
  run kpatch-package
  refused 1 'which module?'
  run kpatch-package --format zip renamed.ko
  refused 1 'deb or rpm is meant'
  run kpatch-package --maintainer $'x\nEvil: y <a@b>' one/livepatch-fix.ko
  refused 1 '--maintainer: "Name <name@example.org>" is meant'
  for version in abc 1_2; do
    run kpatch-package --format deb --set-version $version one/livepatch-fix.ko
    refused 1 "--set-version $version: it begins with a digit"
  done
  run -0 kpatch-package --format deb --set-version 1.2~rc1+b3 --set-release deb12 one/livepatch-fix.ko
  objcopy --only-keep-debug one/livepatch-fix.ko livepatch-fix.ko
  run kpatch-package livepatch-fix.ko
  refused 1 'debug information'
  SOURCE_DATE_EPOCH=now run kpatch-package one/livepatch-fix.ko
  refused 1 'SOURCE_DATE_EPOCH=now: seconds since 1970 are meant'
  SOURCE_DATE_EPOCH=now run kpatch-package --format rpm one/livepatch-fix.ko
  refused 1 'SOURCE_DATE_EPOCH=now: seconds since 1970 are meant'
  SOURCE_DATE_EPOCH=abc run kpatch vex ./one/livepatch-fix.ko
  refused 1 'SOURCE_DATE_EPOCH=abc: seconds since 1970 are meant'
}

# --- installed, upgraded, removed -------------------------------------------------------------------------------

# A root with busybox, in which the kernel $release runs, and a kpatch that writes down what it is asked for and ends
# with what /status has for the command.
make_root() {
  needs busybox chroot dash
  [ "$(id -u)" -eq 0 ] || skip_machine "only root enters another root"
  file -L "$(command -v busybox)" | grep -q 'statically linked' || skip_package "busybox-static is missing"
  root=$BATS_TEST_TMPDIR/root
  mkdir -p "$root"/{bin,usr/bin,dev,proc,sys/kernel/livepatch,sys/module,var/lib/kpatch,var/lib/rpm,tmp,status} \
    "$root"/var/lib/dpkg/{info,updates,triggers}
  : >"$root/var/lib/dpkg/status"
  : >"$root/dev/null"
  cp "$(command -v busybox)" "$root/bin/busybox"
  for applet in cat rm rmdir mkdir; do ln -s busybox "$root/bin/$applet"; done
  # busybox' own shell would take busybox' uname.
  cp "$(command -v dash)" "$root/bin/sh"
  ldd "$root/bin/sh" | grep -oE '/[^ ]+' | sort -u | xargs -I{} cp --parents -L {} "$root"
  printf '#!/bin/sh\n[ "$1" = -r ] && echo %s\n' "$release" >"$root/bin/uname"
  cat >"$root/usr/bin/kpatch" <<'SCRIPT'
#!/bin/sh
echo "$*" >>/log
[ ! -e "/status/$1" ] || exit "$(cat "/status/$1")"
name=${2##*/} name=${name%.ko}
while case $name in *-*) true ;; *) false ;; esac; do name=${name%%-*}_${name#*-}; done
case $1 in
  load) [ ! -e "/sys/module/$name" ] || exit 1; mkdir -p "/sys/kernel/livepatch/$name" "/sys/module/$name" ;;
  unload) rmdir "/sys/kernel/livepatch/$name" "/sys/module/$name" ;;
esac
SCRIPT
  chmod +x "$root/bin/uname" "$root/usr/bin/kpatch"
  echo 'quiet' >"$root/proc/cmdline"
  : >"$root/log"
  file=var/lib/kpatch/$release/kpatch-livepatch-test.ko
}

# with_manager MANAGER: sets install_package and remove_package, packages v1 and v2 of one name.
with_manager() {
  local version
  case $1 in rpm) needs rpmbuild rpm ;; deb) needs dpkg dpkg-deb ;; esac
  make_root
  manager=$1
  for version in 1 2; do
    contents=$version write_module kpatch-livepatch-test.ko "$release"
    kpatch-package --format "$manager" --set-version $version -o "v$version" kpatch-livepatch-test.ko
    cp kpatch-livepatch-test.ko "v$version"
  done
}
install_package() {
  if [ "$manager" = rpm ]; then
    run rpm --root "$root" --dbpath /var/lib/rpm -U --nodeps --ignorearch "$1"/*.rpm
  else
    run dpkg --root="$root" --force-depends --force-not-root --log=/dev/null -i "$1"/*.deb
  fi
}
remove_package() {
  if [ "$manager" = rpm ]; then
    run rpm --root "$root" --dbpath /var/lib/rpm -e kpatch-module-livepatch-test
  else
    run dpkg --root="$root" --force-depends --log=/dev/null -P kpatch-module-livepatch-test
  fi
}
# asked LINE…: what kpatch was asked for since the last time.
asked() {
  diff <([ $# -eq 0 ] || printf '%s\n' "$@") "$root/log" || return 1
  : >"$root/log"
}
done_well() { [ "$status" -eq 0 ] || { echo "$output"; return 1; }; }

a_life() {
  with_manager "$1"
  install_package v1
  done_well
  asked "load /$file"
  cmp "v1/kpatch-livepatch-test.ko" "$root/$file"
  # What was tried before is no reason to leave out the new one.
  echo 'boot 0 0' >"$root/var/lib/kpatch/$release/kpatch_livepatch_test.trial"
  install_package v2
  done_well
  asked "load /$file" 'unload kpatch_livepatch_test' "load /$file"
  cmp "v2/kpatch-livepatch-test.ko" "$root/$file"
  [ ! -e "$root/var/lib/kpatch/$release/kpatch_livepatch_test.trial" ]
  [ -d "$root/sys/kernel/livepatch/kpatch_livepatch_test" ]
  remove_package
  done_well
  asked 'unload kpatch_livepatch_test'
  [ ! -e "$root/sys/module/kpatch_livepatch_test" ]
  [ ! -e "$root/var/lib/kpatch/$release" ]
}
@test "rpm: installed, upgraded, removed" { a_life rpm; }
@test "deb: installed, upgraded, removed" { a_life deb; }

nothing_to_do() {
  with_manager "$1"
  echo 'quiet kpatch.enable=1 kpatch.enable=0' >"$root/proc/cmdline"
  install_package v1
  done_well
  asked
  remove_package
  echo 'kpatch.enable=0 kpatch.enable=1 *' >"$root/proc/cmdline"
  install_package v1
  asked "load /$file"
  remove_package
  asked 'unload kpatch_livepatch_test'
  # Another kernel, no livepatches (a root that is made for another machine), no kpatch.
  printf '#!/bin/sh\necho 6.1.0-56-cloud-amd64\n' >"$root/bin/uname"
  install_package v1
  install_package v2
  remove_package
  asked
  printf '#!/bin/sh\necho %s\n' "$release" >"$root/bin/uname"
  rmdir "$root/sys/kernel/livepatch"
  install_package v1
  remove_package
  asked
  mkdir "$root/sys/kernel/livepatch"
  rm "$root/usr/bin/kpatch"
  install_package v1
  done_well
  remove_package
  done_well
  [ ! -e "$root/$file" ]
}
@test "rpm: nothing is loaded with kpatch.enable=0, for another kernel, in a root that is no machine" { nothing_to_do rpm; }
@test "deb: nothing is loaded with kpatch.enable=0, for another kernel, in a root that is no machine" { nothing_to_do deb; }

failing() {
  local code
  with_manager "$1"
  # Refused, taken back, between, killed.
  for code in 1 2 3 137; do
    echo $code >"$root/status/load"
    install_package v1
    done_well
    asked "load /$file"
    [[ $output == *"kpatch_livepatch_test isn't loaded"* ]] || { echo "$output"; return 1; }
    # The old one is in effect, and the new one's transition was taken back: it isn't unloaded for that.
    mkdir -p "$root/sys/kernel/livepatch/kpatch_livepatch_test" "$root/sys/module/kpatch_livepatch_test"
    echo 1 >"$root/status/unload"
    install_package v2
    done_well
    if [ $code = 1 ]; then asked "load /$file" 'unload kpatch_livepatch_test'; else asked "load /$file"; fi
    cmp "v2/kpatch-livepatch-test.ko" "$root/$file"
    : >"$root/var/lib/kpatch/$release/other.ko"
    remove_package
    done_well
    [[ $output == *'stays loaded until the next start'* ]] || { echo "$output"; return 1; }
    asked 'unload kpatch_livepatch_test'
    [[ $output != *'scriptlet failed'* ]] || { echo "$output"; return 1; }
    [ ! -e "$root/$file" ]
    [ -e "$root/var/lib/kpatch/$release/other.ko" ]
    rm -r "$root/sys/kernel/livepatch/kpatch_livepatch_test" "$root/sys/module/kpatch_livepatch_test"
  done
}
@test "rpm: a kpatch that fails breaks no transaction" { failing rpm; }
@test "deb: a kpatch that fails breaks no transaction" { failing deb; }

@test "rpm: an older release doesn't stay beside a newer one" {
  with_manager rpm
  install_package v1
  run rpm --root "$root" --dbpath /var/lib/rpm -i --nodeps --ignorearch --noscripts v2/*.rpm
  [ "$status" -ne 0 ]
  run rpm --root "$root" --dbpath /var/lib/rpm -i --ignorearch --noscripts v2/*.rpm
  [[ $output == *'kpatch-module-livepatch-test < 2-1 conflicts with'* ]] || { echo "$output"; return 1; }
}
