# The files of stock kernels, as kpatch-build keeps them in its cache. Nobody fetches them a second time for the tests.

# newest_release SERIES [FLAVOUR]: the newest stock kernel that apt knows; FLAVOUR is cloud (the default) or generic.
newest_release() {
  local flavour='-cloud-'
  [ "${2:-cloud}" = cloud ] || flavour='^[^ ]*[0-9]-'
  apt-cache --names-only search "^linux-image-${1//./\\.}\..*-amd64-dbg\$" 2>/dev/null | grep -e "${flavour}amd64-dbg" |
    sed -E 's/^linux-image-(.*)-dbg .*/\1/' | sort -V | tail -n 1
}

# find_stock CACHE RELEASE: sets packages and source from the complete entries of the cache.
# shellcheck disable=SC2034  # the tests use them
find_stock() {
  local entry version
  packages='' source=''
  for entry in "$1"/packages/*/; do
    [ ! -e "$entry/complete" ] || ! grep -qxF "release: $2" "$entry/key.txt" || packages=${entry%/}
  done
  [ -n "$packages" ] || return 1
  version=$(grep '^version' "$packages/key.txt")
  for entry in "$1"/source/*/; do
    [ -e "$entry/complete" ] && grep -q '^source package' "$entry/key.txt" && grep -qxF "$version" "$entry/key.txt" &&
      source=${entry}tree
  done
  [ -n "$source" ]
}

# fetch_stock PROGRAM CACHE RELEASE: find_stock, after a run of kpatch-build where the files aren't there yet. Prints
# its error and fails when they can't be had.
fetch_stock() {
  local scratch error
  find_stock "$2" "$3" && return
  scratch=$(mktemp -d)
  KPATCH_CACHE=$2 "$1" -a "$3" -o "$scratch" "$(dirname "${BASH_SOURCE[0]}")/patches/patch1.patch" \
    >"$scratch/log" 2>&1 || true
  error=$(grep -m 1 'error: ' "$scratch/log")
  rm -rf "$scratch"
  find_stock "$2" "$3" || { echo "the packages of $3 can't be fetched: $error"; return 1; }
}
