# Runs in the guest of sweep: loads each livepatch named in /sweep/names, with the modules that it patches in place where
# they can be loaded, and takes it back.
# shellcheck shell=dash
. /guest.sh

one() (
  cd "/sweep/$1" || exit 1
  ko=$(echo "$PWD"/*.ko)
  patch=$(patch_name "$ko")
  while read -r target; do
    modprobe "$target" >/dev/null 2>&1 || say "$target can't be loaded here"
  done <targets
  mark_dmesg
  status=0
  { load_patch "$ko" && disable_patch "$patch" && unload_patch "$patch"; } || status=1
  check_dmesg || status=1
  while read -r target; do modprobe -r "$target" >/dev/null 2>&1; done <targets
  exit $status
)

while read -r name; do
  echo "@@ begin $name"
  if one "$name"; then echo "@@ ok $name"; else echo "@@ failed $name"; fi
done </sweep/names
