# Two boots of one machine with UEFI. In the first its firmware has no owner: it gets our keys, the livepatch's
# certificate among them. In the second Secure Boot is on, the kernel is locked down, and takes signed modules alone.
# shellcheck shell=sh
. /guest.sh

vars=/sys/firmware/efi/efivars
global=8be4df61-93ca-11d2-aa0d-00e098032b8c
security=d719b2cb-3d3a-4596-a3bc-dad00e67656f
modprobe efivarfs
mount -t efivarfs efivarfs $vars || say "efivarfs isn't there: $(dmesg | tail -n 3)"

# The last byte, behind the attributes; such a file can't be read from its middle.
variable() { cat "$vars/$1-$global" | tail -c 1 | od -An -tu1 | tr -d ' '; }
# Non-volatile, for boot services and at run time, with a time in its signature; in one write.
enroll() {
  { printf '\047\0\0\0' && cat "/enforcing/$1.auth"; } >/tmp/variable
  dd if=/tmp/variable of="$vars/$1-$2" bs=1M status=none || fail "$1 can't be enrolled"
}

say "setup mode: $(variable SetupMode), secure boot: $(variable SecureBoot)"
if [ "$(variable SetupMode)" = 1 ]; then
  enroll db $security && enroll KEK $global && enroll PK $global && say "@@ enrolled"
  exit
fi

none_loaded() { [ -z "$(ls $klp)" ] || fail "$(ls $klp) is loaded"; }

secure_boot() {
  [ "$(variable SecureBoot)" = 1 ] || fail "Secure Boot is off" || return 1
  dmesg | grep -qi 'secure boot enabled' || fail "the kernel doesn't know of Secure Boot" || return 1
  grep -q '\[integrity\]' /sys/kernel/security/lockdown || fail "lockdown: $(cat /sys/kernel/security/lockdown)" || return 1
  grep -q Y /sys/module/module/parameters/sig_enforce || fail "signatures aren't enforced"
}
in_db() {
  dmesg | grep -q "Loaded X.509 cert 'Livepatch Key" || fail "the certificate of db isn't in the kernel's keyring: $(dmesg | grep -i x.509 | tail -n 5)"
}
right() {
  expect_exit 0 'is in effect' kpatch load /enforcing/right.ko && expect_exit 0 patched kpatch status &&
    mark_dmesg && cat /proc/meminfo >/dev/null && expect_dmesg 'meminfo_proc_show: livepatched' &&
    expect_exit 0 'is unloaded' kpatch unload --all && none_loaded
}
unsigned() { expect_exit 1 'rejects its signature, or wants one' kpatch load /enforcing/unsigned.ko && none_loaded; }
wrong_key() { expect_exit 1 'rejects its signature, or wants one' kpatch load /enforcing/wrong.ko && none_loaded; }
changed_byte() { expect_exit 1 'rejects its signature, or wants one' kpatch load /enforcing/changed.ko && none_loaded; }
# The module's own code is told apart by the kernel: each says what it found.
reasons() {
  dmesg | grep -q 'Loading of unsigned module is rejected' || fail "unsigned: no reason" || return 1
  dmesg | grep -q 'Loading of module with unavailable key is rejected' || fail "wrong key: no reason"
}
checked() { expect_exit 0 'nothing is against it' kpatch check /enforcing/right.ko; }

mount -t securityfs security /sys/kernel/security 2>/dev/null
for chapter in secure_boot in_db right unsigned wrong_key changed_byte reasons checked; do
  chapter $chapter
done
