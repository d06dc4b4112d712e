# Helpers of bad-input.bats: one stock kernel's files, named one by one, and what a refused build must look like.

# The cheapest inputs that exist: the files of a stock release, unpacked once into the cache of the test suites.
# Sets release, source, config, vmlinux, symvers, modules. Skips when they can't be had.
stock_inputs() {
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/kpatch-tests root package
  release=${KPATCH_TEST_RELEASE:-$(newest_release 6.12)}
  [ -n "$release" ] || skip "apt knows no packages of the stock 6.12 cloud kernel"
  root=${KPATCH_TEST_STOCK:-$cache/$release}
  if [ ! -d "$root" ]; then
    local version debs=$cache/debs-$release
    mkdir -p "$debs" "$root.new"
    version=$(apt-cache show "linux-image-$release-dbg" | sed -n 's/^Version: //p' | head -n 1)
    (cd "$debs" && apt-get -q -o APT::Sandbox::User=root download "linux-image-$release" "linux-image-$release-dbg" \
      "linux-headers-$release" "linux-source-6.12=$version") || skip "the packages of $release can't be fetched"
    for package in "$debs"/*.deb; do dpkg -x "$package" "$root.new" || return 1; done
    rm -rf "$debs"
    tar -C "$root.new" -xf "$root.new/usr/src/linux-source-6.12.tar.xz" || return 1
    mv "$root.new" "$root"
  fi
  source=$root/linux-source-6.12
  config=$root/boot/config-$release
  vmlinux=$root/usr/lib/debug/boot/vmlinux-$release
  symvers=$root/usr/src/linux-headers-$release/Module.symvers
  modules=$root/lib/modules/$release
}

newest_release() {
  apt-cache --names-only search "^linux-image-${1//./\\.}\..*-cloud-amd64-dbg\$" 2>/dev/null |
    sed -E 's/^linux-image-(.*)-dbg .*/\1/' | sort -V | tail -n 1
}

# build [OPTION…] PATCH…: kpatch-build with the good inputs; options given here come later, and so take precedence.
build() {
  run --separate-stderr timeout 300 "$kpatch_build" -a "$release" -s "${use_source:-$source}" \
    -c "${use_config:-$config}" -v "${use_vmlinux:-$vmlinux}" --symvers "${use_symvers:-$symvers}" -m "$modules" \
    -o "$out" "$@"
  printf 'exit %s\n%s\n%s\n' "$status" "$output" "$stderr"
}

# refused STATUS WORD…: that exit status, exactly one message, which holds every WORD (extended expressions, no matter
# the case), and nothing was delivered, nor left in the scratch directory.
refused() {
  local expected=$1 word count
  shift
  [ "$status" -eq "$expected" ] || { echo "exit $status instead of $expected"; return 1; }
  count=$(grep -cE '(^|: )error: ' <<<"$stderr" || true)
  [ "$count" -eq 1 ] || { echo "$count messages instead of one"; return 1; }
  for word in "$@"; do
    grep -qiE -- "$word" <<<"$stderr" || { echo "the message doesn't say: $word"; return 1; }
  done
  ! grep -qE 'terminate called|what\(\):|Assertion|core dumped' <<<"$stderr" || return 1
  nothing_written
}

nothing_written() {
  local left
  left=$(find "$out" -type f 2>/dev/null)
  [ -z "$left" ] || { echo "left in the output directory: $left"; return 1; }
  left=$(find "$TMPDIR" -mindepth 1 -maxdepth 1 -name '*kpatch*' ! -name '*.log' 2>/dev/null)
  [ -z "$left" ] || { echo "left in the scratch directory: $left"; return 1; }
}

# Names, sizes, times and modes of a source tree in one digest; a write to it shows.
tree_digest() { find "$1" -printf '%P %s %T@ %m %l\n' | LC_ALL=C sort | sha256sum; }

# A patch that builds: one printk in meminfo_proc_show().
good_patch() {
  cat >"$1" <<'PATCH'
--- a/fs/proc/meminfo.c
+++ b/fs/proc/meminfo.c
@@ -41,6 +41,8 @@
 	unsigned long sreclaimable, sunreclaim;
 	int lru;
 
+	pr_info("[test] this is a dynamic patch in meminfo_proc_show()!\n");
+
 	si_meminfo(&i);
 	si_swapinfo(&i);
 	committed = vm_memory_committed();
PATCH
}

# change FILE SED-SCRIPT: a patch (on stdout) that makes this change to a file of the source.
change() {
  local tree=$BATS_TEST_TMPDIR/change
  mkdir -p "$tree/a/$(dirname "$1")" "$tree/b/$(dirname "$1")"
  cp "$source/$1" "$tree/a/$1"
  sed -E "$2" "$source/$1" >"$tree/b/$1"
  (cd "$tree" && diff -u "a/$1" "b/$1" | sed -E 's/^(---|\+\+\+) ([^\t]*)\t.*/\1 \2/')
}
