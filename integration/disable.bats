#!/usr/bin/env bats
# kpatch-build --disable on a stock kernel: functions of each kind of type, in vmlinux and in a module, that return at once
# in a kernel that boots; and what is refused. Values and patches by themselves: unit/disable_test.cc.

bats_require_minimum_version 1.5.0

load bad-input.bash
# shellcheck source=integration/kernels.bash
. "$BATS_TEST_DIRNAME/kernels.bash"

setup() {
  stock_inputs
  cd "$BATS_TEST_TMPDIR" || return 1
}

disable() {
  run --separate-stderr "$kpatch_build" -a "$release" -n livepatch-disabled -o out "$@"
  printf 'exit %s\n%s\n%s\n' "$status" "$output" "$stderr"
}

@test "functions that return nothing, an int and a pointer, of vmlinux and a module" {
  local why
  why=$(missing_for_guests) || skip_package "${why#*] }"
  cat >disabled.sh <<'SCRIPT'
! grep -q MemTotal /proc/meminfo && ! cat /proc/version && ! [ -e /proc/self/stat ] && ! ip link add d0 type dummy
SCRIPT
  disable --disable show_val_kb --disable fs/proc/version.c:version_proc_show=-EPERM \
    --disable proc_self_get_link=-ENOENT --disable dummy:dummy_validate=-EPERM --test-script disabled.sh
  [ "$status" -eq 0 ]
  # What was inlined is replaced with the functions that hold it.
  [[ $output == *"dummy: dummy_validate"*"vmlinux: meminfo_proc_show, proc_self_get_link, version_proc_show"* ||
    $output == *"vmlinux: meminfo_proc_show, proc_self_get_link, version_proc_show"*"dummy: dummy_validate"* ]]
}

@test "a system call" {
  disable --disable __do_sys_personality=-EPERM
  [ "$status" -eq 0 ]
  [[ $output == *__x64_sys_personality* ]]
}

@test "a function with a static variable, which keeps what it holds" {
  disable --disable netpoll_send_udp
  [ "$status" -eq 0 ]
  [[ $output == *netpoll_send_udp* ]]
  [[ $stderr == *"ip_ident"*"of netpoll_send_udp is no longer there: what it holds stays in the kernel"*"[static-local]"* ]]
}

@test "refused: a struct, a macro's function, one of several, none, the wrong value" {
  disable --disable ns_to_timespec64
  [ "$status" -eq 2 ]
  [[ $stderr == *"returns a struct timespec64"*"[disable-type]"* ]]
  disable --disable do_exit
  [ "$status" -eq 2 ]
  [[ $stderr == *"do_exit: never returns"*"[disable-noreturn]"* ]]
  disable --disable meminfo_proc_show=0 --disable fs/proc/meminfo.c:meminfo_proc_show=1
  [ "$status" -eq 1 ]
  [[ $stderr == *"meminfo_proc_show is named twice"* ]]
  disable --disable exc_page_fault
  [ "$status" -eq 2 ]
  [[ $stderr == *"made by a macro"*"[disable-macro]"* ]]
  disable --disable show=0
  [ "$status" -eq 1 ]
  [[ $stderr == *"there are several, name one as "*"drivers/cpufreq/cpufreq.c:show"* ]]
  disable --disable no_such_function
  [ "$status" -eq 1 ]
  [[ $stderr == *"has no function of that name"* ]]
  disable --disable fs/none.c:f=1
  [ "$status" -eq 1 ]
  [[ $stderr == *"no such file"* ]]
  disable --disable nomodule:f=1
  [ "$status" -eq 1 ]
  [[ $stderr == *"no such module"* ]]
  disable --disable version_proc_show
  [ "$status" -eq 1 ]
  [[ $stderr == *"it returns int, so name what"* ]]
  disable --disable si_meminfo=1
  [ "$status" -eq 1 ]
  [[ $stderr == *"it returns nothing"* ]]
  disable --disable version_proc_show=0 "$BATS_TEST_DIRNAME/patches/patch1.patch"
  [ "$status" -eq 1 ]
  [[ $stderr == *"--disable stands in place of a patch"* ]]
  [ -z "$(find out -name '*.ko' 2>/dev/null)" ]
}
