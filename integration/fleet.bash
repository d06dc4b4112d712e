# kpatch-fleet in tests: real sources everywhere, and doubles of what builds where who builds what, and how often, is looked at.
# shellcheck disable=SC2154  # bad-input.bash sets release and source

setup_file() {
  stock_inputs
  patches "$BATS_FILE_TMPDIR"
}

setup() {
  kpatch_build=${KPATCH_BUILD_DIR:-$BATS_TEST_DIRNAME/../build}/kpatch-build/kpatch-build
  fleet=${kpatch_build%/*/*}/fleet/kpatch-fleet
  [ -x "$fleet" ] || skip_package "built without libcurl"
  stock_inputs
  cd "$BATS_TEST_TMPDIR" || return 1
  cp "$BATS_FILE_TMPDIR"/*.patch .
}

# change NAME FILE SED FROM TO: a patch from the source's file as SED-expression FROM leaves it to what TO makes of that.
change() {
  local folder=$BATS_FILE_TMPDIR/change
  mkdir -p "$folder/a/$(dirname "$2")" "$folder/b/$(dirname "$2")"
  sed "$3" "$source/$2" >"$folder/a/$2"
  sed "$4" "$folder/a/$2" >"$folder/b/$2"
  (cd "$folder" && diff -u "a/$2" "b/$2" >"$1") || true
  rm -rf "$folder"
}

# Of every kind that a triage tells apart.
patches() {
  local f=fs/proc/version.c
  change "$1/first.patch" $f '' 's/seq_printf(m, linux_proc_banner,/seq_puts(m, "");\n\t&/'
  change "$1/second.patch" fs/proc/cmdline.c '' "s/seq_putc(m, '.n');/seq_puts(m, \"\");\n\t&/"
  change "$1/there.patch" $f '/seq_printf(m, linux_proc_banner,/d' 's/^static int version_proc_show.*/&/;/^static int version_proc_show/{n;s/$/\n\tseq_printf(m, linux_proc_banner,/}'
  change "$1/moved.patch" $f '1i\// one\n// two' 's/seq_printf(m, linux_proc_banner,/seq_puts(m, "");\n\t&/'
  change "$1/other.patch" $f 's/seq_file \*m/seq_file *file/' 's/seq_printf(m, linux_proc_banner,/seq_puts(file, "");\n\t&/'
  change "$1/assembly.patch" arch/x86/lib/putuser.S '' '1i/* one */'
  change "$1/words.patch" Documentation/filesystems/proc.rst '' '1i.. one'
  cat "$1/first.patch" "$1/assembly.patch" >"$1/both.patch"
  sed 's,fs/proc/version.c,drivers/none/none.c,' "$1/first.patch" >"$1/elsewhere.patch"
}

# Doubles in bin/, beside a fleet of their own; bin/log has a line a build. A release's file in bin/ says what is to happen.
doubles() {
  mkdir -p bin
  cp "$fleet" bin/
  cat >bin/kpatch-build <<'DOUBLE'
#!/bin/bash
here=$(dirname "$0") patches=()
while [ $# -gt 0 ]; do
  case $1 in
    -a) release=$2; shift ;;
    -n) name=$2; shift ;;
    -o) out=$2; shift ;;
    --store) echo "$2" >>"$here/asked"; shift ;;
    --store-read-only) ;;
    -j | --report | --archive | --archive-key | --store-cert | --store-key | --store-timeout | --launcher) shift ;;
    *) patches+=("${1##*/}") ;;
  esac
  shift
done
echo "$release $name ${patches[*]}" >>"$here/log"
[ ! -e "$here/slow" ] || sleep "$(cat "$here/slow")"
[ ! -e "$here/$name.fails" ] || { echo "error: no space for it"; exit 1; }
[ ! -e "$here/$name.refused" ] || exit 2
{ echo "$release" "$name" "${patches[@]}"; [ ! -e "$here/random" ] || echo $$; } >"$out/$name.ko"
DOUBLE
  printf '#!/bin/bash\n[ ! -e "$(dirname "$0")/unsound" ] || { echo "it has no ftrace site"; exit 2; }\n' >bin/kpatch-verify
  chmod +x bin/*
  fleet=$PWD/bin/kpatch-fleet
  export KPATCH_DATA_DIR=$BATS_TEST_DIRNAME/..
}

fleet() { run --separate-stderr timeout 300 "$fleet" "$@"; printf 'exit %s\n%s\n%s\n' "$status" "$output" "$stderr"; }
ours() { fleet --kernels "$release" -o out "$@"; }
builds() { if [ -e bin/log ]; then wc -l <bin/log; else echo 0; fi; }
state() { python3 -c 'import json, sys
print(*[c["state"] for c in json.load(open(sys.argv[1] + "/results.json"))["cells"] if c["fix"] == sys.argv[2]], sep="\n")' "${2-out}" "$1"; }

