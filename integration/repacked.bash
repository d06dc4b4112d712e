# Helpers for tests of kernels that are packed as other distributions pack theirs (integration/repack).

# shellcheck source=integration/stock.bash
. "$(dirname "${BASH_SOURCE[0]}")/stock.bash"

# What repack and the tests run beside kpatch-build; prints the first that is missing.
missing_for_repacking() {
  local program
  for program in dpkg-deb rpmbuild rpm eu-strip eu-unstrip objcopy zstd debuginfod; do
    command -v "$program" >/dev/null || { echo "$program isn't installed"; return; }
  done
}

# own_cache DIRECTORY SHARED: from now on kpatch-build's cache is that one, which has the sources, bases and indices of
# the shared one, and no packages.
own_cache() {
  local kind
  mkdir -p "$1"
  for kind in source base vmlinux; do ln -sfn "$2/$kind" "$1/$kind"; done
  export KPATCH_CACHE=$1
}

# The revision of the release's packages, "1~deb12u1", as repack wants it.
revision_of() {
  local version
  version=$(sed -n 's/^version: //p' "$1/key.txt")
  export REPACK_VERSION=${version%%-*} REPACK_BUILD=${version#*-}
}
