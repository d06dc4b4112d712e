# Initramfs images for the guests of qemu.bash.
#
# An image is two cpio archives one behind the other, which the kernel unpacks in that order:
#
#   base    busybox, iptables with its libraries, guest.sh: made once for what is installed here, and cached
#   extra   modules, livepatches, test programs and scripts of one boot: made anew, small
#
# so that a boot costs no more than packing what is new in it.

test_cache() {
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/kpatch-tests
  mkdir -p "$cache"
  echo "$cache"
}

# pack DIRECTORY ARCHIVE: everything below the directory, as root's.
pack() {
  (cd "$1" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >"$2"
}

# copy_program ROOT FILE…: each file and the libraries it is linked with, at the same paths below ROOT.
copy_program() {
  local root=$1 file
  shift
  for file in "$@"; do
    install -D "$file" "$root$file"
    ldd "$file" 2>/dev/null | grep -oE '/[^ ]+' | while read -r library; do
      [ -e "$root$library" ] || install -D "$library" "$root$library"
    done
  done
}

# Prints the path of the base archive.
initramfs_base() {
  local busybox iptables here key archive root
  here=$(dirname "${BASH_SOURCE[0]}")
  busybox=$(command -v busybox) || { echo "busybox is missing: apt-get install busybox-static" >&2; return 1; }
  ! ldd "$busybox" >/dev/null 2>&1 || { echo "busybox isn't static: apt-get install busybox-static" >&2; return 1; }
  iptables=$(command -v xtables-legacy-multi) || { echo "iptables is missing: apt-get install iptables" >&2; return 1; }
  key=$(cat "$busybox" "$iptables" "$here/initramfs.bash" "$here/guest-init.sh" | sha256sum | cut -c1-16)
  archive=$(test_cache)/initramfs-$key.cpio
  if [ ! -e "$archive" ]; then
    root=$(mktemp -d)
    mkdir -p "$root"/{bin,sbin,proc,sys,dev,tmp,run,etc,root,lib/modules}
    install "$busybox" "$root/bin/busybox"
    busybox --list | while read -r applet; do
      [ "$applet" = busybox ] || ln -s /bin/busybox "$root/bin/$applet"
    done
    ln -s /bin/busybox "$root/sbin/modprobe"
    copy_program "$root" "$iptables"
    copy_program "$root" /usr/lib/x86_64-linux-gnu/xtables/libxt_{comment,standard}.so
    ln -s "$iptables" "$root/bin/iptables"
    install "$here/guest-init.sh" "$root/init"
    pack "$root" "$archive.$$" && mv "$archive.$$" "$archive"
    rm -rf "$root"
  fi
  echo "$archive"
}

# module_file MODULES NAME: the file of a module below a modules directory (lib/modules/RELEASE), nothing if built in.
module_file() {
  local pattern=${2//_/[-_]}
  find "$1/" -name "$pattern.ko" -o -name "$pattern.ko.xz" -o -name "$pattern.ko.zst" -o -name "$pattern.ko.gz" |
    LC_ALL=C sort | sed -n 1p
}

# stage_module ROOT MODULES RELEASE NAME: the module and all it depends on, unpacked, below ROOT/lib/modules/RELEASE.
stage_module() {
  local root=$1 modules=$2 release=$3 name=${4//-/_} file target dependency
  target=$root/lib/modules/$release/$name.ko
  [ ! -e "$target" ] || return 0
  file=$(module_file "$modules" "$name")
  [ -n "$file" ] || return 0
  mkdir -p "$(dirname "$target")"
  case $file in
    *.xz) xz -dc "$file" ;;
    *.zst) zstd -qdc "$file" ;;
    *.gz) gzip -dc "$file" ;;
    *) cat "$file" ;;
  esac >"$target"
  for dependency in $(modinfo -F depends "$target" | tr , ' '); do
    stage_module "$root" "$modules" "$release" "$dependency"
  done
}

# make_initramfs ROOT RELEASE OUTPUT: the base, and behind it what was staged below ROOT.
make_initramfs() {
  local root=$1 release=$2 output=$3 base
  base=$(initramfs_base) || return 1
  install -D -m 644 "$(dirname "${BASH_SOURCE[0]}")/guest.sh" "$root/guest.sh"
  mkdir -p "$root/lib/modules/$release"
  depmod -b "$root" "$release" 2>/dev/null
  pack "$root" "$output.extra" && cat "$base" "$output.extra" >"$output"
  rm -f "$output.extra"
}
