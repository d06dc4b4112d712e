#!/usr/bin/env bats
# Each linter in lint/ fails on a made-up tree that has what it looks for, by file and line, and passes on a good one.

bats_require_minimum_version 1.5.0

setup() {
  tree=$BATS_TEST_TMPDIR/tree
  mkdir -p "$tree"
}

# file NAME: a file of the tree, from standard input.
file() {
  mkdir -p "$tree/$(dirname "$1")"
  cat >"$tree/$1"
}

# passes LINTER: it says nothing.
passes() {
  run "$BATS_TEST_DIRNAME/../lint/$1" "$tree"
  [ "$status" -eq 0 ] && [ -z "$output" ] || { echo "exit $status"; echo "$output"; return 1; }
}

# finds LINTER PLACE…: it fails, with a line "PLACE: …" for each place that is named, and no other.
finds() {
  local linter=$1
  shift
  run "$BATS_TEST_DIRNAME/../lint/$linter" "$tree"
  [ "$status" -eq 1 ] || { echo "exit $status"; echo "$output"; return 1; }
  diff <(printf '%s\n' "$@") <(sed -nE 's/^([^ ]+:[0-9]+): .*/\1/p' <<<"$output") || { echo "$output"; return 1; }
}

@test "each linter has its tests here" {
  for linter in "$BATS_TEST_DIRNAME"/../lint/*; do
    [ -x "$linter" ] || continue
    for word in passes finds; do
      grep -q "^  $word ${linter##*/}\b" "$BATS_TEST_FILENAME" || { echo "$word ${linter##*/}: none"; return 1; }
    done
  done
}

# Two rooms and the parts below them.
rooms() {
  printf "subdir('%s')\n" support elf klp unit | file meson.build
  echo '#include <elf.h>' | file elf/elf.h
  echo '#include <string>' | file support/text.h
  echo '#include "klp/klp.h"' | file unit/klp_test.cc
}

@test "includes: downward, and of another folder its public header" {
  rooms
  printf '%s\n' '#include "elf/elf.h"' '#include "klp/inner.h"' '#include "support/text.h"' | file klp/klp.cc
  printf '%s\n' '#include <fmt/format.h>' '#include <fmt/ranges.h>' 'auto a = fmt::join(b, " ");' | file unit/a_test.cc
  passes includes
}

@test "includes: upward, behind a wall, from nowhere" {
  rooms
  printf '%s\n' '#include <vector>' '#include "klp/klp.h"' | file elf/image.cc
  printf '%s\n' '#include "elf/inner.h"' '#include "elf/elf.h"' '#include "inner.h"' | file klp/klp.cc
  printf '%s\n' '#include <fmt/format.h>' 'auto a = fmt::join(b, " ");' 'auto c = fmt::join(d, " ");' | file unit/a_test.cc
  finds includes unit/a_test.cc:2 elf/image.cc:2 klp/klp.cc:1 klp/klp.cc:3
}

@test "pipes: readers that read to the end, scripts without pipefail, comments" {
  printf '%s\n' '#!/bin/bash' 'set -uo pipefail' 'ls | grep word >/dev/null' 'ls | sed -n 1p || head -n 1 file' \
    'grep -q word file || true' '# never: ls | head' 'ls | grep -c word' "ls | awk 'NR <= 12'" 'ls | header' |
    file good
  printf '%s\n' '#!/bin/sh' 'ls | head -n 1' | file guest.sh
  printf '%s\n' 'a program | head' | file doc/text.md
  passes pipes
}

@test "pipes: readers that leave first" {
  printf '%s\n' '#!/bin/bash' 'set -euo pipefail' 'ls | grep -q word' 'ls | LC_ALL=C grep -E -iq word' 'a=$(ls | head)' \
    'ls |' '  head -n 1' "ls | sed -n '1p;q'" 'ls | grep -m 1 word' 'ls \' '  | grep --quiet word' | file bad
  printf '%s\n' 'first() { ls | head -n 1; }' | file sourced.bash
  finds pipes bad:3 bad:4 bad:5 bad:7 bad:8 bad:9 bad:11 sourced.bash:1
}

@test "type-names: one of each, declarations, within others, in sources" {
  printf '%s\n' 'struct A {' '  struct Part {' '};' 'class B;' 'enum class E : int { one };' 'template <>' 'struct std::hash<A> {' | file one/a.h
  printf '%s\n' 'struct A;' 'class B final : public C {' '  struct Part {' '// struct A {' | file two/b.h
  printf '%s\n' 'struct A {' | file two/b.cc
  passes type-names
}

@test "type-names: two of one name" {
  printf '%s\n' 'struct A {' 'enum class E {' 'class D : public A {' | file one/a.h
  printf '%s\n' '// another' 'class A {' 'enum E : char { one };' 'struct D {};' | file two/b.h
  finds type-names two/b.h:2 two/b.h:3 two/b.h:4
}

@test "skips: with a kind" {
  printf '%s\n' 'TEST(A, B) {' '  if (!gcc) SKIP_PACKAGE("no gcc");' '  // GTEST_SKIP says no kind' '}' | file unit/a_test.cc
  echo '#define SKIP_PACKAGE(why) GTEST_SKIP() << "[package] " << why' | file unit/skip.h
  echo 'skip_package() { skip "[package] $*"; }' | file integration/skip.bash
  printf '%s\n' '[ -x gcc ] || skip_package "no gcc"' '# skip "why"' 'echo "skip this"' | file integration/a.bats
  passes skips
}

@test "skips: without one" {
  printf '%s\n' 'TEST(A, B) {' '  if (!gcc) GTEST_SKIP() << "no gcc";' '}' | file unit/a_test.cc
  printf '%s\n' '[ -x gcc ] || skip "no gcc"' 'if true; then skip; fi' '  skip' | file integration/a.bats
  echo 'needs() { skip "$1"; }' | file integration/helper.bash
  finds skips integration/a.bats:1 integration/a.bats:2 integration/a.bats:3 integration/helper.bash:1 unit/a_test.cc:2
}

@test "arch-names: in arch/, in tests, in comments and includes" {
  echo 'constexpr auto machine = EM_X86_64;  // x86' | file arch/x86-64.cc
  echo 'EXPECT_EQ(name, "arm64");' | file unit/a_test.cc
  printf '%s\n' '#include "arch/x86-64.h"' 'int a;  // x86: ENDBR64' '/* s390x' 'R_390_64 */ int b;' \
    'auto c = "__mcount_loc";' 'int force, system_a, tipping;' | file klp/a.cc
  passes arch-names
}

@test "arch-names: in code and in messages" {
  printf '%s\n' 'if (machine == EM_S390) return;' 'int a;  // fine' 'auto b = "arch/x86/boot";' '/* fine */ auto c = R_PPC64_TOC;' \
    'const char* d = "has no ENDBR";' 'auto e = ".orc_unwind";' | file klp/a.cc
  finds arch-names klp/a.cc:1 klp/a.cc:3 klp/a.cc:4 klp/a.cc:5 klp/a.cc:6
}

# A rule that one source names, its text, and the guide that rules/table.py makes of it.
ruled() {
  echo 'd.refuse("no-way", place, "is one");' | file klp/a.cc
  printf '%s\n' 'group: code' 'kind: refusal' 'programs: kpatch-build' 'summary: A way' 'example: none: it is made up' '' \
    'It is.' '' 'Instead: another.' | file doc/rules/no-way.md
  printf '%s\n' '# Guide' '<!-- rules: written by rules/table.py from doc/rules/, not to be edited here -->' '<!-- end of rules -->' |
    file doc/patch-author-guide.md
  "$BATS_TEST_DIRNAME/../rules/table.py" guide "$tree"
}

@test "rules: named, told, shown" {
  ruled
  printf '%s\n' '// d.refuse("an-idea", place, "no");' 'auto at = text.find("no-rule");' | file klp/b.cc
  grep -F '### Rule `no-way`' "$tree/doc/patch-author-guide.md"
  passes rules
}

@test "rules: without a text, in each way to name one" {
  ruled
  printf '%s\n' 'd.warn("a-one", place, "x");' 'return {"b-two", Severity::error, {}, "x"};' 'push({' '    "c-three",' \
    '    Severity::refusal,' '});' '{".x", Fate::refused, "d-four",' 'say(Severity::error, "e-five", x);' | file klp/b.cc
  finds rules klp/b.cc:1 klp/b.cc:2 klp/b.cc:3 klp/b.cc:7 klp/b.cc:8
}

@test "rules: a text of nobody's, without an example or a key; a guide of before; examples of nothing" {
  ruled
  printf '%s\n' 'group: code' 'kind: refusal' 'programs: x' 'summary: x' '' 'Instead: x.' | file doc/rules/no-example.md
  finds rules doc/rules/no-example.md:1 doc/rules/no-example.md:1
  rm "$tree/doc/rules/no-example.md"
  echo x | file integration/rules/gone/bad.patch
  finds rules integration/rules/gone:1
  rm -r "$tree/integration"
  sed -i 's/^summary: .*/summary: Another way/' "$tree/doc/rules/no-way.md"
  finds rules doc/patch-author-guide.md:1
  sed -i 's/^kind: .*/sort: refusal/' "$tree/doc/rules/no-way.md"
  finds rules doc/rules/no-way.md:2
}

@test "assertions: two lines, a condition of many parts, what falls back, the last line" {
  printf '%s\n' '#!/usr/bin/env bats' '@test "one" {' '  [ "$status" -eq 0 ]' \
    '  [[ $output == *"a && b"* && -e file ]]' '  [ -e file ] && [ -e other ] || return 1' \
    '  ! grep -q a file || return 1' '  if [ -e file ] && [ -e other ]; then echo; fi' '  ! grep -q b file' '}' | file a.bats
  passes assertions
}

@test "assertions: whose first parts can't fail" {
  printf '%s\n' '#!/usr/bin/env bats' '@test "one" {' '  [ "$status" -eq 0 ] && [[ $output == *"a && b"* && -e file ]]' \
    '  ! grep -q a file' '  [[ $output == b ]] && grep -q b file' '  true' '}' | file a.bats
  finds assertions a.bats:3 a.bats:4 a.bats:5
}
