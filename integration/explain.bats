#!/usr/bin/env bats
# kpatch explain: the text of a rule in a terminal, in a pipe, for programs; what is no rule.

bats_require_minimum_version 1.5.0

setup() {
  source "$BATS_TEST_DIRNAME/skip.bash"
  build_dir=${KPATCH_BUILD_DIR:-$BATS_TEST_DIRNAME/../build}
  mkdir "$BATS_TEST_TMPDIR/bin"
  cp "$build_dir/kpatch/kpatch" "$build_dir/rules/kpatch-explain" "$BATS_TEST_TMPDIR/bin/"
  export PATH=$BATS_TEST_TMPDIR/bin:$PATH
  unset NO_COLOR
  escape=$'\e'
}

# in_terminal COMMAND: its output in a terminal.
in_terminal() {
  command -v script >/dev/null || skip_package "script is missing"
  TERM=xterm run script -qec "$1" /dev/null </dev/null
}

@test "a rule, through kpatch: text and examples, without colours in a pipe" {
  run --separate-stderr kpatch explain data-init
  [ "$status" -eq 0 ]
  [ -z "$stderr" ]
  [ "${lines[0]}" = "data-init (refusal)" ]
  [[ $output == *'Instead: '*'Bad:'*'+static unsigned int oops_limit = 100;'*'Good:'*KPATCH_PRE_PATCH_CALLBACK* ]]
  [[ $output != *"$escape"* && $output != *'`'* ]]
}

@test "as the message has it, in brackets; two of them" {
  run kpatch-explain '[init-code]' no-change
  [ "$status" -eq 0 ]
  [[ $output == 'init-code (refusal, warning)'*'no-change (notice)'* ]]
}

@test "without a rule: all of them, a line each" {
  run kpatch-explain
  [ "$status" -eq 0 ]
  [ "${#lines[@]}" -eq "$(find "$BATS_TEST_DIRNAME/../doc/rules" -name '*.md' | wc -l)" ]
  grep -E '^data-layout +refusal, warning +A struct' <<<"$output"
}

@test "no rule: what is near, and exit 1" {
  run --separate-stderr kpatch explain data-inti
  [ "$status" -eq 1 ]
  [ -z "$output" ]
  [ "$stderr" = 'error: there is no rule data-inti; near: data-init' ]
  run --separate-stderr kpatch-explain --json quite-another-thing
  [ "$status" -eq 1 ]
  [ -z "$output" ]
  [ "$stderr" = 'error: there is no rule quite-another-thing; kpatch explain lists all of them' ]
}

@test "for programs" {
  kpatch-explain --json data-layout objtool >"$BATS_TEST_TMPDIR/json"
  python3 - "$BATS_TEST_TMPDIR/json" <<'PYTHON'
import json, sys
one, other = json.load(open(sys.argv[1]))["rules"]
assert one["rule"] == "data-layout" and one["kinds"] == ["refusal", "warning"] and one["acknowledgeable"]
assert one["bad"].startswith("--- a/") and "klp_shadow" in one["good"]
assert other["programs"] == ["kpatch-build"]
PYTHON
  kpatch-explain --json | python3 -c 'import json, sys; assert len(json.load(sys.stdin)["rules"]) > 100'
}

@test "in a terminal: colours and its width; none with NO_COLOR, nor where it is dumb" {
  in_terminal 'stty cols 50; kpatch explain ro-after-init'
  [ "$status" -eq 0 ]
  [[ $output == *"${escape}[1mro-after-init${escape}[0m"* ]]
  in_terminal 'stty cols 50; NO_COLOR=1 kpatch explain ro-after-init'
  [[ $output == *'ro-after-init (warning)'* && $output != *"$escape"* ]]
  [ -z "$(tr -d '\r' <<<"$output" | sed '/^Bad:/,$d' | grep -E '.{51}' || true)" ]
  in_terminal 'TERM=dumb kpatch explain ro-after-init'
  [[ $output != *"$escape"* ]]
}

@test "a build that is refused points to it once; one that isn't doesn't" {
  load bad-input.bash
  stock_inputs
  # shellcheck disable=SC2034  # build() writes there
  out=$BATS_TEST_TMPDIR/out
  build "$BATS_TEST_DIRNAME/rules/not-built/bad.patch"
  [ "$status" -eq 2 ]
  [ "$(grep -c 'kpatch explain' <<<"$output$stderr")" -eq 1 ]
  [[ $output == *'kpatch explain not-built tells more'* ]]
  build "$BATS_TEST_DIRNAME/rules/not-built/good.patch"
  [ "$status" -eq 0 ]
  [[ $output$stderr != *'kpatch explain'* ]]
}
