# Helpers of bad-input.bats: one stock kernel's files, named one by one, and what a refused build must look like.

# shellcheck source=integration/stock.bash
. "$(dirname "${BASH_SOURCE[0]}")/stock.bash"
# shellcheck source=integration/skip.bash
. "$(dirname "${BASH_SOURCE[0]}")/skip.bash"

# The files of a stock release, as kpatch-build keeps them in its cache; it is run once where they aren't there yet.
# Sets kpatch_build, shared (that cache), release, source, config, vmlinux, symvers. Skips when they can't be had.
# shellcheck disable=SC2034  # the tests use them
stock_inputs() {
  kpatch_build=${kpatch_build:-${KPATCH_BUILD_DIR:-$BATS_TEST_DIRNAME/../build}/kpatch-build/kpatch-build}
  [ -x "$kpatch_build" ] || { echo "kpatch-build isn't built"; return 1; }
  local why
  shared=${KPATCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kpatch}
  release=${KPATCH_TEST_RELEASE:-$(newest_release 6.12)}
  [ -n "$release" ] || skip_package "apt knows no packages of the stock 6.12 cloud kernel"
  why=$(fetch_stock "$kpatch_build" "$shared" "$release") || skip_package "$why"
  find_stock "$shared" "$release"
  config=$packages/boot/config-$release
  vmlinux=$packages/usr/lib/debug/boot/vmlinux-$release
  symvers=$packages/usr/src/linux-headers-$release/Module.symvers
}

# use_cache DIRECTORY: from now on kpatch-build's cache is that one, which has the packages and the source of the shared
# one, but no base.
use_cache() {
  mkdir -p "$1"
  ln -sfn "$shared/packages" "$1/packages"
  ln -sfn "$shared/source" "$1/source"
  export KPATCH_CACHE=$1
}

# build [OPTION…] PATCH…: kpatch-build for the release, with what use_source, use_config, use_vmlinux and use_symvers
# name in place of the release's own.
build() {
  local given=()
  [ -z "${use_source-}" ] || given+=(-s "$use_source")
  [ -z "${use_config-}" ] || given+=(-c "$use_config")
  [ -z "${use_vmlinux-}" ] || given+=(-v "$use_vmlinux")
  [ -z "${use_symvers-}" ] || given+=(--symvers "$use_symvers")
  run --separate-stderr timeout 900 "$kpatch_build" -a "$release" "${given[@]}" -o "$out" "$@"
  printf 'exit %s\n%s\n%s\n' "$status" "$output" "$stderr"
}

# shipped_code_of KO: the functions whose shipped code the module tells (doc/formats.md, .note.kpatch.code), in one line.
shipped_code_of() {
  objcopy --dump-section .note.kpatch.code="$BATS_TEST_TMPDIR/note" "$1" "$BATS_TEST_TMPDIR/note.ko" || return 1
  tail -c +21 "$BATS_TEST_TMPDIR/note" | tr -d '\0' | jq -r '[.functions[] | "\(.object):\(.name)"] | sort | join(" ")'
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
  left=$(find "$out" -type f 2>/dev/null || true)
  [ -z "$left" ] || { echo "left in the output directory: $left"; return 1; }
  left=$(find "$TMPDIR" "$KPATCH_CACHE/scratch" -mindepth 1 -maxdepth 1 2>/dev/null || true)
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

# change FILE SED-SCRIPT [reverse]: a patch (on stdout) that makes this change to a file of the source, or takes it back.
change() {
  local tree=$BATS_TEST_TMPDIR/change
  local old=a new=b
  [ -z "${3-}" ] || old=b new=a
  mkdir -p "$tree/a/$(dirname "$1")" "$tree/b/$(dirname "$1")"
  cp "$source/$1" "$tree/$old/$1"
  sed -E "$2" "$source/$1" >"$tree/$new/$1"
  (cd "$tree" && diff -u "a/$1" "b/$1" | sed -E 's/^(---|\+\+\+) ([^\t]*)\t.*/\1 \2/')
}
