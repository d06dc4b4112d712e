# shellcheck shell=sh
# umask() no longer lets others in. The shell's umask is the system call.
old() { expect_eq umask 0022 "$(umask 022; umask)"; }
new() { expect_eq umask 0027 "$(umask 022; umask)"; }
