#!/usr/bin/env bats
# The sweep's own parts: patches cut from a made-up pair of trees, and what is made of a build's end. No kernel is needed.

bats_require_minimum_version 1.5.0

setup() {
  old=$BATS_TEST_TMPDIR/old new=$BATS_TEST_TMPDIR/new cut=$BATS_TEST_TMPDIR/cut
  mkdir -p "$old" "$new"
}

# both FILE: the file, from standard input, in both trees.
both() {
  mkdir -p "$old/$(dirname "$1")" "$new/$(dirname "$1")"
  tee "$old/$1" >"$new/$1"
}

# change FILE SED-SCRIPT: in the new tree.
change() { sed -i -E "$2" "$new/$1"; }

# cuts NAME=FILE,FILE…: exactly these patches, of these files; each applies to the old tree.
cuts() {
  local expected
  "$BATS_TEST_DIRNAME/cut-patches" "$old" "$new" "$cut"
  expected=$(printf '%s\n' "$@" | LC_ALL=C sort)
  for patch in "$cut"/*.patch; do
    [ -e "$patch" ] || continue
    rm -rf "$BATS_TEST_TMPDIR/applied"
    cp -r "$old" "$BATS_TEST_TMPDIR/applied"
    patch -d "$BATS_TEST_TMPDIR/applied" -p1 -F0 -s <"$patch"
    name=${patch##*/}
    echo "${name%.patch}=$(sed -n 's/^+++ b\///p' "$patch" | LC_ALL=C sort | tr '\n' , | sed 's/,$//')"
  done | LC_ALL=C sort | diff <(echo "$expected") -
}

numbered() { seq -f "/* line %g */" "$1"; }

@test "each changed .c file is a patch" {
  echo 'int a;' | both fs/a.c
  echo 'int b;' | both fs/b.c
  echo 'int c;' | both fs/c.c
  change fs/a.c 's/a/a = 1/'
  change fs/b.c 's/b/b = 1/'
  cuts fs-a=fs/a.c fs-b=fs/b.c
}

@test "a header's hunk goes with those that use what it declares" {
  { echo 'int get(int id);'; numbered 20; echo 'int put(int id);'; numbered 20; echo '#define UNRELATED 1'; } | both include/net/x.h
  { echo '#include <net/x.h>'; echo 'int get(int id) { return id; }'; } | both net/core.c
  { echo '#include <net/x.h>'; echo 'int user(void) { return get(1); }'; } | both net/user.c
  { echo '#include <net/x.h>'; echo 'int put(int id) { return id; }'; } | both net/other.c
  echo 'static int get(int id) { return id; }' | both net/namesake.c
  change include/net/x.h 's/get\(int id/&, int flags/; s/put\(int/put(long/; s/UNRELATED 1/UNRELATED 2/'
  change net/core.c 's/get\(int id/&, int flags/'
  change net/user.c 's/get\(1/&, 0/'
  change net/other.c 's/int id/long id/'
  change net/namesake.c 's/get\(int id\)/get(int id, int x)/'
  cuts net-core=include/net/x.h,net/core.c,net/user.c net-namesake=net/namesake.c net-other=include/net/x.h,net/other.c
  ! grep -q UNRELATED "$cut"/*.patch
}

@test "more files than a commit has are taken apart, each with the hunks that it needs" {
  local n expected=()
  { echo '#define GET 1'; numbered 20; echo '#define BASE 1'; numbered 20; echo '#define OTHER 1'; } | both include/net/x.h
  change include/net/x.h 's/GET 1/GET (BASE + 1)/; s/BASE 1/BASE 2/; s/OTHER 1/OTHER 2/'
  for n in {1..42}; do
    { echo '#include <net/x.h>'; echo "int user$n = 1;"; } | both "net/user$n.c"
    change "net/user$n.c" "s/ 1;/ GET;/"
    expected+=("net-user$n=include/net/x.h,net/user$n.c")
  done
  change net/user42.c 's/GET/OTHER + GET/'
  cuts "${expected[@]}"
  [ "$(grep -c OTHER "$cut"/*.patch | grep -vc ':0')" -eq 1 ]
  grep -q '^+#define BASE 2' "$cut/net-user1.patch"
}

@test "an argument that was added on a later line" {
  printf 'int get(int id,\n\tint flags);\n' | both net/x.h
  printf '#include "x.h"\nint get(int id,\n\tint flags)\n{\n}\n' | both net/core.c
  printf '#include "x.h"\nint user(void)\n{\n\treturn get(1,\n\t\t2);\n}\n' | both net/user.c
  change net/x.h 's/int flags/int more/'
  change net/core.c 's/int flags/int more/'
  change net/user.c 's/2\)/3)/'
  cuts net-core=net/core.c,net/user.c,net/x.h
}

@test "a typedef over two lines declares its own name" {
  echo '/* types */' | both net/x.h
  printf '#include "x.h"\nint user;\n' | both net/user.c
  printf '#include "x.h"\nint other;\n' | both net/other.c
  change net/x.h '$atypedef int (*order_fn)(const void *a,\n\t\t\tconst void *b);'
  change net/user.c 's/int user/order_fn user/'
  change net/other.c 's/int other/int other = 1/'
  cuts net-user=net/user.c,net/x.h net-other=net/other.c
}

@test "a new member counts where it is used as one, a common name doesn't" {
  printf 'struct x {\n\tint id;\n};\n%s\nstruct y {\n\tint flags;\n};\n' "$(numbered 20)" | both include/linux/x.h
  printf '#include <linux/x.h>\nint f(struct x *x) { return x->id; }\n' | both fs/user.c
  printf '#include <linux/x.h>\nint f(int owner) { return owner; }\n' | both fs/local.c
  printf '#include <linux/x.h>\nint f(struct z *z) { return z->length; }\n' | both fs/flags.c
  change include/linux/x.h 's/^\tint id;/&\n\tint owner;/; s/int flags/long flags/'
  change fs/user.c 's/x->id/x->owner/'
  change fs/local.c 's/return owner/& + 1/'
  change fs/flags.c 's/z->length/z->flags/'
  cuts fs-user=fs/user.c,include/linux/x.h fs-local=fs/local.c fs-flags=fs/flags.c
}

@test "a member of several words counts in a macro's arguments too, and when it moves" {
  printf 'struct x {\n\tint idle_timer;\n};\n%s\nstruct y {\n\tint id;\n};\n' "$(numbered 20)" | both include/linux/x.h
  printf '#include <linux/x.h>\nint f(int *t) { return from_timer(t, id); }\n' | both fs/user.c
  change include/linux/x.h '/int idle_timer/d; s/^\tint id;/&\n\tint idle_timer;/'
  change fs/user.c 's/t, id/t, idle_timer/'
  cuts fs-user=fs/user.c,include/linux/x.h
}

@test "a header that is included through another one, and one that is new" {
  echo '#define SIZE 1' | both include/linux/size.h
  echo '#include <linux/size.h>' | both include/linux/all.h
  printf '#include <linux/all.h>\nint size;\n' | both fs/a.c
  printf 'int b;\n' | both fs/b.c
  change include/linux/size.h 's/SIZE/NEW_SIZE/'
  change fs/a.c 's/size;/size = NEW_SIZE;/'
  echo 'static inline int two(void) { return 2; }' >"$new/fs/two.h"
  change fs/b.c 's/^int b/#include "two.h"\nint b/'
  cuts fs-a=fs/a.c,include/linux/size.h fs-b=fs/b.c,fs/two.h
}

@test "no patch of what is no kernel code, of new files and of headers alone" {
  echo 'int a;' | both tools/perf/a.c
  echo 'obj-y += a.o' | both fs/Makefile
  printf '#define A 1\n' | both include/linux/a.h
  change tools/perf/a.c 's/a/b/'
  change fs/Makefile 's/a/b/'
  change include/linux/a.h 's/1/2/'
  mkdir -p "$new/fs"
  echo 'int new;' >"$new/fs/new.c"
  "$BATS_TEST_DIRNAME/cut-patches" "$old" "$new" "$cut"
  [ -z "$(ls "$cut")" ]
}

@test "each way in which a build ends, and a second run" {
  export KPATCH_TEST_OUT=$BATS_TEST_TMPDIR/sweep KPATCH_BUILD=$BATS_TEST_TMPDIR/kpatch-build
  mkdir -p "$KPATCH_TEST_OUT/1.0-1.1/patches"
  echo 1.0-test >"$KPATCH_TEST_OUT/1.0-1.1/release"
  for name in builds same data foreign torn broken; do
    echo '+++ b/fs/a.c' >"$KPATCH_TEST_OUT/1.0-1.1/patches/$name.patch"
  done
  cat >"$KPATCH_BUILD" <<'FAKE'
#!/bin/bash
echo "${!#}" >>"$KPATCH_TEST_OUT/runs"
case ${!#} in
  */builds.patch) echo "patched functions" ;;
  */same.patch) exit 3 ;;
  */data.patch) echo "fs/a.c: error: x: lies in .data.x [data-init]"; echo "fs/a.c: error: y: [static-local]"; exit 2 ;;
  */foreign.patch) echo "fs/a.c: error: the config does not build this file (CONFIG_A is not set)"; exit 2 ;;
  */torn.patch) echo "error: the patched fs/a.c does not compile"; exit 1 ;;
  *) echo "error: all went wrong"; exit 1 ;;
esac
FAKE
  chmod +x "$KPATCH_BUILD"
  run "$BATS_TEST_DIRNAME/sweep" --no-boot 1.0 1.1
  [ "$status" -eq 1 ]
  for line in '6  patches cut' '5  compiled by the config' '1  built (33.3 %)' '1  data-init static-local' \
    '1  not whole: they lack a part of the fix' '1  failed'; do
    grep -q "^ *$line\$" <<<"$output" || { echo "no line: $line"; echo "$output"; return 1; }
  done
  grep -q '"patch": "broken", "outcome": "failed", .* "message": "error: all went wrong"' "$KPATCH_TEST_OUT/1.0-1.1/table.json"
  run "$BATS_TEST_DIRNAME/sweep" --no-boot --redo '^failed' 1.0 1.1
  [ "$(wc -l <"$KPATCH_TEST_OUT/runs")" -eq 7 ]
  # By source: what was built alone, with results of its own.
  sed -i 's/^echo "/echo "$* /' "$KPATCH_BUILD"
  run -0 "$BATS_TEST_DIRNAME/sweep" --no-boot --by-source 1.0 1.1
  [[ $output == *"1  built (100.0 %)"* ]]
  [ "$(wc -l <"$KPATCH_TEST_OUT/runs")" -eq 8 ]
  tail -n 1 "$KPATCH_TEST_OUT/runs" | grep -q -e '--from-source .*/builds.patch'
  grep -q '"patch": "data"' "$KPATCH_TEST_OUT/1.0-1.1/table.json"
  run -1 grep '"patch": "data"' "$KPATCH_TEST_OUT/1.0-1.1/by-source-table.json"
  # A sample: as many as are asked for, the same ones each time.
  rm "$KPATCH_TEST_OUT/runs"
  run "$BATS_TEST_DIRNAME/sweep" --no-boot --sample 3 --redo . 1.0 1.1
  [ "$(wc -l <"$KPATCH_TEST_OUT/runs")" -eq 3 ]
}
