# Runs in the guest of behaviour-run: for each fix named in /behaviour/names what its test sees before its livepatch is
# loaded, while it is, and after it is gone. A test is check.sh in the fix's folder:
#
#   modules="a b"        what has to be loaded, beside the modules that the livepatch patches
#   setup, cleanup       before and after everything
#   probe                prints "fixed" or "broken"; without it the folder's own module says so
#   complains=broken     what the kernel says of the broken behaviour is a warning: dmesg counts while the fix is there
#   complains=both       it warns of either, since of the surroundings only so much is made up as the function looks at
# shellcheck shell=dash
# behaviour.bats has both elsewhere.
tests=${BEHAVIOUR_TESTS:-/behaviour}
# shellcheck source=integration/guest.sh
. "${BEHAVIOUR_GUEST:-/guest.sh}"

# run_module FILE [PARAMETERS]: loads a test module, prints its verdict (behaviour.h) and unloads it.
run_module() {
  module=$(patch_name "$1")
  insmod "$@" || fail "$1 can't be loaded: $(dmesg | tail -n 2 | tr '\n' ' ')" || return 1
  cat "/sys/module/$module/parameters/verdict"
  rmmod "$module"
}

# sees WHEN EXPECTED: one line that the host reads, "@@ saw NAME WHEN WHAT".
sees() {
  seen=$(probe 2>&1 | tail -n 1)
  echo "@@ saw $fix $1 $seen"
  [ "$seen" = "$2" ] || fail "$1: \"$seen\" instead of \"$2\""
}

one() (
  cd "$tests/$1" || exit 1
  fix=$1 modules='' complains='' status=0
  ko=$(echo "$PWD"/livepatch.d/*.ko)
  patch=$(patch_name "$ko")
  setup() { :; }
  cleanup() { :; }
  probe() { run_module "$(echo "$PWD"/behaviour_*.ko)"; }
  # shellcheck source=/dev/null
  . ./check.sh
  mark_dmesg
  for module in $(cat targets) $modules; do
    modprobe "$module" || fail "$module can't be loaded: $(dmesg | tail -n 2 | tr '\n' ' ')" || status=1
  done
  # shellcheck disable=SC2015 # that is what is meant
  [ $status = 0 ] && {
    setup || fail "(setup)"
  } && {
    sees before broken
    load_patch "$ko"
  } && {
    [ "$complains" != broken ] || mark_dmesg
    sees loaded fixed || status=1
    [ "$complains" != broken ] || check_dmesg || status=1
    disable_patch "$patch" && unload_patch "$patch"
  } && sees unloaded broken || status=1
  cleanup || status=1
  for module in $modules $(cat targets); do modprobe -r "$module" >/dev/null 2>&1; done
  [ -n "$complains" ] || check_dmesg || status=1
  exit $status
)

ip link set lo up
while read -r name; do
  echo "@@ begin $name"
  if one "$name"; then echo "@@ ok $name"; else echo "@@ failed $name"; fi
  drop_left_patches
done <"$tests/names"
