# Boots a kernel in QEMU, runs a script in it, and returns what the script printed.
#
#   root=$(mktemp -d)
#   stage_module "$root" "$modules" "$release" xt_comment
#   cat >"$root/run.sh"                       # the script, which sources /guest.sh
#   run_guest "$kernel" "$release" "$root" "$log" 120
#
# KVM is used where it works, which is more than /dev/kvm being there: QEMU can die on a register that the host's
# hypervisor refuses, or stop on an instruction. So it is tried for a few seconds once a boot of the host, and
# otherwise QEMU's own emulation (TCG) does it.

# shellcheck source=integration/initramfs.bash
. "$(dirname "${BASH_SOURCE[0]}")/initramfs.bash"

# qemu_guest ACCELERATOR SECONDS KERNEL INITRAMFS CONSOLE OUTPUT
qemu_guest() {
  local cpu=max
  [ "$1" != kvm ] || cpu=host
  timeout --foreground -k 5 "$2" qemu-system-x86_64 -accel "$1" -cpu "$cpu" -smp "${KPATCH_TEST_CPUS:-1}" -m 1G \
    -display none -monitor none -no-reboot -nic none -kernel "$3" -initrd "$4" -serial "file:$5" -serial "file:$6" \
    -append "console=ttyS0 panic=-1 oops=panic loglevel=7 log_buf_len=4M printk.time=0 mitigations=auto net.ifnames=0 no_timer_check" \
    </dev/null
}

# accelerator KERNEL: prints kvm or tcg.
accelerator() {
  local memory directory result=tcg
  if [ -n "${KPATCH_TEST_ACCEL:-}" ]; then
    echo "$KPATCH_TEST_ACCEL"
    return
  fi
  memory=$(test_cache)/accelerator-$(cat /proc/sys/kernel/random/boot_id)
  if [ ! -e "$memory" ]; then
    if [ -w /dev/kvm ]; then
      directory=$(mktemp -d)
      mkdir "$directory/root"
      if make_initramfs "$directory/root" none "$directory/initramfs" &&
        qemu_guest kvm 8 "$1" "$directory/initramfs" "$directory/console" "$directory/out" >/dev/null 2>&1 &&
        grep -q '^@@ end' "$directory/out"; then
        result=kvm
      fi
      rm -rf "$directory"
    fi
    echo "$result" >"$memory"
  fi
  cat "$memory"
}

# run_guest KERNEL RELEASE ROOT LOG [SECONDS]: boots with what is staged below ROOT; ROOT/run.sh is the script. Its
# output goes to LOG and the kernel's messages to LOG.console. Fails when the guest crashes, hangs or complains.
run_guest() {
  local kernel=$1 release=$2 root=$3 log=$4 seconds=${5:-300} accel status=0
  make_initramfs "$root" "$release" "$log.initramfs" || return 1
  accel=$(accelerator "$kernel")
  echo "booting $release with $accel" >&2
  rm -f "$log" "$log.console"
  qemu_guest "$accel" "$seconds" "$kernel" "$log.initramfs" "$log.console" "$log" || status=$?
  rm -f "$log.initramfs"
  if ! grep -q '^@@ end' "$log" 2>/dev/null; then
    if [ "$status" -eq 124 ]; then
      echo "the guest ran for $seconds s without coming to an end; its last words:" >&2
    else
      echo "the guest stopped before its script had ended (QEMU's exit status: $status); its last words:" >&2
    fi
    tail -n 5 "$log" >&2
    grep -E -m 1 -A 40 'BUG|Oops|Kernel panic|general protection' "$log.console" >&2 || tail -n 25 "$log.console" >&2
    return 1
  fi
  if grep -E 'BUG|WARNING|Oops|general protection|livepatch: failed|Unpatched return thunk' "$log.console" >&2; then
    echo "the kernel complained, see $log.console" >&2
    return 1
  fi
}
