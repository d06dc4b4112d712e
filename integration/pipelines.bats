#!/usr/bin/env bats
# doc/pipelines/: what they run, in their order, with the programs of this build and a stock kernel. What only their engines
# can do (checkout, caches, uploads, installing) is left out.

bats_require_minimum_version 1.5.0

load bad-input.bash
# shellcheck source=integration/kernels.bash
. "$BATS_TEST_DIRNAME/kernels.bash"

setup() {
  stock_inputs
  python3 -c 'import yaml' 2>/dev/null || skip_package "python3-yaml is missing"
  local build=${kpatch_build%/*/*}
  mkdir -p "$BATS_TEST_TMPDIR/bin" "$BATS_TEST_TMPDIR/work/patches"
  ln -s "$build"/kpatch-build/kpatch-build "$build"/verify/kpatch-verify "$build"/try/kpatch-try \
    "$build"/package/kpatch-package "$BATS_TEST_TMPDIR/bin/"
  cp "$BATS_TEST_DIRNAME/patches/patch2.patch" "$BATS_TEST_TMPDIR/work/patches/"
  cd "$BATS_TEST_TMPDIR/work" || return 1
  export PATH=$BATS_TEST_TMPDIR/bin:$PATH KERNEL=$release NAME=livepatch-fix
}

# commands_of FILE: a pipeline's own commands, as a shell runs them.
commands_of() {
  python3 - "$BATS_TEST_DIRNAME/../doc/pipelines/$1" <<'PYTHON'
import sys
import yaml

pipeline = yaml.safe_load(open(sys.argv[1]))
if "jobs" in pipeline:
    steps = [step for job in pipeline["jobs"].values() for step in job["steps"]]
    print("\n".join(step["run"] for step in steps if "run" in step and step["name"] != "Install"))
else:
    print("\n".join(pipeline["livepatch"]["script"]))
PYTHON
}

# delivered REPORT…: the module, its package, and reports.
delivered() {
  local report
  [ -s out/livepatch-fix.ko ]
  [ -n "$(compgen -G 'out/*.deb')" ]
  for report; do [ -s "out/$report" ]; done
}

@test "GitHub Actions" {
  commands_of github.yml >script
  [ "$(grep -c kpatch- script)" -eq 4 ]
  bash -eu script
  delivered report.html report.sarif
}

@test "GitLab" {
  local why
  why=$(missing_for_guests) || skip_package "${why#*] }"
  commands_of gitlab.yml >script
  [ "$(grep -c kpatch- script)" -eq 4 ]
  bash -eu script
  delivered report.html report.json
}

@test "a patch that can't be patched ends the pipeline" {
  cp "$BATS_TEST_DIRNAME/rules/data-init/bad.patch" patches/patch2.patch
  commands_of gitlab.yml >script
  run bash -eu script
  [ "$status" -eq 2 ]
  [ ! -e out/livepatch-fix.ko ]
}
