# The kernels that the tests patch and boot.
#
#   6.12, 6.1              stock cloud kernels: packages, unpacked once into the cache of the tests, or below
#                          KPATCH_TEST_STOCK_6_12 and KPATCH_TEST_STOCK_6_1, laid out as the packages have it with the
#                          unpacked source beside them
#   own-ibt, own-noibt     built from the 6.12 source with a small config (own-config)

# shellcheck source=integration/qemu.bash
. "$(dirname "${BASH_SOURCE[0]}")/qemu.bash"

kpatch_build_program() {
  local here
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  echo "${KPATCH_BUILD:-${KPATCH_BUILD_DIR:-$here/../build}/kpatch-build/kpatch-build}"
}

newest_stock_release() {
  apt-cache --names-only search "^linux-image-${1//./\\.}\..*-cloud-amd64-dbg\$" 2>/dev/null |
    sed -E 's/^linux-image-(.*)-dbg .*/\1/' | sort -V | tail -n 1
}

# stock_root SERIES: prints the folder with the newest stock kernel of a series, fetched if it isn't there.
stock_root() {
  local series=$1 given=KPATCH_TEST_STOCK_${1//./_} release version root
  if [ -n "${!given:-}" ]; then
    echo "${!given}"
    return
  fi
  release=$(newest_stock_release "$series")
  [ -n "$release" ] || { echo "apt knows no stock cloud kernel $series" >&2; return 1; }
  root=$(test_cache)/$release
  if [ ! -d "$root" ]; then
    local scratch=$root.new.$$
    mkdir -p "$scratch/debs"
    version=$(apt-cache show "linux-image-$release-dbg" | sed -n 's/^Version: //p' | head -n 1)
    (cd "$scratch/debs" && apt-get -q -o APT::Sandbox::User=root download "linux-image-$release" \
      "linux-image-$release-dbg" "linux-headers-$release" "linux-source-$series=$version") >&2 ||
      { rm -rf "$scratch"; echo "the packages of $release can't be fetched" >&2; return 1; }
    for package in "$scratch"/debs/*.deb; do dpkg -x "$package" "$scratch" || return 1; done
    rm -rf "$scratch/debs"
    tar -C "$scratch" -xf "$scratch/usr/src/linux-source-$series.tar.xz" || return 1
    mv "$scratch" "$root"
  fi
  echo "$root"
}

# use_kernel NAME: sets series (which patches fit), build_options (for kpatch-build), and for a stock kernel what
# own_kernel sets for an own one: release, kernel (to boot), modules.
# shellcheck disable=SC2034 # its results are for the scripts that source this
use_kernel() {
  local root vmlinux here
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  case $1 in
    own-*)
      series=6.12
      root=$(stock_root $series) || return 1
      config=$(test_cache)/$1-$(cat "$here/own.fragment" "$here/$1.fragment" | sha256sum | cut -c1-16).config
      [ -e "$config" ] || "$here/own-config" "${1#own-}" "$root/linux-source-$series" "$config" || return 1
      build_options=(-s "$root/linux-source-$series" -c "$config")
      release='' kernel='' modules=''
      ;;
    *)
      series=$1
      root=$(stock_root "$series") || return 1
      vmlinux=$(echo "$root"/usr/lib/debug/boot/vmlinux-*)
      release=${vmlinux##*/vmlinux-}
      kernel=$root/boot/vmlinuz-$release
      modules=$root/lib/modules/$release
      build_options=(-a "$release" -s "$root/linux-source-$series" -c "$root/boot/config-$release" -v "$vmlinux"
        --symvers "$root/usr/src/linux-headers-$release/Module.symvers" -m "$modules")
      ;;
  esac
}

# own_kernel: after a build for an own kernel, finds its base in the cache: the kernel to boot and its modules.
own_kernel() {
  local image base
  [ -z "$kernel" ] || return 0
  while read -r image; do
    base=${image%/arch/x86/boot/bzImage}
    [ -e "$base/include/config/kernel.release" ] || continue
    # The driver may add to a config, never change a line of it.
    if [ -z "$(comm -23 <(grep '^CONFIG' "$config" | sort) <(grep '^CONFIG' "$base/.config" | sort))" ]; then
      kernel=$image modules=$base release=$(cat "$base/include/config/kernel.release")
    fi
  done < <(find "${XDG_CACHE_HOME:-$HOME/.cache}/kpatch" -path '*/arch/x86/boot/bzImage' 2>/dev/null)
  [ -n "$kernel" ] || { echo "no built kernel of $config is in the cache" >&2; return 1; }
}

# patch_for PATH-WITHOUT-ENDING: the patch of the kernel's series, else the one for any.
patch_for() {
  local file
  for file in "$1$series.patch" "$1any.patch"; do
    [ ! -e "$file" ] || { echo "$file"; return; }
  done
}

# Fails and prints why when this machine can't build livepatches and boot guests.
missing_for_guests() {
  local program
  [ "$(uname -m)" = x86_64 ] || { echo "the guests are x86-64"; return 1; }
  [ -x "$(kpatch_build_program)" ] || { echo "kpatch-build isn't built"; return 1; }
  for program in qemu-system-x86_64 busybox xtables-legacy-multi cpio depmod gcc; do
    command -v "$program" >/dev/null || { echo "$program is missing"; return 1; }
  done
}
