# shellcheck shell=sh
# Every number of arguments: with the author macros the other calls must come out unchanged. getppid() alone is, for
# processes of niceness 7.
# shellcheck disable=SC2016
parent() { sh -c 'renice -n 7 -p $$ >/dev/null; sh -c "echo \$PPID"; true'; }
old() { [ "$(parent)" -gt 7 ] || fail "getppid: $(parent)"; }
new() { expect_eq getppid 7 "$(parent)"; }
