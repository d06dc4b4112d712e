#!/usr/bin/env bats
# The commands that a build runs: by whom they are launched, what they may touch, and what becomes of them and of what
# they had made when a build is killed. Paths that mean something to a shell, to make or to a compiler.

bats_require_minimum_version 1.5.0

load bad-input.bash

setup_file() {
  # One undisturbed build; the others must give the same bytes.
  stock_inputs
  use_cache "$BATS_FILE_TMPDIR/cache"
  good_patch "$BATS_FILE_TMPDIR/fix.patch"
  "$kpatch_build" -a "$release" -o "$BATS_FILE_TMPDIR" "$BATS_FILE_TMPDIR/fix.patch"
}

setup() {
  kpatch_build=${KPATCH_BUILD_DIR:-$BATS_TEST_DIRNAME/../build}/kpatch-build/kpatch-build
  unset KPATCH_CACHE
  stock_inputs
  use_cache "$BATS_FILE_TMPDIR/cache"
  out=$BATS_TEST_TMPDIR/out
  patch=$BATS_FILE_TMPDIR/fix.patch
  export TMPDIR=$BATS_TEST_TMPDIR/tmp
  mkdir -p "$TMPDIR"
}

# as_undisturbed [FILE]: the module is what the first build gave, and nothing else was left.
as_undisturbed() {
  local left
  cmp "${1:-$out/livepatch-fix.ko}" "$BATS_FILE_TMPDIR/livepatch-fix.ko" || return 1
  left=$(find "$TMPDIR" "$KPATCH_CACHE/scratch" -mindepth 1 -maxdepth 1)
  [ -z "$left" ] || { echo "left in the scratch directory: $left"; return 1; }
}

# Skips where a build can't be confined: no root, and no namespaces for others.
need_sandbox() {
  command -v bwrap >/dev/null || skip_package "bwrap isn't installed"
  bwrap --ro-bind / / --dev /dev --proc /proc --unshare-net --unshare-pid true || skip_machine "no namespaces"
}

# --- --launcher ------------------------------------------------------------------------------------------------

# What was kept of the original isn't compiled again: the patched object is.
@test "ccache: every compile of a patch comes out of it the second time, and nothing else changes" {
  command -v ccache >/dev/null || skip_package "ccache isn't installed"
  export CCACHE_DIR=$BATS_TEST_TMPDIR/ccache
  build --launcher ccache "$patch"
  [ "$status" -eq 0 ]
  as_undisturbed
  ccache --print-stats | grep -qE '^cache_miss[[:space:]]+[1-9]'
  ccache -z >/dev/null
  build --launcher ccache "$patch"
  [ "$status" -eq 0 ]
  as_undisturbed
  hits=$(ccache --print-stats | awk '/^(direct|preprocessed)_cache_hit/ { n += $2 } END { print n }')
  misses=$(ccache --print-stats | awk '$1 == "cache_miss" { print $2 }')
  [ "$hits" -ge 1 ] && [ "$misses" -eq 0 ] || { ccache --print-stats; return 1; }
}

# start_distccd ADDRESS CLIENT [COMMAND…]: distccd for this test alone, behind the command's words; sets its port. It
# speaks to who has the client's address, and has the folder $served, of which bin is the first in its PATH.
start_distccd() {
  local address=$1 client=$2
  shift 2
  for program in distcc distccd; do command -v $program >/dev/null || skip_package "$program isn't installed"; done
  # Started by root it becomes a user who may not enter bats' own folders.
  served=$(TMPDIR=/tmp mktemp -d)
  chmod 777 "$served"
  port=$((20000 + $$ % 20000))
  TMPDIR=/tmp PATH=$served/bin:$PATH "$@" distccd --daemon --no-detach --listen "$address" --port $port \
    --allow "$client" --enable-tcp-insecure --jobs 2 --log-file "$served/log" >/dev/null 2>&1 3>&- &
  distccd=$!
  export DISTCC_HOSTS=$address:$port DISTCC_FALLBACK=0 DISTCC_DIR=$BATS_TEST_TMPDIR/distcc
  mkdir "$DISTCC_DIR"
}

# reached [COMMAND…]: waits until the server can be reached by who is started behind the command's words.
reached() {
  for _ in $(seq 100); do
    "$@" bash -c "(: <'/dev/tcp/${DISTCC_HOSTS%:*}/$port') 2>/dev/null" && return
    sleep 0.1
  done
  echo "no distccd at $DISTCC_HOSTS"
  return 1
}

# Two network namespaces, near and far, with a wire between them and nothing else. From now on kpatch_build is started in
# near, and distccd is in far.
two_networks() {
  local real=$kpatch_build
  command -v ip >/dev/null || skip_package "iproute2 isn't installed"
  [ "$(id -u)" -eq 0 ] || skip_machine "only root makes network namespaces"
  near=kpatch-near-$$ far=kpatch-far-$$
  { ip netns add "$near" && ip netns add "$far"; } || skip_machine "no network namespaces"
  ip -n "$near" link add wire type veth peer name wire netns "$far" || skip_machine "no veth"
  ip -n "$near" address add 192.0.2.1/24 dev wire
  ip -n "$far" address add 192.0.2.2/24 dev wire
  for network in "$near" "$far"; do
    ip -n "$network" link set lo up
    ip -n "$network" link set wire up
  done
  kpatch_build=$BATS_TEST_TMPDIR/kpatch-build
  printf '#!/bin/sh\nexec ip netns exec %s %q "$@"\n' "$near" "$(realpath "$real")" >"$kpatch_build"
  chmod +x "$kpatch_build"
  start_distccd 192.0.2.2 192.0.2.1 ip netns exec "$far"
  reached ip netns exec "$near"
}

# What a test started or made above, however it ends.
teardown() {
  local network process
  kill ${distccd:+"$distccd"} ${cutter:+"$cutter"} 2>/dev/null || true
  for network in ${near:+"$near"} ${far:+"$far"}; do
    for process in $(ip netns pids "$network" 2>/dev/null); do kill -KILL "$process" 2>/dev/null || true; done
    ip netns delete "$network" 2>/dev/null || true
  done
  wait ${distccd:+"$distccd"} ${cutter:+"$cutter"} || true
  [ -z "${served-}" ] || rm -rf "$served"
}

# compiled_there CLIENT NUMBER: so many compiles, or more, were done by the server for it.
compiled_there() {
  [ "$(grep -c "client: $1:.*COMPILE_OK" "$served/log")" -ge "$2" ] || { cat "$served/log"; return 1; }
}

@test "distcc: compiled by a server, the bytes are the same" {
  start_distccd 127.0.0.1 127.0.0.1
  reached
  build --launcher distcc "$patch"
  [ "$status" -eq 0 ]
  as_undisturbed
  compiled_there 127.0.0.1 1
}

# Of other words than above, nothing of the original is kept: it is compiled, too, with and without sections.
@test "distcc over a network: every compile is done by the far host, the bytes are the same" {
  two_networks
  build --launcher 'env distcc' "$patch"
  [ "$status" -eq 0 ]
  as_undisturbed
  compiled_there 192.0.2.1 3
}

# The far compiler says that it was started, and gives no answer until the wire is cut; nor then.
@test "distcc over a network that breaks off in the middle of a compile: the bytes are the same" {
  two_networks
  mkdir "$served/bin"
  mkfifo -m 666 "$served/started" "$served/never"
  # distcc may ask for x86_64-linux-gnu-gcc-12 where it is given gcc-12.
  compiler=$(sed -n 's/^compiler: \([^:]*\):.*/\1/p' "$KPATCH_CACHE"/base/*/key.txt)
  for name in "$compiler" "$("$compiler" -dumpmachine)-$compiler"; do
    printf '#!/bin/sh\necho started >%s\nread -r _ <%s\n' "$served/started" "$served/never" >"$served/bin/$name"
    chmod +x "$served/bin/$name"
  done
  { read -r line <"$served/started" && ip -n "$far" link set wire down && echo "$line" >"$served/cut"; } >&2 3>&- &
  cutter=$!
  DISTCC_FALLBACK=1 DISTCC_IO_TIMEOUT=5 build --launcher distcc "$patch"
  [ "$status" -eq 0 ]
  as_undisturbed
  [ "$(cat "$served/cut")" = started ]
  [ "$(grep -c COMPILE_OK "$served/log")" -eq 0 ]
}

@test "distcc over a network that is cut, and may not compile here: the launcher is named, and its message shown" {
  two_networks
  ip -n "$far" link set wire down
  build --launcher distcc "$patch"
  refused 1 'fs/proc/meminfo\.c.* --launcher distcc' 'distcc.*failed to distribute'
}

@test "a patch that doesn't compile, by a launcher: the compiler's message is shown, and no launcher blamed" {
  change fs/proc/meminfo.c 's|^\tsi_meminfo\(&i\);|\tno_such_thing = 1;\n&|' >"$BATS_TEST_TMPDIR/wrong.patch"
  build --launcher env "$BATS_TEST_TMPDIR/wrong.patch"
  [ "$status" -eq 1 ]
  grep -qx 'error: the patched fs/proc/meminfo.c does not compile' <<<"$stderr"
  grep -q "^fs/proc/meminfo.c:[0-9]*:[0-9]*: error: 'no_such_thing' undeclared" <<<"$stderr"
  [[ $stderr != *launcher* ]]
}

@test "a launcher that isn't there" {
  build --launcher no-such-launcher "$patch"
  refused 1 'no-such-launcher' 'no such program'
}

# --- the sandbox -----------------------------------------------------------------------------------------------

# A patch whose Makefile writes to HOME and asks a server when it is read, the message of which is in `said`.
hostile_patch() {
  mkdir -p "$BATS_TEST_TMPDIR/home"
  export HOME=$BATS_TEST_TMPDIR/home
  # shellcheck disable=SC2016  # make's own
  change fs/proc/Makefile '1,/^obj-y/ s/^obj-y.*/hostile := $(shell touch $(HOME)\/pwned \/tmp\/pwned-'$$'; echo read >$(abs_objtree)\/read)\n&/' >"$1"
  cat "$patch" >>"$1"
}

@test "a Makefile of the patch writes nowhere" {
  need_sandbox
  hostile_patch "$BATS_TEST_TMPDIR/hostile.patch"
  build "$BATS_TEST_TMPDIR/hostile.patch"
  [ ! -e "$HOME/pwned" ]
  [ ! -e "/tmp/pwned-$$" ]
  # The test is none unless the same does harm without a sandbox.
  build --no-sandbox "$BATS_TEST_TMPDIR/hostile.patch"
  rm -f "/tmp/pwned-$$"
  [ -e "$HOME/pwned" ]
}

@test "a module tells that it was made without a sandbox" {
  build --no-sandbox --report "$BATS_TEST_TMPDIR/report.json" "$patch"
  [ "$status" -eq 0 ]
  [ "$(modinfo -F kpatch_sandbox "$out/livepatch-fix.ko")" = 'none: --no-sandbox' ]
  grep -q '"no-sandbox"' "$BATS_TEST_TMPDIR/report.json"
}

@test "where bwrap can't make namespaces a build goes on, and says so" {
  mkdir "$BATS_TEST_TMPDIR/bin"
  printf '#!/bin/sh\necho "bwrap: no permission" >&2\nexit 1\n' >"$BATS_TEST_TMPDIR/bin/bwrap"
  chmod +x "$BATS_TEST_TMPDIR/bin/bwrap"
  PATH=$BATS_TEST_TMPDIR/bin:$PATH build "$patch"
  [ "$status" -eq 0 ]
  grep -q 'without a sandbox.*bwrap' <<<"$output$stderr"
  [ "$(modinfo -F kpatch_sandbox "$out/livepatch-fix.ko")" = "none: bwrap can't make namespaces here" ]
}

@test "a build writes to its cache and its output directory, and nowhere else" {
  command -v strace >/dev/null || skip_package "strace isn't installed"
  mkdir "$BATS_TEST_TMPDIR/home" "$BATS_TEST_TMPDIR/cwd" "$BATS_TEST_TMPDIR/bin"
  # rustup's stand-in for rustc makes itself a folder in HOME.
  printf '#!/bin/sh\nexit 1\n' >"$BATS_TEST_TMPDIR/bin/rustc"
  chmod +x "$BATS_TEST_TMPDIR/bin/rustc"
  PATH=$BATS_TEST_TMPDIR/bin:$PATH
  cd "$BATS_TEST_TMPDIR/cwd"
  # Without a sandbox, so that what would be stopped there shows.
  HOME=$BATS_TEST_TMPDIR/home strace -f -qq -y -o "$BATS_TEST_TMPDIR/trace" \
    -e trace=openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,symlink,symlinkat,link,linkat \
    "$kpatch_build" --no-sandbox -a "$release" -o "$out" "$patch"
  # Relative names are of make's and the compiler's folders, which lie in the cache: cwd's own show in the next line.
  # Of a link the second name is written.
  grep -E 'O_(WRONLY|RDWR|CREAT)|^[0-9]+ +(creat|mkdir|rename|unlink|symlink|link)' "$BATS_TEST_TMPDIR/trace" |
    grep -vE ' = -1 |<unfinished' | sed -E 's/^([0-9]+ +(sym)?link(at)?\()"[^"]*", /\1/' |
    grep -oE '"/[^"]*"' | tr -d '"' | LC_ALL=C sort -u >"$BATS_TEST_TMPDIR/written"
  [ -s "$BATS_TEST_TMPDIR/written" ]
  real=$(realpath "$KPATCH_CACHE")
  # gcc's own temporary files go where TMPDIR says, and are removed.
  strange=$(grep -vE "^($real|$(realpath "$shared")|$out|$TMPDIR|/dev/(null|tty))(/|$)" "$BATS_TEST_TMPDIR/written" || true)
  [ -z "$strange" ] || { echo "written elsewhere: $strange"; return 1; }
  [ -z "$(find "$BATS_TEST_TMPDIR/home" "$BATS_TEST_TMPDIR/cwd" "$TMPDIR" -mindepth 1)" ]
}

# --- paths -----------------------------------------------------------------------------------------------------

# commands PATCH: its exit status and what ran for it, sorted: the log has commands as they end.
commands() {
  local status=0
  "$kpatch_build" -a "$release" --no-sandbox -d -o "$out" "$1" >"$BATS_TEST_TMPDIR/output" 2>&1 || status=$?
  echo "exit $status"
  sed -n 's/^log: //p' "$BATS_TEST_TMPDIR/output" | xargs grep '^\$ ' | LC_ALL=C sort
}

@test "a file under Documentation/ costs no command" {
  local change='--- a/Documentation/process/howto.rst
+++ b/Documentation/process/howto.rst
@@ -1,3 +1,4 @@
+.. a line
 .. _process_howto:
 
 HOWTO do Linux kernel development'
  mkdir "$BATS_TEST_TMPDIR/both" "$BATS_TEST_TMPDIR/alone"
  { cat "$patch"; echo "$change"; } >"$BATS_TEST_TMPDIR/both/fix.patch"
  echo "$change" >"$BATS_TEST_TMPDIR/alone/fix.patch"
  commands "$patch" >"$BATS_TEST_TMPDIR/commands"
  grep -q '^\$ cd .* -c -o ' "$BATS_TEST_TMPDIR/commands"
  commands "$BATS_TEST_TMPDIR/both/fix.patch" | diff "$BATS_TEST_TMPDIR/commands" -
  commands "$BATS_TEST_TMPDIR/alone/fix.patch" >"$BATS_TEST_TMPDIR/alone/commands"
  [ "$(head -n 1 "$BATS_TEST_TMPDIR/alone/commands")" = "exit 3" ]
  run ! grep ' -c -o ' "$BATS_TEST_TMPDIR/alone/commands"
}

@test "paths that a shell, make or a compiler would read otherwise" {
  # shellcheck disable=SC2016,SC1003
  for name in 'a&b;c' '(d) <e>' '*f? $g `h`' "'i' \"j\"" '%k:l\m' $'n\no' 'ü' '-p' '#q,r=s' '[t]{u,v}~!|'; do
    d=$BATS_TEST_TMPDIR/$name
    mkdir "$d"
    cp "$patch" "$d/fix.patch"
    cp "$config" "$d/config"
    cp "$symvers" "$d/Module.symvers"
    ln -s "$vmlinux" "$d/vmlinux"
    use_config=$d/config use_vmlinux=$d/vmlinux use_symvers=$d/Module.symvers use_source=$source \
      build -m "$packages/lib/modules/$release" -o "$d/out" --report "$d/report.json" "$d/fix.patch"
    [ "$status" -eq 0 ] || { echo "in: $d"; return 1; }
    as_undisturbed "$d/out/livepatch-fix.ko"
    [ -s "$d/report.json" ]
  done
}

@test "paths that are too long are told before anything is made" {
  long=/$(printf 'x%.0s' $(seq 300))
  longer=$(printf '/tmp/x%.0s' $(seq 800))
  for path in "$long" "$longer"; do
    for option in -o -c -v -s -m -r --symvers; do
      build "$option" "$path" "$patch"
      refused 1 'too long|no such file'
    done
    build --report "$path.json" "$patch"
    refused 1 'report.*too long'
    build "$path"
    refused 1 'too long'
    build -n "$path" "$patch"
    refused 1 'begins with a letter'
  done
}

# --- killed ----------------------------------------------------------------------------------------------------

# kill_at PATTERN WHO [OPTION…]: starts a build and kills it when it prints a line like that: WHO is driver, or all, which
# is each process of its session as well.
kill_at() {
  local pattern=$1 who=$2 pid line fd lock met=
  shift 2
  mkfifo "$BATS_TEST_TMPDIR/said"
  setsid "$kpatch_build" -a "$release" -d -d -o "$out" "$@" "$patch" >"$BATS_TEST_TMPDIR/said" 2>&1 3>&- &
  pid=$!
  exec {fd}<"$BATS_TEST_TMPDIR/said"
  rm "$BATS_TEST_TMPDIR/said"
  while IFS= read -r line <&$fd; do
    [[ $line =~ $pattern ]] || continue
    met=1
    [ "$who" = driver ] || pkill -KILL -s "$pid" || true
    kill -KILL "$pid" 2>/dev/null || true
    break
  done
  wait "$pid" || true
  # The end of what it says is the end of all that it had started.
  cat <&$fd >/dev/null
  exec {fd}<&-
  # What says nothing may take a moment longer, and a folder that it works in is not yet left.
  for lock in "$KPATCH_CACHE"/scratch/*.lock; do [ ! -e "$lock" ] || flock -w 60 "$lock" true; done
  [ -n "$met" ] || { echo "it never said: $pattern"; return 1; }
  # Whatever is there is whole.
  [ ! -e "$out/livepatch-fix.ko" ] || cmp "$out/livepatch-fix.ko" "$BATS_FILE_TMPDIR/livepatch-fix.ko"
}

works_again() {
  rm -rf "$out"
  build "$patch"
  [ "$status" -eq 0 ]
  as_undisturbed
}

@test "killed while a base is made, each time a step further: the next run makes it whole" {
  use_cache "$BATS_TEST_TMPDIR/cache"
  for step in olddefconfig modules_prepare 'kbuild/query\.mk'; do
    for who in driver all; do
      kill_at "$step" $who
    done
  done
  works_again
}

@test "killed while objects are compiled, compared, linked, judged or delivered: the next run is as the first" {
  for step in '\.patched\.o' '^create-diff-object|/create-diff-object ' '^proof: ' '^module …' '^audit …'; do
    for who in driver all; do
      echo "$who, at $step"
      kill_at "$step" $who
    done
    works_again
  done
}

# --- patches that were written for other builders ---------------------------------------------------------------

# Adds lines behind the last include of a file, and others at its end.
with_macros() {
  local last
  last=$(grep -n '^#include' "$source/$1" | tail -n 1 | cut -d: -f1)
  change "$1" "${last}s|\$|\n$2|; \$s|\$|\n$3|"
}

@test "macros of kpatch and of the kernel's livepatch_helpers.h compile as they are" {
  [ ! -e "$source/include/linux/livepatch_helpers.h" ] || skip_machine "the kernel has livepatch_helpers.h"
  {
    with_macros fs/proc/meminfo.c '#include "kpatch-macros.h"' \
      'static int pre(patch_object *o) { return 0; }\nstatic void rest(patch_object *o) { }\nstatic struct kpatch_pre_patch_callback pre_data __kpatch_section(.kpatch.callbacks.pre_patch) __used = { .fn = pre, .objname = NULL };\nstatic struct kpatch_post_patch_callback post_data __kpatch_section(.kpatch.callbacks.post_patch) __used = { .fn = rest };\nKPATCH_PRE_UNPATCH_CALLBACK(rest);\nKPATCH_POST_UNPATCH_CALLBACK(rest);\nKPATCH_FORCE_UNSAFE(meminfo_proc_show);\nKPATCH_IGNORE_SECTION(".data..read_mostly");'
    with_macros net/netfilter/xt_comment.c '#include <linux/livepatch_helpers.h>' \
      'static int pre(struct klp_object *o) { return 0; }\nstatic void rest(struct klp_object *o) { }\nKLP_PRE_PATCH_CALLBACK(pre);\nKLP_POST_PATCH_CALLBACK(rest);\nKLP_PRE_UNPATCH_CALLBACK(rest);\nKLP_POST_UNPATCH_CALLBACK(rest);'
    change fs/proc/version.c 's|^#include "internal.h"|&\n#include <linux/livepatch_helpers.h>\n#include <asm/paravirt.h>|; s|^\tseq_printf|\tif (KLP_STATIC_CALL(pv_steal_clock)(0))\n\t\tcpu_relax();\n&|'
    change kernel/sys.c 's|^SYSCALL_DEFINE1\(umask, int, mask\)|KLP_SYSCALL_DEFINE1(umask, int, mask)|; s|^#include <linux/export.h>|&\n#include <linux/livepatch_helpers.h>|; s|^\tmask = xchg\(&current->fs->umask|\tcpu_relax();\n&|'
  } >"$BATS_TEST_TMPDIR/macros.patch"
  build "$BATS_TEST_TMPDIR/macros.patch"
  [ "$status" -eq 0 ]
  for function in meminfo_proc_show version_proc_show __x64_sys_umask; do grep -q "$function" <<<"$output"; done
  grep -q 'xt_comment' <<<"$output"
}
