# The tree's files in a copy, for packages to be built in; sourced.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=${here%/*}
# shellcheck source=lint/files.bash
. "$repository/lint/files.bash"

# shellcheck disable=SC2034  # for the scripts that source this
version=$(sed -n "s/^project('kpatch'.*, version: '\([^']*\)'.*/\1/p" "$repository/meson.build")

# copy_source DIRECTORY: as git knows them, what isn't committed included.
copy_source() {
  mkdir -p "$1" && (cd "$repository" && files . | tar -c -T -) | tar -x -C "$1"
}
