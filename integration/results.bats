#!/usr/bin/env bats
# What ./check makes of the ends of its suites (results.bash): passed, failed, skipped, and what wants a package.

# shellcheck disable=SC2034 # strict is for results.bash

bats_require_minimum_version 1.5.0

setup() {
  set -o pipefail # as in check
  results=$BATS_TEST_TMPDIR/results strict=''
  mkdir "$results"
  source "$BATS_TEST_DIRNAME/results.bash"
}

# counts SUITE PASSED FAILED SKIPPED: what was kept of a suite.
counts() { [ "$(cut -d' ' -f1-3 "$results/$1.count")" = "$2 $3 $4" ] || { cat "$results/$1.count"; return 1; }; }

# script NAME: a program of the test, from standard input.
script() {
  { echo '#!/bin/bash'; cat; } >"$BATS_TEST_TMPDIR/$1"
  chmod +x "$BATS_TEST_TMPDIR/$1"
}

# A GoogleTest program's words: five tests, two of them without a package and one on the wrong machine.
unit_tests() {
  mkdir -p "$BATS_TEST_TMPDIR/build/unit"
  script build/unit/unit-tests <<'FAKE'
cat <<'LOG'
[ RUN      ] A.Passes
[       OK ] A.Passes (3 ms)
[ RUN      ] A.WantsGcc
unit/a_test.cc:3: Skipped
[package] gcc is missing
[  SKIPPED ] A.WantsGcc (0 ms)
[ RUN      ] A.WantsClang
unit/a_test.cc:4: Skipped
[package] clang is missing
[  SKIPPED ] A.WantsClang (0 ms)
[ RUN      ] A.WantsAnother
unit/a_test.cc:5: Skipped
[machine] the assembly is x86-64's
[  SKIPPED ] A.WantsAnother (0 ms)
[ RUN      ] A.PassesToo
[       OK ] A.PassesToo (0 ms)
[  SKIPPED ] 3 tests, listed below:
[  SKIPPED ] A.WantsGcc
LOG
exit "${FAKE_STATUS:-0}"
FAKE
}

@test "unit: skipped tests by their kinds" {
  unit_tests
  run unit unit "$BATS_TEST_TMPDIR/build"
  counts unit 2 0 3
  grep -q '  skipped: \[package\] gcc is missing (1)$' <<<"$output"
  strict=1
  run unit unit "$BATS_TEST_TMPDIR/build"
  counts unit 2 2 1
}

@test "unit: a program that dies fails" {
  unit_tests
  FAKE_STATUS=139 run unit unit "$BATS_TEST_TMPDIR/build"
  counts unit 2 1 3
}

@test "bats: skipped tests by their kinds" {
  # bats would take such lines of a here-document for its own.
  {
    echo ". $BATS_TEST_DIRNAME/skip.bash"
    printf '@%s { %s; }\n' 'test "passes"' : 'test "wants a package"' 'skip_package "no gcc"' \
      'test "wants another machine"' 'skip_machine "no root"' 'test "fails"' false
  } >"$BATS_TEST_TMPDIR/suite.bats"
  run suite "$BATS_TEST_TMPDIR/suite.bats"
  counts bats-suite 1 1 2
  strict=1
  run suite "$BATS_TEST_TMPDIR/suite.bats"
  counts bats-suite 1 2 1
}

@test "a runner: each of its tests has a line, or fails" {
  script kinds-run <<'FAKE'
[ "$1" != --count ] || { echo 4; exit; }
echo "ok one"
echo "failed two: why"
echo "  ok, it says"
[ "$1" != all ] || printf 'ok three\nok four\n'
exit 1
FAKE
  run runner whole "$BATS_TEST_TMPDIR/kinds-run" all
  counts whole 3 1 0
  run runner cut "$BATS_TEST_TMPDIR/kinds-run" cut
  counts cut 1 3 0
  run not_run none "$BATS_TEST_TMPDIR/kinds-run" '[optional] not asked for'
  counts none 0 0 4
  strict=1
  run not_run none "$BATS_TEST_TMPDIR/kinds-run" '[optional] not asked for'
  counts none 0 0 4
  run not_run none "$BATS_TEST_TMPDIR/kinds-run" '[package] qemu is missing'
  counts none 0 4 0
}

@test "a runner that says all is well and exits with 1 fails" {
  script kinds-run <<'FAKE'
[ "$1" != --count ] || { echo 1; exit; }
echo "ok one"
exit 1
FAKE
  run runner liar "$BATS_TEST_TMPDIR/kinds-run" all
  counts liar 1 1 0
}

@test "the end: where the time went, and the last line" {
  result one 3 0 1
  lint two true
  run total
  [ "$status" -eq 0 ]
  [ "${lines[-1]}" = "4 passed, 0 failed, 1 skipped" ]
  grep -qE '^ +[0-9]+  one$' <<<"$output"
  result three 1 0 2 2
  run total
  [ "${lines[-2]}" = "2 of them want a package that is missing; --strict fails on that" ]
  strict=1
  result three 1 0 2 2
  lint four false
  run total
  [ "$status" -eq 1 ]
  [ "${lines[-1]}" = "5 passed, 3 failed, 1 skipped" ]
}
