#!/usr/bin/env bats
# --report of a real kernel's build: the page as a parser of HTML reads it, and the files for programs beside it.

bats_require_minimum_version 1.5.0

load bad-input.bash
# shellcheck source=integration/kernels.bash
. "$BATS_TEST_DIRNAME/kernels.bash"

setup() {
  kpatch_build=${KPATCH_BUILD_DIR:-$BATS_TEST_DIRNAME/../build}/kpatch-build/kpatch-build
  stock_inputs
  command -v python3 >/dev/null || skip_package "python3 isn't installed"
  cd "$BATS_TEST_TMPDIR" || return 1
  sed '1i Subject: [PATCH] say "</script><img src=x>" & more\n\n---' "$BATS_TEST_DIRNAME/patches/patch2.patch" >fix.patch
}

page() { run python3 "$BATS_TEST_DIRNAME/report-check.py" "$@"; printf '%s\n' "$output"; }

@test "a page, SARIF and JSON of one build" {
  "$kpatch_build" -a "$release" -o out --report a.html --report b.sarif --report c.json fix.patch
  page a.html meminfo_proc_show 'call _printk' 'meminfo_proc_show: livepatched\n' 'pr_info("meminfo_proc_show: livepatched\n");'
  [ "$status" -eq 0 ]
  page a.html comment_mt 'call _printk' 'pr_info("comment_mt: livepatched\n");'
  [ "$status" -eq 0 ]
  grep -q '<p>say &quot;&lt;/script&gt;&lt;img src=x&gt;&quot; &amp; more</p>' a.html
  # The original's own source stands beside it.
  grep -q '<tr class=s><td>.*si_meminfo(&amp;i);<td>.*si_meminfo(&amp;i);' a.html
  python3 - <<'CHECK'
import json
sarif, report = json.load(open("b.sarif")), json.load(open("c.json"))
assert sarif["version"] == "2.1.0" and sarif["runs"][0]["invocations"][0]["exitCode"] == 0
assert all(r["ruleId"] in {x["id"] for x in sarif["runs"][0]["tool"]["driver"]["rules"]} for r in sarif["runs"][0]["results"])
assert report["exit"] == 0 and report["size"]["text"] > 0 and report["size"]["file"] > report["size"]["text"]
sizes = [f["size"] for o in report["objects"] for f in o["changed"]]
assert len(sizes) == 2 and all(s["patched"] > s["original"] > 0 for s in sizes), sizes
CHECK
}

# The official schema of SARIF 2.1.0, which comes in a package of npm. Its path in sarif_schema; kept in the cache of the tests.
sarif_schema() {
  local package=@microsoft/jest-sarif@1.0.0-beta.0 folder
  folder=$(test_cache)/schemas
  sarif_schema=$folder/sarif-2.1.0.json
  [ ! -s "$sarif_schema" ] || return 0
  command -v npm >/dev/null || skip_optional "npm isn't there, which fetches the schema of SARIF"
  (cd "$BATS_TEST_TMPDIR" && timeout 120 npm pack --silent "$package" >/dev/null 2>&1) ||
    skip_optional "the schema of SARIF can't be fetched: npm pack $package"
  mkdir -p "$folder"
  tar -xzOf "$BATS_TEST_TMPDIR"/microsoft-jest-sarif-*.tgz package/lib/schemas/sarif-2.1.0-rtm.5.json >"$sarif_schema.new"
  mv "$sarif_schema.new" "$sarif_schema"
}

follows() { run python3 -W ignore "$BATS_TEST_DIRNAME/schema-check.py" "$@"; printf '%s\n' "$output"; }

@test "SARIF and JSON are what their schemas say, of builds of every exit" {
  python3 -W ignore -c 'import jsonschema' 2>/dev/null || skip_package "python3-jsonschema isn't installed"
  local doc=$BATS_TEST_DIRNAME/../doc name
  change fs/proc/meminfo.c 's/^\tsi_meminfo\(&i\);/\tpr_info("now");\n&/; s/^\tpde = proc_create_single\(/\tpr_info("boot");\n&/' >refused.patch
  sed 's/^+[^+].*/+\t\/* nothing *\//' fix.patch >same.patch
  sed 's/si_meminfo/si_nothing/' fix.patch >failed.patch
  change fs/pipe.c 's/^static unsigned int pipe_max_size = 1048576;/static unsigned int pipe_max_size = 524288;/' >data.patch
  local expected=(fix 0 failed 1 refused 2 data 2 same 3)
  for ((i = 0; i < ${#expected[@]}; i += 2)); do
    name=${expected[i]}
    run "$kpatch_build" -a "$release" -o out --guide https://example.org/guide.html --report "$name.json" --report "$name.sarif" "$name.patch"
    printf '%s\n' "$output"
    [ "$status" -eq "${expected[i + 1]}" ]
  done
  follows "$doc/build-report.schema.json" fix.json failed.json refused.json data.json same.json
  [ "$status" -eq 0 ]
  # A check that can fail.
  python3 -c 'import json; r = json.load(open("fix.json")); r["objects"][0]["changed"][0]["oops"] = 1; json.dump(r, open("bad.json", "w"))'
  follows "$doc/build-report.schema.json" bad.json
  [ "$status" -eq 1 ]
  [[ $output == *oops* ]]
  python3 -c 'import json; r = json.load(open("data.json")); r["findings"].append({"rule": 1}); json.dump(r, open("bad.json", "w"))'
  follows "$doc/build-report.schema.json" bad.json
  [ "$status" -eq 1 ]
  [[ $output == *severity* ]]
  sarif_schema
  follows "$sarif_schema" fix.sarif failed.sarif refused.sarif data.sarif same.sarif
  [ "$status" -eq 0 ]
  sed 's/"level": "[a-z]*"/"level": "refusal"/' refused.sarif >bad.sarif
  follows "$sarif_schema" bad.sarif
  [ "$status" -eq 1 ]
}

# What the differ hands to the driver.
@test "the differ's reports are what report.schema.json says, with instructions" {
  python3 -W ignore -c 'import jsonschema' 2>/dev/null || skip_package "python3-jsonschema isn't installed"
  "$kpatch_build" -a "$release" -o out --skip-cleanup --explain --report a.html fix.patch 2>&1 | tee log
  local scratch
  scratch=$(sed -n 's/^scratch directory: //p' log)
  cp "$scratch"/diff/*.json .
  rm -rf "$scratch"
  [ -s 0.json ]
  grep -q '"listings"' 0.json
  follows "$BATS_TEST_DIRNAME/../doc/report.schema.json" ./*.json
  [ "$status" -eq 0 ]
}

@test "the page of a refused patch has its instructions, and links to a guide that is named" {
  # one function that can be patched, and one that runs at boot alone
  change fs/proc/meminfo.c 's/^\tsi_meminfo\(&i\);/\tpr_info("now");\n&/; s/^\tpde = proc_create_single\(/\tpr_info("boot");\n&/' >refused.patch
  run "$kpatch_build" -a "$release" -o out --guide guide.html --report a.html refused.patch
  printf "%s\n" "$output"
  [ "$status" -eq 2 ]
  [ ! -e out/livepatch-refused.ko ]
  grep -q '<span class="badge refusal">refusal</span><td class=name><a href="guide.html#rule-[a-z-]*">' a.html
  page a.html meminfo_proc_show 'call _printk'
  [ "$status" -eq 0 ]
}

@test "without a page no instructions are listed" {
  "$kpatch_build" -a "$release" -o out --skip-cleanup --report c.json fix.patch 2>&1 | tee log
  local scratch
  scratch=$(sed -n 's/^scratch directory: //p' log)
  run grep -c '"listings"' "$scratch/diff/0.json"
  rm -rf "$scratch"
  [ "$output" = 0 ]
}

@test "debug information: the module stays the same, and its functions have their lines" {
  command -v addr2line >/dev/null || skip_package "binutils aren't installed"
  "$kpatch_build" -a "$release" -o plain fix.patch
  "$kpatch_build" -a "$release" -o out --debug-info fix.patch
  cmp plain/livepatch-fix.ko out/livepatch-fix.ko
  [ ! -e plain/livepatch-fix.ko.debug ]
  id() { readelf -n "$1" | sed -n 's/.*Build ID: //p'; }
  [ -n "$(id out/livepatch-fix.ko)" ]
  [ "$(id out/livepatch-fix.ko)" = "$(id out/livepatch-fix.ko.debug)" ]
  # The call of printk that the patch added, by the relocation that stands in it.
  local at
  at=$(readelf -rW out/livepatch-fix.ko.debug | awk '/^Relocation section/ { of = $3 ~ /rela.text.comment_mt/ } of && /_printk/ { print "0x" $1; exit }')
  run addr2line -f -j .text.comment_mt -e out/livepatch-fix.ko.debug "$at"
  printf '%s\n' "$at" "$output"
  [[ $output == comment_mt*net/netfilter/xt_comment.c:23* ]]
}

@test "debug information: gdb has each function where its section was loaded" {
  command -v gdb >/dev/null || skip_optional "gdb isn't installed"
  "$kpatch_build" -a "$release" -o out --debug-info fix.patch
  run gdb -nx -batch -ex 'set confirm off' \
    -ex 'add-symbol-file out/livepatch-fix.ko.debug 0x10000 -s .text.meminfo_proc_show 0x20000 -s .text.comment_mt 0x30000' \
    -ex 'info address comment_mt' -ex 'info address meminfo_proc_show' -ex 'info line *0x30010'
  printf '%s\n' "$output"
  [[ $output == *'"comment_mt" is a function at address 0x300'*'"meminfo_proc_show" is a function at address 0x200'* ]]
  [[ $output == *'xt_comment.c" starts at address 0x30'*'<comment_mt'* ]]
}

@test "in a browser: of a search's files those stay that have something" {
  command -v chromium >/dev/null || skip_optional "chromium isn't installed"
  "$kpatch_build" -a "$release" -o out --report a.html fix.patch
  # The page lets no script but its own run.
  sed 's,<meta http-equiv=Content-Security-Policy[^>]*>,,' a.html >b.html
  echo '<script>search.value = "comment_mt"; search.dispatchEvent(new Event("input"));</script>' >>b.html
  run timeout 120 chromium --headless=new --no-sandbox --disable-gpu --virtual-time-budget=3000 --dump-dom "file://$PWD/b.html"
  grep -qE '<details class="card"[^>]* hidden=""><summary><code>fs/proc/meminfo.c' <<<"$output"
  grep -qE '<details class="card" open=""><summary><code>net/netfilter/xt_comment.c' <<<"$output"
}

@test "a bill of materials, of the module alone and with its statement" {
  local kpatch=${kpatch_build%/kpatch-build/kpatch-build}/kpatch/kpatch ko=out/livepatch-fix.ko
  python3 -W ignore -c 'import jsonschema' 2>/dev/null || skip_package "python3-jsonschema isn't installed"
  "$kpatch_build" -a "$release" -o out --provenance fix.intoto.json --fixes CVE-2026-1000,0123456789ab fix.patch
  export SOURCE_DATE_EPOCH=0
  "$kpatch" vex --format spdx "$ko" >a.spdx.json
  "$kpatch" vex --format spdx --provenance fix.intoto.json "$ko" >b.spdx.json
  "$kpatch" vex --format spdx --provenance fix.intoto.json "$ko" | cmp - b.spdx.json
  follows "$BATS_TEST_DIRNAME/spdx-2.3.schema.json" a.spdx.json b.spdx.json
  [ "$status" -eq 0 ]
  python3 - "$ko" "$release" <<'CHECK'
import hashlib, json, sys
module = open(sys.argv[1], "rb").read()
for name in "a.spdx.json", "b.spdx.json":
    bill = json.load(open(name))
    ids = ["SPDXRef-DOCUMENT"] + [x["SPDXID"] for x in bill["packages"] + bill["files"]]
    assert len(ids) == len(set(ids))
    for one in bill["relationships"]:
        assert one["spdxElementId"] in ids and one["relatedSpdxElement"] in ids, one
    sums = {c["algorithm"]: c["checksumValue"] for c in bill["files"][0]["checksums"]}
    assert sums == {"SHA1": hashlib.sha1(module).hexdigest(), "SHA256": hashlib.sha256(module).hexdigest()}
    packages = {p["name"]: p for p in bill["packages"]}
    assert packages["linux"]["versionInfo"] == sys.argv[2]
    code = hashlib.sha1(sums["SHA1"].encode()).hexdigest()
    assert packages["livepatch_fix"]["packageVerificationCode"]["packageVerificationCodeValue"] == code
    assert sorted(r["referenceType"] for r in packages["livepatch_fix"]["externalRefs"]) == ["advisory", "fix", "purl"]
    assert any(p.startswith("GCC: ") for p in packages), packages
    patch = packages["fix.patch"].get("checksums", [{}])[0].get("checksumValue")
    assert patch == (hashlib.sha256(open("fix.patch", "rb").read()).hexdigest() if name[0] == "b" else None)
    assert ("vmlinux" in packages) == (name[0] == "b")
CHECK
  sed 's/"sha256": "[0-9a-f]/"sha256": "/' fix.intoto.json >cut.json
  sed '/subject/,/\]/s/"sha256": "[0-9a-f]\{8\}/"sha256": "00000000/' fix.intoto.json >other.json
  local statement
  for statement in cut.json other.json fix.patch none.json; do
    run "$kpatch" vex --format spdx --provenance "$statement" "$ko"
    printf '%s\n' "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"$statement"* ]]
  done
  run "$kpatch" vex --provenance fix.intoto.json "$ko"
  [ "$status" -eq 1 ]
}

@test "a support bundle, of builds that succeed, are refused, and can't begin" {
  change fs/proc/meminfo.c 's/^\tpde = proc_create_single\(/\tpr_info("boot");\n&/' >refused.patch
  sed 's/^ /  /' fix.patch >misfit.patch
  local name expected file
  for name in fix:0 refused:2 misfit:1; do
    expected=${name#*:} name=${name%:*}
    run env SECRET=hidden-value "$kpatch_build" -a "$release" -o out -n "livepatch-$name" --support-bundle "$name.tar.zst" "$name.patch"
    printf '%s\n' "$output"
    [ "$status" -eq "$expected" ]
    [[ $output == *"  support.json ("* ]]
    mkdir "$name" && tar -C "$name" -xf "$name.tar.zst"
    for file in support.json report.json "patches/0/$name.patch" host/os-release; do [ -s "$name/$file" ] || return 1; done
    cmp "$name.patch" "$name/patches/0/$name.patch"
    ! grep -r hidden-value "$name" || return 1
    [ "$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["status"])' "$name/support.json")" -eq "$expected" ]
  done
  [ -s fix/log ]
  grep -q gcc fix/host/tools
  [ -n "$(find fix/build -name '*.ko')" ]
  [ -n "$(find refused/build -name '*.o')" ]
  [ -z "$(find fix refused misfit -name '*.pem' -o -name '*signing_key*')" ]
  run grep -E '^/|\.\./' <(tar -tf fix.tar.zst)
  [ "$status" -eq 1 ]
}
