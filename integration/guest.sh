# shellcheck shell=dash
# Sourced by the scripts that run in the guest (busybox sh). A test is a sequence of these commands; each returns
# non-zero and says why when something isn't as it should be.
#
#   load_patch /kinds/warn/livepatch-warn.ko
#   disable_patch livepatch_warn
#   unload_patch livepatch_warn

klp=/sys/kernel/livepatch

say() { echo "$*"; }
fail() { echo "$*"; return 1; }

# patch_name KO: the module's name as the kernel spells it.
patch_name() { basename "$1" .ko | tr - _; }

# Tasks that still have to change over are woken with a stop and a continue, as `kpatch signal` does.
nudge() {
  for state in /proc/[0-9]*/task/[0-9]*/patch_state; do
    task=${state%/patch_state}
    task=${task##*/}
    case $task in "$$" | 1) continue ;; esac
    case $(cat "$state" 2>/dev/null) in
      -1 | '') ;;
      *) kill -STOP "$task" 2>/dev/null && kill -CONT "$task" 2>/dev/null ;;
    esac
  done
}

# wait_transition NAME: at most 60 s.
wait_transition() {
  tries=0
  while [ -e "$klp/$1/transition" ] && [ "$(cat "$klp/$1/transition" 2>/dev/null)" != 0 ]; do
    tries=$((tries + 1))
    if [ $tries -gt 300 ]; then
      fail "the transition of $1 didn't end; waiting for:"
      for state in /proc/[0-9]*/task/[0-9]*/patch_state; do
        grep -q -- -1 "$state" || say "  $(cat "${state%/patch_state}/comm"): $(head -n 8 "${state%/patch_state}/stack" | tr '\n' ' ')"
      done
      return 1
    fi
    [ $((tries % 15)) -ne 0 ] || nudge
    sleep 0.2
  done
}

load_patch() {
  name=$(patch_name "$1")
  insmod "$1" || fail "insmod $1 failed: $(dmesg | tail -n 3)" || return 1
  [ -e "$klp/$name" ] || fail "$name is loaded, but not in $klp" || return 1
  wait_transition "$name" || return 1
  [ "$(cat "$klp/$name/enabled")" = 1 ] || fail "$name is not enabled"
}

disable_patch() {
  echo 0 >"$klp/$1/enabled" || fail "$1 can't be disabled" || return 1
  wait_transition "$1" || return 1
  tries=0
  while [ -e "$klp/$1" ]; do
    tries=$((tries + 1))
    [ $tries -le 50 ] || fail "$1 is disabled, but still in $klp" || return 1
    sleep 0.1
  done
}

# The module's use count falls a moment after its directory is gone.
unload_patch() {
  tries=0
  while ! rmmod "$1" 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -le 50 ] || { rmmod "$1"; fail "$1 can't be unloaded"; return 1; }
    sleep 0.1
  done
}

# From here on, expect_dmesg and no_dmesg look at later messages alone.
mark_dmesg() {
  read -r mark </proc/sys/kernel/random/uuid
  echo "@@mark $mark" >/dev/kmsg
}
messages() { dmesg | sed "1,/@@mark $mark/d"; }
expect_dmesg() { messages | grep -q -e "$1" || fail "dmesg doesn't say: $1"; }
no_dmesg() { ! messages | grep -q -e "$1" || fail "dmesg says: $(messages | grep -e "$1" | head -n 1)"; }

# expect_eq WHAT EXPECTED ACTUAL
expect_eq() { [ "$2" = "$3" ] || fail "$1: \"$3\" instead of \"$2\""; }
# expect_in WHAT WORD TEXT
expect_in() { case $3 in *"$2"*) ;; *) fail "$1 doesn't have \"$2\": $(echo "$3" | head -n 5)" ;; esac; }
# expect_not_in WHAT WORD TEXT
expect_not_in() { case $3 in *"$2"*) fail "$1 has \"$2\"" ;; esac; }

# expect_exit CODE WORD COMMAND…: that exit code, and the word in what it prints.
expect_exit() {
  code=$1 word=$2
  shift 2
  printed=$("$@" 2>&1)
  got=$?
  [ $got -eq "$code" ] || fail "$*: exit $got instead of $code: $(echo "$printed" | head -n 8)" || return 1
  echo "$printed" | grep -q -e "$word" || fail "$* doesn't say \"$word\": $(echo "$printed" | head -n 8)"
}
in_memory() { grep -q "^$1 " /proc/modules; }
# patched yes|no: whether meminfo_proc_show() is the one of patch1 and patch2, which says so.
patched() {
  mark_dmesg
  cat /proc/meminfo >/dev/null
  if [ "$1" = yes ]; then expect_dmesg 'meminfo_proc_show: livepatched'; else no_dmesg 'meminfo_proc_show: livepatched'; fi
}

# What no test may leave in dmesg.
bad_messages='BUG|WARNING|Oops|general protection|livepatch: failed|Unpatched return thunk|refcount_t|scheduling while|RCU.*stall|rcu.*stall|Unknown symbol|unwind'
check_dmesg() {
  messages | grep -E -- "$bad_messages" >/tmp/bad || return 0
  say "in dmesg:"
  messages | grep -E -A 25 -- "$bad_messages" | head -n 60
  return 1
}

# check_patch DIRECTORY: one test, as check.sh in that directory describes it:
#   setup, cleanup       before and after everything
#   old, new             look for the old behaviour, and the new one
#   loaded, unloaded     after the patch was loaded and the transition has ended, after it was unloaded
#   sequence             in place of all that
old() { :; }
new() { :; }
setup() { :; }
cleanup() { :; }
loaded() { :; }
unloaded() { :; }
sequence() {
  setup || fail "(setup)" || return 1
  old || fail "(old behaviour, before loading)" || return 1
  load_patch "$ko" || return 1
  loaded || fail "(just loaded)" || return 1
  new || fail "(new behaviour, loaded)" || return 1
  disable_patch "$patch" || return 1
  old || fail "(old behaviour, disabled)" || return 1
  unload_patch "$patch" || return 1
  unloaded || fail "(just unloaded)" || return 1
  old || fail "(old behaviour, unloaded)"
}
check_patch() (
  cd "$1" || exit 1
  mark_dmesg
  ko=$(echo "$PWD"/*.ko)
  patch=$(patch_name "$ko")
  # shellcheck source=/dev/null
  . ./check.sh
  status=0
  sequence || status=1
  cleanup || status=1
  check_dmesg || status=1
  exit $status
)

# A test that stopped half-way must not spoil the next one.
drop_left_patches() {
  for left in "$klp"/*; do
    [ -e "$left" ] || continue
    left=${left##*/}
    disable_patch "$left" >/dev/null 2>&1
    unload_patch "$left" >/dev/null 2>&1
  done
}

# run_checks DIRECTORY…: one line a test that the host reads, "@@ ok NAME" or "@@ failed NAME" behind its output.
run_checks() {
  for directory in "$@"; do
    name=$(basename "$directory")
    echo "@@ begin $name"
    if check_patch "$directory"; then echo "@@ ok $name"; else echo "@@ failed $name"; fi
    drop_left_patches
  done
}

# chapter NAME: the same for a function of that name.
chapter() {
  echo "@@ begin $1"
  mark_dmesg
  whole=$mark
  status=0
  $1 || status=1
  mark=$whole
  check_dmesg || status=1
  if [ $status = 0 ]; then echo "@@ ok $1"; else echo "@@ failed $1"; fi
}
