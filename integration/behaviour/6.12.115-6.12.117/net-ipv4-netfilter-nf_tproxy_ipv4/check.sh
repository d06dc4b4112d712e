# A protocol that isn't TCP or UDP, which rules of a user can ask for, was a warning each time.
# shellcheck shell=dash disable=SC2034
complains=broken
probe() {
  dmesg -c >/dev/null
  run_module "$(echo "$PWD"/behaviour_*.ko)" >/dev/null || return 1
  if dmesg | grep -q 'WARNING: .*nf_tproxy'; then echo broken; else echo fixed; fi
}
