# The kernels that the tests patch and boot.
#
#   6.12, 6.1              stock cloud kernels: packages in kpatch-build's own cache, or unpacked below
#                          KPATCH_TEST_STOCK_6_12 and KPATCH_TEST_STOCK_6_1, with the unpacked source beside them
#   6.12-generic, 6.1-generic   those for all machines: packages four times the size
#   SUITE:SERIES           bullseye:5.10, trixie:6.12, trixie-backports:7.3, forky:7.2: cloud kernels of other suites, compiled in roots of theirs
#   own-ibt, own-noibt     built from the 6.12 source with a small config (own-config)
# shellcheck disable=SC2034 # for the scripts that source this
kernel_names='6.12|6.1|6.12-generic|6.1-generic|SUITE:SERIES|own-ibt|own-noibt'

# shellcheck source=integration/qemu.bash
. "$(dirname "${BASH_SOURCE[0]}")/qemu.bash"
# shellcheck source=integration/stock.bash
. "$(dirname "${BASH_SOURCE[0]}")/stock.bash"

kpatch_build_program() {
  local here
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  echo "${KPATCH_BUILD:-${KPATCH_BUILD_DIR:-$here/../build}/kpatch-build/kpatch-build}"
}

# stock_kernel SERIES [FLAVOUR]: of the newest stock kernel of a series, cloud or generic, fetched if it isn't there: release, kernel (to boot),
# modules, source, and build_options.
# shellcheck disable=SC2034 # its results are for the scripts that source this
stock_kernel() {
  local given=KPATCH_TEST_STOCK_${1//./_} cache=${KPATCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kpatch} vmlinux
  if [ -n "${!given:-}" ] && [ "${2:-cloud}" = cloud ]; then
    packages=${!given} source=${!given}/linux-source-$1
    vmlinux=$(echo "$packages"/usr/lib/debug/boot/vmlinux-*)
    release=${vmlinux##*/vmlinux-}
    build_options=(-a "$release" -s "$source" -c "$packages/boot/config-$release" -v "$vmlinux"
      --symvers "$packages/usr/src/linux-headers-$release/Module.symvers" -m "$packages/lib/modules/$release")
  else
    release=$(newest_release "$1" "${2:-cloud}")
    [ -n "$release" ] || { echo "apt knows no stock ${2:-cloud} kernel $1" >&2; return 1; }
    fetch_stock "$(kpatch_build_program)" "$cache" "$release" >&2 || return 1
    find_stock "$cache" "$release"
    build_options=(-a "$release")
  fi
  stock_files
}

# The image and the modules in $packages: /lib is in /usr since Debian 13, and the image beside the modules since 7.2.
stock_files() {
  modules=$packages/lib/modules/$release
  [ -d "$modules" ] || modules=$packages/usr/lib/modules/$release
  kernel=$packages/boot/vmlinuz-$release
  [ -e "$kernel" ] || kernel=$modules/vmlinuz
}

# suite_kernel SUITE SERIES: of the newest cloud kernel of a series that a suite has, what stock_kernel sets. The archive
# may list what it doesn't hold any more: then the one before it. What is gone is remembered.
# shellcheck disable=SC2034 # its results are for the scripts that source this
suite_kernel() {
  local cache=${KPATCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kpatch} gone releases problem
  mapfile -t releases < <("$(kpatch_build_program)" --list-kernels="$1" | grep -v ': no ' | awk '{ print $1 }' |
    grep "^${2//./\\.}\..*-cloud-amd64\$" | sort -rV)
  problem="$1 has no complete cloud kernel $2"
  for release in "${releases[@]}"; do
    gone=$(test_cache)/gone-$release
    [ ! -e "$gone" ] || { problem=$(cat "$gone"); continue; }
    problem=$(fetch_stock "$(kpatch_build_program)" "$cache" "$release") || {
      [[ $problem != *"doesn't hold it"* ]] || echo "$problem" >"$gone"
      continue
    }
    find_stock "$cache" "$release"
    build_options=(-a "$release")
    stock_files
    return
  done
  echo "$problem" >&2
  return 1
}

# use_kernel NAME: sets series (which patches fit), build_options (for kpatch-build), and for a stock kernel what
# own_kernel sets for an own one: release, kernel (to boot), modules.
# shellcheck disable=SC2034 # its results are for the scripts that source this
use_kernel() {
  local here
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  case $1 in
    own-*)
      series=6.12
      stock_kernel $series || return 1
      config=$(test_cache)/$1-$(cat "$here/own.fragment" "$here/own-x86.fragment" "$here/$1.fragment" | sha256sum | cut -c1-16).config
      [ -e "$config" ] || "$here/own-config" "${1#own-}" "$source" "$config" || return 1
      build_options=(-s "$source" -c "$config")
      release='' kernel='' modules=''
      ;;
    *:*)
      series=${1#*:}
      suite_kernel "${1%%:*}" "$series" || return 1
      ;;
    *)
      series=${1%-generic}
      if [ "$1" = "$series" ]; then stock_kernel "$series"; else stock_kernel "$series" generic; fi || return 1
      ;;
  esac
}

# An option that isn't set counts as much: without it a kernel that has all the others and IBT would pass for one without.
settings() { grep -E '^CONFIG|^# CONFIG_[^ ]+ is not set' "$1" | grep -v '^CONFIG_CC_VERSION_TEXT=' | sort; }

# own_kernel: after a build for an own kernel, finds its base in the cache: the kernel to boot and its modules.
own_kernel() {
  local image base identity
  [ -z "$kernel" ] || return 0
  # The same config may have been built from another copy of the source; that is another kernel.
  identity=$(sed -nE 's/^(source package|version): //p' "${source%/tree}/key.txt" 2>/dev/null | paste -sd ' ')
  while read -r image; do
    base=${image%/kbuild/arch/x86/boot/bzImage}
    [ -e "$base/complete" ] || continue
    [ -z "$identity" ] || grep -qxF "source: $identity" "$base/key.txt" || continue
    # The driver may add to a config, never change a line of it, but for the name that the compiler was called by.
    if [ -z "$(comm -23 <(settings "$config") <(settings "$base/kbuild/.config"))" ]; then
      kernel=$image modules=$base/kbuild release=$(cat "$base/kbuild/include/config/kernel.release")
    fi
  done < <(find "${KPATCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kpatch}/base" -path '*/kbuild/arch/x86/boot/bzImage' 2>/dev/null)
  [ -n "$kernel" ] || { echo "no built kernel of $config is in the cache" >&2; return 1; }
}

# patch_for PATH-WITHOUT-ENDING: the patch of the kernel's series, else the one for any.
patch_for() {
  local file
  for file in "$1$series.patch" "$1any.patch"; do
    [ ! -e "$file" ] || { echo "$file"; return; }
  done
}

# kind_patch KIND: the patch of a folder in kinds/ for the kernel's series.
kind_patch() {
  local folder patch
  folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/kinds/$1
  patch=$(patch_for "$folder/patch-")
  # Sources of 7.x are near to each other, and what 6.1 has of an old form 5.10 often has too.
  case $series in
    5.*) [ -n "$patch" ] || [ ! -e "$folder/patch-6.1.patch" ] || patch=$folder/patch-6.1.patch ;;
    7.*) [ -n "$patch" ] || [ ! -e "$folder/patch-7.3.patch" ] || patch=$folder/patch-7.3.patch ;;
  esac
  echo "${patch:-$folder/any.patch}"
}

# Fails and prints why, with its kind (skip.bash), when this machine can't build livepatches and boot guests.
missing_for_guests() {
  local program
  [ "$(uname -m)" = x86_64 ] || { echo "[machine] the guests are x86-64"; return 1; }
  for program in qemu-system-x86_64 busybox xtables-legacy-multi cpio depmod gcc; do
    command -v "$program" >/dev/null || { echo "[package] $program is missing"; return 1; }
  done
}
