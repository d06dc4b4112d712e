# Measuring, for the benchmarks: processor time of commands, as ratios of one run. Sourced; needs $work, a scratch directory.
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # work comes from who sources this; results go there

fail() { echo "bench: $*" >&2; tail -n 20 "$work/log" >&2 2>/dev/null; exit 1; }

# cpu COMMAND…: sets seconds (processor) and wall (clock) of a command and all its children.
cpu() {
  local TIMEFORMAT='%U %S %R' user system
  { time "$@" >"$work/log" 2>&1; } 2>"$work/time" || fail "failed: $*"
  read -r user system wall <"$work/time"
  seconds=$(awk "BEGIN { print $user + $system }")
}

# least N COMMAND…: the cheapest of N runs.
least() {
  local n=$1 best='' best_wall=''
  shift
  while [ "$n" -gt 0 ]; do
    cpu "$@"
    if [ -z "$best" ] || awk "BEGIN { exit !($seconds < $best) }"; then best=$seconds best_wall=$wall; fi
    n=$((n - 1))
  done
  seconds=$best wall=$best_wall
}

row() { printf '%-58s %8.2f s CPU %8.2f s\n' "$1" "$seconds" "$wall"; }

slow=0
# ratio NAME A B LIMIT: A / B, which must not be above LIMIT.
ratio() {
  local verdict=ok
  awk "BEGIN { exit !($2 > $3 * $4) }" && { verdict='ABOVE'; slow=1; }
  awk "BEGIN { printf \"%-58s %8.2f   (limit %s: %s)\n\", \"$1\", $2 / $3, \"$4\", \"$verdict\" }"
}

# peak COMMAND…: sets kilobytes, the greatest memory of a command.
peak() {
  kilobytes=$(python3 -c 'import resource, subprocess, sys
code = subprocess.run(sys.argv[2:], stdout=open(sys.argv[1], "w"), stderr=subprocess.STDOUT).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)' "$work/log" "$@") || fail "failed: $*"
}
