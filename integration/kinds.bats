#!/usr/bin/env bats
# The kinds of change, each on every kernel: built, loaded in QEMU, its behaviour looked at before, while and after. All
# builds and boots are done once, by kinds-run; a test here is one row of the table.
#
# KPATCH_TEST_KERNELS says which kernels: "6.12 6.1" where it is not set; own-ibt and own-noibt are there too, and cost a
# kernel build each.

bats_require_minimum_version 1.5.0

setup_file() {
  export KPATCH_TEST_OUT=$BATS_FILE_TMPDIR/kinds kernels=${KPATCH_TEST_KERNELS:-6.12 6.1}
  local kernel
  source "$BATS_TEST_DIRNAME/kernels.bash"
  why=$(missing_for_guests) || { export why; return 0; }
  for kernel in $kernels; do
    "$BATS_TEST_DIRNAME/kinds-run" "$kernel" >"$BATS_FILE_TMPDIR/$kernel" 2>&1 || true
    sed "s/^/# $kernel: /" "$BATS_FILE_TMPDIR/$kernel" >&3
  done
}

setup() { [ -z "${why:-}" ] || skip "$why"; }

# every_kernel_ok KIND
every_kernel_ok() {
  local kernel status=0
  for kernel in $kernels; do
    grep -qx "ok $1" "$BATS_FILE_TMPDIR/$kernel" && ! grep -q "^failed $1:" "$BATS_FILE_TMPDIR/$kernel" && continue
    status=1
    echo "on $kernel:"
    sed -n "/^failed $1:/,/^\(ok\|failed\) /p" "$BATS_FILE_TMPDIR/$kernel"
  done
  return $status
}

@test "each kind of change has its test here" {
  for kind in "$BATS_TEST_DIRNAME"/kinds/*; do
    grep -q "every_kernel_ok ${kind##*/};" "$BATS_TEST_FILENAME" || { echo "${kind##*/} has none"; return 1; }
  done
}

@test "alternatives" { every_kernel_ok alternatives; }
@test "author macros" { every_kernel_ok author-macros; }
@test "callbacks" { every_kernel_ok callbacks; }
@test "cold" { every_kernel_ok cold; }
@test "constprop" { every_kernel_ok constprop; }
@test "exception table" { every_kernel_ok exception-table; }
@test "header" { every_kernel_ok header; }
@test "isra" { every_kernel_ok isra; }
@test "jump label" { every_kernel_ok jump-label; }
@test "module later" { every_kernel_ok module-later; }
@test "module reload" { every_kernel_ok module-reload; }
@test "new file" { every_kernel_ok new-file; }
@test "new function" { every_kernel_ok new-function; }
@test "new percpu" { every_kernel_ok new-percpu; }
@test "new variables" { every_kernel_ok new-variables; }
@test "percpu" { every_kernel_ok percpu; }
@test "pr debug" { every_kernel_ok pr-debug; }
@test "runtime constant" { every_kernel_ok runtime-constant; }
@test "shadow" { every_kernel_ok shadow; }
@test "shared global" { every_kernel_ok shared-global; }
@test "static call" { every_kernel_ok static-call; }
@test "static local" { every_kernel_ok static-local; }
@test "switch" { every_kernel_ok switch; }
@test "sympos" { every_kernel_ok sympos; }
@test "syscall" { every_kernel_ok syscall; }
@test "syscall all" { every_kernel_ok syscall-all; }
@test "tracepoint" { every_kernel_ok tracepoint; }
@test "vmlinux and modules" { every_kernel_ok vmlinux-and-modules; }
@test "warn on" { every_kernel_ok warn-on; }
