# The counts of ./check: each suite's are shown when it ends and kept in a file of its own below $results, and so are its
# seconds; total adds them up. With $strict, what is skipped for want of a package counts as failed (skip.bash and
# unit/skip.h have the kinds).
# shellcheck disable=SC2154  # results and strict are set by who sources this

say() { printf '[%2d:%02d] %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*"; }

# spent WHAT: the seconds since this lane's last call are WHAT's.
since=$SECONDS
spent() {
  echo "$((SECONDS - since)) $1" >"$results/$1.seconds"
  since=$SECONDS
}

# result SUITE PASSED FAILED SKIPPED [MISSING]: the counts of one suite, shown and kept. MISSING of the skipped ones want
# a package.
result() {
  local failed=$3 skipped=$4 missing=${5:-0} note=''
  if [ "$missing" -gt 0 ]; then
    note=", $missing for want of a package"
    [ -z "$strict" ] || failed=$((failed + missing)) skipped=$((skipped - missing))
  fi
  echo "$2 $failed $skipped $missing" >"$results/$1.count"
  say "$1: $2 passed, $failed failed, $skipped skipped$note"
  spent "$1"
}

# Where the time went, and behind it the last line.
total() {
  say "done. Seconds, of two lanes side by side:"
  cat "$results"/*.seconds 2>/dev/null | sort -k1,1nr -k2 | awk '{ printf "%8d  %s\n", $1, $2 }'
  cat "$results"/*.count 2>/dev/null | awk -v strict="$strict" '
    { p += $1; f += $2; s += $3; m += $4 }
    END {
      if (m > 0) print m " of them want a package that is missing" (strict ? ": that fails" : "; --strict fails on that")
      printf "%d passed, %d failed, %d skipped\n", p, f, s
      exit f > 0 || p == 0
    }'
}

# The names of skipped tests, each with its reason, once for many.
show_skipped() { sed -n 's/^\(\[[a-z]*\] .*\)/  skipped: \1/p' "$1" | sort | uniq -c | sed -E 's/^ *([0-9]+) (.*)/\2 (\1)/'; }

# lint SUITE COMMAND…: a linter counts as one test.
lint() {
  local suite=$1
  shift
  if "$@" >"$results/$suite.log" 2>&1; then
    result "$suite" 1 0 0
  else
    tail -n 40 "$results/$suite.log"
    result "$suite" 0 1 0
  fi
}

# unit SUITE DIR: every GoogleTest program of a build directory.
unit() {
  local suite=$1 dir=$2 log=$results/$1.log program rc passed failed skipped missing
  : >"$log"
  rc=0
  for program in "$dir"/unit/*tests; do
    if [ ! -f "$program" ] || [ ! -x "$program" ]; then continue; fi
    "$program" --gtest_brief=0 --gtest_color=no >>"$log" 2>&1 || rc=$?
  done
  passed=$(grep -cE '^\[       OK \].*\([0-9]+ ms\)$' "$log")
  failed=$(grep -cE '^\[  FAILED  \].*\([0-9]+ ms\)$' "$log")
  skipped=$(grep -cE '^\[  SKIPPED \].*\([0-9]+ ms\)$' "$log")
  missing=$(awk '/^\[package\] / { missing = 1 } /^\[  SKIPPED \].* ms\)$/ { n += missing } /^\[/ && !/^\[[a-z]/ { missing = 0 }
    END { print n + 0 }' "$log")
  # A program that died has not told of its last test.
  [ "$rc" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
  [ "$failed" -eq 0 ] || { grep -vE '^\[( RUN|       OK|-)' "$log" | tail -n 60; }
  show_skipped "$log"
  result "$suite" "$passed" "$failed" "$skipped" "$missing"
}

# suite FILE: one bats file. Its TAP is kept; what failed or was skipped is shown.
suite() {
  local name log rc passed failed skipped missing
  name=$(basename "$1" .bats)
  log=$results/bats-$name.log
  rc=0
  say "bats-$name: begins"
  bats --tap --timing "$1" >"$log" 2>&1 </dev/null || rc=$?
  skipped=$(grep -cE '^ok [0-9]+ .*# skip' "$log")
  missing=$(grep -cE '^ok [0-9]+ .*# skip \[package\]' "$log")
  passed=$(($(grep -cE '^ok [0-9]+ ' "$log") - skipped))
  failed=$(grep -cE '^not ok [0-9]+ ' "$log")
  [ "$rc" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
  grep -E '^ok [0-9]+ .*# skip' "$log" | sed -E 's/^ok [0-9]+ /  skipped: /'
  [ "$failed" -eq 0 ] || awk '/^not ok/ { on = 1 } /^ok/ { on = 0 } on || !/^(ok|not ok|#|1\.\.)/' "$log" | tail -n 80
  result "bats-$name" "$passed" "$failed" "$skipped" "$missing"
}

# runner SUITE PROGRAM ARGUMENT…: a program that prints "ok NAME" or "failed NAME: why" for each of its tests, and how many
# these are when it is called with --count.
runner() {
  local suite=$1 log=$results/$1.log rc=0 count passed failed
  shift
  say "$suite: begins"
  "$@" >"$log" 2>&1 </dev/null || rc=$?
  # It says why it can't.
  if [ "$rc" -eq 77 ]; then
    not_run "$suite" "$1" "$(sed -n 's/^skipped: //p' "$log")"
    return
  fi
  count=$("$1" --count)
  passed=$(grep -c '^ok ' "$log")
  failed=$(grep -c '^failed ' "$log")
  # What has no line fails too: the program may have died.
  [ $((passed + failed)) -ge "$count" ] || failed=$((count - passed))
  [ "$rc" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
  [ "$failed" -eq 0 ] || grep -v '^ok ' "$log" | tail -n 80
  result "$suite" "$passed" "$failed" 0
}

# not_run SUITE PROGRAM WHY: the program's tests are skipped.
not_run() {
  local count missing=0
  count=$("$2" --count)
  [[ $3 != '[package]'* ]] || missing=$count
  echo "  skipped: $3"
  result "$1" 0 0 "$count" "$missing"
}
