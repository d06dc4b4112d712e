#!/usr/bin/env bats
# klpmake over stock 6.12, and kpatch-extract over files of its own. What the modules do in a kernel is klpmake's manual's
# matter; here they are judged by kpatch-verify.

bats_require_minimum_version 1.5.0

load bad-input.bash

setup() {
  kpatch_build=${KPATCH_BUILD_DIR:-$BATS_TEST_DIRNAME/../build}/kpatch-build/kpatch-build
  klpmake=${kpatch_build%/*/*}/klpmake/klpmake
  extract=${kpatch_build%/*/*}/extract/kpatch-extract
  verify=${kpatch_build%/*/*}/verify/kpatch-verify
  [ -x "$klpmake" ] || skip_package "built without libclang"
}

# project NAME SED FILE [SED FILE]…: a folder of that name with a patch that the sed scripts make of the kernel's files.
project() {
  local name=$1 tree=$BATS_TEST_TMPDIR/tree
  shift
  stock_inputs
  mkdir -p "$BATS_TEST_TMPDIR/$name"
  cd "$BATS_TEST_TMPDIR/$name" || return 1
  while [ $# -gt 0 ]; do
    mkdir -p "$tree/a/$(dirname "$2")" "$tree/b/$(dirname "$2")"
    cp "$source/$2" "$tree/a/$2"
    sed "$1" "$source/$2" >"$tree/b/$2"
    shift 2
  done
  (cd "$tree" && diff -ru a b) >fix.patch || true
  [ -s fix.patch ]
}

make_it() { run --separate-stderr "$klpmake" -b "$(dirname "$vmlinux")" "$@"; printf 'exit %s\n%s\n%s\n' "$status" "$output" "$stderr"; }

@test "a system call: its callers are replaced, step by step" {
  project uname_fix '/^SYSCALL_DEFINE1(newuname/,/^}/s/memcpy(&tmp, utsname(), sizeof(tmp));/&\n\tstrlcat(tmp.release, ".kpatch", sizeof(tmp.release));/' kernel/sys.c
  make_it 0
  [ "$status" -eq 0 ]
  [[ $output == *"step0: "*OK* ]]
  grep -q 'src-name kernel/sys.c' _klpsrc.conf
  make_it 1
  [ "$status" -eq 0 ]
  [ -s sys.c ]
  grep -q '^uts_sem 0 vmlinux' _klpmake.syms
  make_it 2
  [ "$status" -eq 0 ]
  [[ $output == *SUCCEED* ]]
  run -0 "$verify" -a "$release" uname_fix.ko
  [[ $output == *"__x64_sys_newuname"*"nothing speaks against it"* ]]
  [[ " $(shipped_code_of uname_fix.ko) " == *" vmlinux:__x64_sys_newuname "* ]]
  # What stands in the file is what counts: a rank that the kernel doesn't have is told.
  sed -i 's/^uts_sem 0/uts_sem 2/' _klpmake.syms
  rm uname_fix.ko
  make_it 2
  [ "$status" -ne 0 ]
  [ ! -e uname_fix.ko ]
  echo 'uts_sem 0 vmlinux' >>_klpmake.syms
  make_it 2
  [ "$status" -eq 7 ]
  [[ $stderr == *"_klpmake.syms:"*"is there twice"* ]]
}

@test "vmlinux and a module in one, whose shipped file no longer says its sources" {
  project netlink_fix '/^int netlink_set_err/,/^}/s/^\tint ret = 0;/&\n\n\tpr_info("set_err\\n");/' net/netlink/af_netlink.c \
    '/^static int __netlink_diag_dump(/,/^}/s/^\treq = /\tpr_info("dump\\n");\n&/' net/netlink/diag.c
  make_it
  [ "$status" -eq 0 ]
  run -0 "$verify" -a "$release" netlink_fix.ko
  [[ $output == *"netlink_diag: __netlink_diag_dump"*"vmlinux: netlink_set_err"*"nothing speaks against it"* ]]
}

@test "what a header brings and nobody uses is nobody's loss; a new variable of the file itself is" {
  local fix='s/^#include <linux.ctype.h>/#include <linux\/console.h>\n&/
    /^void emergency_restart/,/^}/s/^\tsystem_state = .*/&\n\tpr_info("emergency\\n");/'
  project reboot_fix "$fix" kernel/reboot.c
  make_it 0
  make_it 1
  [ "$status" -eq 0 ]
  [ -s reboot.c ]
  [[ $stderr != *new-unused* ]]
  project unused_fix "$fix; s/^int reboot_cpu;/&\nstatic bool reboot_is_fixed __used;/;
    s/^void emergency_restart/static bool __maybe_unused is_fixed(void) { return true; }\n&/" kernel/reboot.c
  make_it 0
  make_it 1
  [ "$status" -ne 0 ]
  [[ $stderr == *"reboot_is_fixed: "*"is a new variable that no replaced function uses"* ]]
  [[ $stderr == *"is_fixed: "*"is a new function that no replaced function uses"* ]]
}

@test "what is wrong with a folder is told by the exit code" {
  mkdir "$BATS_TEST_TMPDIR/odd" "$BATS_TEST_TMPDIR/Odd-Name"
  cd "$BATS_TEST_TMPDIR/odd"
  run -4 "$klpmake" 7
  run -5 "$klpmake" 1 2
  run -1 "$klpmake" --no-such-option
  run -1 "$klpmake" 1
  touch a.patch b.patch
  run -1 "$klpmake" 0
  [[ $output == *"2 patches"* ]]
  cd "$BATS_TEST_TMPDIR/Odd-Name"
  run -1 "$klpmake"
  [[ $output == *"Odd-Name"* ]]
}

@test "a source that the kernel doesn't build, and one that isn't there" {
  project odd_source 's/return 0;/return (0);/' fs/hfs/inode.c
  make_it 0
  [ "$status" -eq 42 ]
  printf 'src-root %s\ndebug-root %s\nmodule-name vmlinux\n\tsrc-name no/such.c\n\t\tfunc-name f\n' "$source" "$(dirname "$vmlinux")" >klpsrc.conf
  make_it 1
  [ "$status" -eq 42 ]
  [[ $stderr == *"no/such.c"* ]]
  printf 'module-name vmlinux\n\tfunc-name f\n' >klpsrc.conf
  make_it 1
  [ "$status" -eq 1 ]
  [[ $stderr == *"klpsrc.conf:2: "* ]]
}

@test "kpatch-extract: a function with what it needs compiles by itself, and comes out of the result as it is" {
  cd "$BATS_TEST_TMPDIR"
  cat >unit.c <<'C'
#include <stddef.h>
struct unused { int x; };
struct list { struct list *next; size_t size; };
typedef int (*visit_t)(struct list *, void *);
static int limit = 7;
int other(int);
static inline size_t twice(size_t n) { return n * 2; }
static int hidden(struct list *l) { return other((int)l->size); }
int walk(struct list *l, visit_t visit, void *data) {
  static int calls;
  for (; l; l = l->next)
    if (twice(l->size) > (size_t)limit && visit(l, data)) return hidden(l) + ++calls;
  return 0;
}
int left_out(void) { return limit; }
C
  run -0 "$extract" --function walk -o out.c -- gcc -O2 unit.c
  gcc -Wall -Werror=implicit-function-declaration -O2 -c out.c -o out.o
  run ! grep -qE 'left_out|struct unused' out.c
  run ! grep -qF "$PWD" out.c
  grep -q twice out.c
  run -0 "$extract" --function walk -o again.c -- gcc -O2 out.c
  gcc -O2 -c again.c -o again.o
  cmp <(objdump -d out.o | tail -n +4) <(objdump -d again.o | tail -n +4)
}

@test "kpatch-extract: what can't be done is said" {
  cd "$BATS_TEST_TMPDIR"
  echo 'int f(int x) { return x; } int v(const char *s, ...) { return *s; }' >unit.c
  run ! "$extract" --function none -o out.c -- gcc unit.c
  [[ $output == *none* ]]
  run ! "$extract" --function f -o out.c -- gcc absent.c
  echo 'int f(int x) { return x + ; }' >broken.c
  run ! "$extract" --function f -o out.c -- gcc broken.c
  [[ $output == *broken.c:1* ]]
  run ! "$extract" -o out.c -- gcc unit.c
  run ! "$extract" --function f -o out.c
  [ ! -e out.c ]
}
