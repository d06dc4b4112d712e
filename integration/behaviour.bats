#!/usr/bin/env bats
# What behaviour-run makes of a test: in a made-up guest, where a livepatch is a file, and of the folders that there are.

bats_require_minimum_version 1.5.0

setup() {
  here=$BATS_TEST_DIRNAME
  export BEHAVIOUR_TESTS=$BATS_TEST_TMPDIR/tests BEHAVIOUR_GUEST=$BATS_TEST_TMPDIR/guest.sh
  mkdir -p "$BEHAVIOUR_TESTS/fix/livepatch.d" "$BATS_TEST_TMPDIR/bin"
  touch "$BEHAVIOUR_TESTS/fix/livepatch.d/livepatch-fix.ko" "$BEHAVIOUR_TESTS/fix/targets"
  echo fix >"$BEHAVIOUR_TESTS/names"
  for program in ip modprobe; do
    ln -s /bin/true "$BATS_TEST_TMPDIR/bin/$program"
  done
  cat >"$BEHAVIOUR_GUEST" <<FAKE
klp=$BATS_TEST_TMPDIR/klp
mkdir -p "\$klp"
say() { echo "\$*"; }
fail() { echo "\$*"; return 1; }
patch_name() { basename "\$1" .ko | tr - _; }
load_patch() { touch "\$klp/\$(patch_name "\$1")"; }
disable_patch() { rm "\$klp/\$1"; }
unload_patch() { :; }
mark_dmesg() { rm -f "$BATS_TEST_TMPDIR/warning"; }
check_dmesg() { [ ! -e "$BATS_TEST_TMPDIR/warning" ]; }
loaded() { [ -e "\$klp/livepatch_fix" ]; }
warn() { touch "$BATS_TEST_TMPDIR/warning"; }
FAKE
}

# outcome LINE…: how a test of these lines ends, "ok" or "failed".
outcome() {
  printf '%s\n' "$@" >"$BEHAVIOUR_TESTS/fix/check.sh"
  PATH=$BATS_TEST_TMPDIR/bin:$PATH sh "$here/behaviour-guest.sh" | sed -n 's/^@@ \(ok\|failed\) fix$/\1/p'
}

@test "broken, fixed, broken is right" {
  [ "$(outcome 'probe() { if loaded; then echo fixed; else echo broken; fi; }')" = ok ]
}

@test "a test that always says the same, or the opposite, fails" {
  [ "$(outcome 'probe() { echo fixed; }')" = failed ]
  [ "$(outcome 'probe() { echo broken; }')" = failed ]
  [ "$(outcome 'probe() { if loaded; then echo broken; else echo fixed; fi; }')" = failed ]
}

@test "what stays fixed after the livepatch is gone fails" {
  [ "$(outcome 'probe() { if loaded; then touch once; fi; if [ -e once ]; then echo fixed; else echo broken; fi; }')" = failed ]
}

@test "a third word, no word, and a livepatch that can't be loaded fail" {
  [ "$(outcome 'probe() { if loaded; then echo fixed; else echo unexpected 3; fi; }')" = failed ]
  [ "$(outcome 'probe() { :; }')" = failed ]
  [ "$(outcome 'load_patch() { return 1; }' 'probe() { if loaded; then echo fixed; else echo broken; fi; }')" = failed ]
}

@test "a warning counts, but for what the broken behaviour warns of" {
  probe='probe() { if loaded; then echo fixed; else warn; echo broken; fi; }'
  [ "$(outcome "$probe")" = failed ]
  [ "$(outcome "$probe" complains=broken)" = ok ]
  [ "$(outcome 'probe() { if loaded; then warn; echo fixed; else echo broken; fi; }' complains=broken)" = failed ]
  [ "$(outcome 'probe() { warn; if loaded; then echo fixed; else echo broken; fi; }' complains=both)" = ok ]
}

@test "every fix that was drawn has a test, or a reason why not" {
  for pair in "$here"/behaviour/*/; do
    # What was drawn and tested, and what has a folder.
    diff <(sed -n 's/^\([^ #]*\)  *tested$/\1/p' "$pair/drawn" | LC_ALL=C sort) \
      <(cd "$pair" && printf '%s\n' */ | tr -d / | LC_ALL=C sort)
    ! grep -vE '^#|^$|^[A-Za-z0-9_-]+ +[^ ]' "$pair/drawn"
    while read -r name; do
      grep -qxE "$name +tested" "$pair/drawn"
    done <"$pair/sample"
    for test in "$pair"*/; do
      [ -s "$test/check.sh" ]
      grep -q '^probe()' "$test/check.sh" || [ -e "$test/module.c" ]
    done
  done
}
