#!/usr/bin/env bats
# One patch, built twice with all that may differ from one machine to the next: the same bytes. A base in another cache is
# made for it.

bats_require_minimum_version 1.5.0

load bad-input.bash

setup() {
  stock_inputs
  patches=("$BATS_TEST_DIRNAME/patches/patch2.patch" "$BATS_TEST_DIRNAME/kinds/shadow/any.patch")
  first=$BATS_FILE_TMPDIR/first/livepatch-same.ko
  [ -e "$first" ] || "$kpatch_build" -a "$release" -n livepatch-same --fixes CVE-2026-1 -j1 -o "${first%/*}" "${patches[@]}"
}

# same [PREFIX…]: kpatch-build, started by PREFIX, makes what the first run made. The patches lie elsewhere.
same() {
  local moved=() patch
  mkdir -p "$BATS_TEST_TMPDIR/a b/patches"
  for patch in "${patches[@]}"; do
    cp "$patch" "$BATS_TEST_TMPDIR/a b/patches/"
    moved+=("$BATS_TEST_TMPDIR/a b/patches/${patch##*/}")
  done
  (cd "$BATS_TEST_TMPDIR" && "$@" "$kpatch_build" -a "$release" -n livepatch-same --fixes CVE-2026-1 "${more[@]}" \
    -o "$BATS_TEST_TMPDIR/a b/out" "${moved[@]}")
  cmp "$first" "$BATS_TEST_TMPDIR/a b/out/livepatch-same.ko"
}

@test "another locale, time zone, umask, number of jobs, home, time, and folders for output and scratch" {
  more=(-j3)
  mkdir -p "$BATS_TEST_TMPDIR/tmp"
  umask 077
  same env LC_ALL=tr_TR.UTF-8 LANG=de_DE.UTF-8 TZ=Pacific/Kiritimati TMPDIR="$BATS_TEST_TMPDIR/tmp" SOURCE_DATE_EPOCH=1 \
    KBUILD_BUILD_TIMESTAMP=yesterday KBUILD_BUILD_USER=somebody KBUILD_BUILD_HOST=somewhere
}

@test "another user" {
  more=(-j2)
  unshare --map-user=1234 --map-group=1234 true 2>/dev/null || skip_machine "no user namespaces here"
  same unshare --map-user=1234 --map-group=1234 env USER=somebody LOGNAME=somebody KPATCH_CACHE="$shared"
}

@test "another cache, whose base is made for it" {
  more=(-j2)
  use_cache "$BATS_TEST_TMPDIR/another/cache"
  umask 027
  same env SOURCE_DATE_EPOCH="$(date +%s)" TZ=UTC-7
  [ -n "$(find "$KPATCH_CACHE/base" -name complete)" ]
}

@test "it would show: another name of a patch is in the module" {
  cp "${patches[0]}" "$BATS_TEST_TMPDIR/other.patch"
  "$kpatch_build" -a "$release" -n livepatch-same --fixes CVE-2026-1 -o "$BATS_TEST_TMPDIR/out" "$BATS_TEST_TMPDIR/other.patch" "${patches[1]}"
  ! cmp -s "$first" "$BATS_TEST_TMPDIR/out/livepatch-same.ko"
}

@test "a module of extracted source is made again from its statement, too" {
  [ -x "${kpatch_build%/*/*}/klpmake/klpmake" ] || skip_package "built without libclang"
  cd "$BATS_TEST_TMPDIR"
  for way in --from-source --both; do
    "$kpatch_build" -a "$release" "$way" -n livepatch-source -o . --provenance livepatch-source.ko.intoto.json "${patches[0]}"
    run -0 "${kpatch_build%/*}/kpatch-rebuild" livepatch-source.ko
    [[ $output == *"the same bytes"* && $output != *"other inputs"* ]]
  done
}

@test "a statement of the inputs: the module is made again from it alone" {
  rebuild=${kpatch_build%/*}/kpatch-rebuild
  "$kpatch_build" -a "$release" -n livepatch-again --fixes CVE-2026-1 -o "$BATS_TEST_TMPDIR" \
    --provenance "$BATS_TEST_TMPDIR/livepatch-again.ko.intoto.json" "${patches[@]}"
  cd "$BATS_TEST_TMPDIR"
  python3 - "$release" <<'PYTHON'
import hashlib, json, sys
s = json.load(open("livepatch-again.ko.intoto.json"))
assert s["_type"] == "https://in-toto.io/Statement/v1" and s["predicateType"] == "https://slsa.dev/provenance/v1"
assert s["subject"][0]["digest"]["sha256"] == hashlib.sha256(open("livepatch-again.ko", "rb").read()).hexdigest()
d = s["predicate"]["buildDefinition"]
assert d["externalParameters"]["release"] == sys.argv[1]
names = [r["name"] for r in d["resolvedDependencies"]]
for name in ("patch patch2.patch", "config", "vmlinux", "Module.symvers", "modules", "compiler", "compiler proper", "assembler", "linker"):
    assert name in names, (name, names)
assert any(n.startswith("source linux-source-") for n in names)
assert all(len(r["digest"]["sha256"]) == 64 for r in d["resolvedDependencies"])
PYTHON
  run -0 "$rebuild" livepatch-again.ko
  [[ $output == *"the same bytes"* && $output != *"other inputs"* ]]

  # It was signed since.
  openssl req -new -x509 -newkey rsa:2048 -nodes -subj /CN=test -keyout key.pem -out cert.pem 2>/dev/null
  cp livepatch-again.ko signed.ko
  "${kpatch_build%/*}/../sign/kpatch-sign" --key key.pem --cert cert.pem signed.ko
  run -0 "$rebuild" --provenance livepatch-again.ko.intoto.json signed.ko
  [[ $output == *"the same bytes"* ]]

  # Another input is named; other bytes are told.
  sed 's/"vmlinux"/"vmlinux of another"/' livepatch-again.ko.intoto.json >other.json
  run -0 "$rebuild" --provenance other.json livepatch-again.ko
  [[ $output == *"vmlinux of another: isn't among the inputs here"* ]]
  sed 's/CVE-2026-1/CVE-2026-2/' livepatch-again.ko.intoto.json >other.json
  run -2 "$rebuild" --provenance other.json livepatch-again.ko
  [[ $output == *"other bytes"*"of the same inputs"* ]]

  # What it can't go by.
  sed 's/"--fixes=/"--toolchain=/' livepatch-again.ko.intoto.json >other.json
  run -1 "$rebuild" --provenance other.json livepatch-again.ko
  [[ $output == *"is no option that a statement has"* ]]
  run -1 "$rebuild" --provenance livepatch-again.ko.intoto.json "$first"
  [[ $output == *"of another module"* ]]
  echo '{}' >other.json
  run -1 "$rebuild" --provenance other.json livepatch-again.ko
  [[ $output == *"no statement"* ]]
  run -1 "$rebuild"
  [[ $output == *"give one module"* ]]
}
