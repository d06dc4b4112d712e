# Modules, keys and the kernel's sign-file, for tests of signatures.

# shellcheck disable=SC2034  # the tests use them
sign_programs() {
  local build=${KPATCH_BUILD_DIR:-$BATS_TEST_DIRNAME/../build}
  build=$(cd "$build" && pwd)
  sign=$build/sign/kpatch-sign keys=$build/sign/kpatch-keys
  [ -x "$sign" ] || skip_package "built without OpenSSL"
}

# make_module FILE KEY=VALUE…: an object of this machine with a .modinfo, as far as user space looks at a module.
make_module() {
  local file=$1 field name
  shift
  name=$(basename "$file" .ko)
  {
    printf '.section .modinfo,"a"\n'
    for field in "name=${name//-/_}" "vermagic=$(uname -r) SMP" "$@"; do printf '.asciz "%s"\n' "$field"; done
    printf '.text\n.globl init_module\ninit_module: .skip 64\n'
  } | gcc -c -x assembler -o "$file" -
}

# The kernel's own program, out of a source that kpatch-build keeps; sets sign_file.
build_sign_file() {
  local sources
  sources=$(compgen -G "${KPATCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kpatch}/source/*/tree/scripts/sign-file.c" | sort)
  [ -n "$sources" ] || skip_package "no kernel's source is in the cache"
  sign_file=$BATS_FILE_TMPDIR/sign-file
  [ -x "$sign_file" ] || gcc -w -I"$(dirname "${sources%%$'\n'*}")" -o "$sign_file" "${sources%%$'\n'*}" -lcrypto
}

# flip FILE OFFSET TO: with another byte there.
flip() {
  local byte
  byte=$(od -An -tu1 -j "$2" -N1 "$1")
  cp "$1" "$3"
  # shellcheck disable=SC2059  # it is the format
  printf "\\$(printf %o $(((byte + 1) % 256)))" | dd of="$3" bs=1 seek="$2" conv=notrunc status=none
}

# append MODULE CMS TO: the file with the message as its signature.
append() {
  local size
  size=$(stat -c %s "$2")
  {
    cat "$1" "$2"
    printf '\0\0\2\0\0\0\0\0'
    # shellcheck disable=SC2059  # it is the format
    printf "$(printf '\\x%02x' $((size >> 24)) $((size >> 16 & 255)) $((size >> 8 & 255)) $((size & 255)))"
    printf '~Module signature appended~\n'
  } >"$3"
}
