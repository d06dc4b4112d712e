#!/usr/bin/env bats
# klp-build over stock 6.12: two codestreams of a CSV that are the same kernel, so that they make a group. prepare-tests boots
# that kernel.

bats_require_minimum_version 1.5.0

load bad-input.bash

setup() {
  kpatch_build=${KPATCH_BUILD_DIR:-$BATS_TEST_DIRNAME/../build}/kpatch-build/kpatch-build
  klp_build=${kpatch_build%/*/*}/klp-build/klp-build
  [ -x "$klp_build" ] || skip_package "built without libclang"
  stock_inputs
  export XDG_CACHE_HOME=${XDG_CACHE_HOME:-$HOME/.cache}
  export KPATCH_CACHE=$shared HOME=$BATS_TEST_TMPDIR
  export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
  unset XDG_CONFIG_HOME
  mkdir -p "$HOME/.config/klp-build" "$HOME/data"
  printf 'work_dir=~/lps\ndata_dir=~/data\nkgr_patches_dir=~/kgr\n' >"$HOME/.config/klp-build/config"
  printf '15.5u40,SLE,%s,2099-01-01\n15.5u41,SLE,%s,2099-01-01\n' "$release" "$release" >"$HOME/data/codestreams.csv"
  cd "$HOME" || return 1
}

klp() { run --separate-stderr "$klp_build" "$@"; printf 'exit %s\n%s\n%s\n' "$status" "$output" "$stderr"; }

@test "the founding lines parse, and say what isn't there" {
  local line=(setup --name bsc1197597 --cve 2022-1048 --mod snd-pcm --conf CONFIG_SND_PCM
    --file-funcs sound/core/pcm.c snd_pcm_attach_substream snd_pcm_detach_substream --archs x86_64 ppc64le)
  klp "${line[@]}" --codestreams '15.4'
  [ "$status" -eq 1 ]
  [[ $stderr == *"no codestream matches '15.4'; known: 15.5u40, 15.5u41"* ]]
  klp "${line[@]}" --codestreams '15.5'
  [ "$status" -eq 1 ]
  [[ $output == *"Skipping codestreams without CONFIG_SND_PCM set"* ]]
  [[ $stderr == *"none of the codestreams is for ppc64le"*"CONFIG_SND_PCM isn't set in any"* ]]
  [ ! -e lps/bsc1197597 ]
  klp setup --name x --conf SND_PCM --file-funcs a.c f
  [ "$status" -eq 1 ]
  [[ $stderr == *"Invalid config SND_PCM: Missing CONFIG_ prefix"* ]]
  klp setup --name x --file-funcs a.c f --filter '15.5('
  [ "$status" -eq 1 ]
  [[ $stderr == *"at character 6"* ]]
}

@test "all that is wrong with files, modules and functions is told at once" {
  klp setup --name x --no-check --filter 15.5u40 --file-funcs fs/proc/meminf.c f --file-funcs fs/proc/meminfo.c no_such \
    --mod-file-funcs no_such_mod net/netfilter/xt_mark.c mark_mt --file-funcs arch/x86/lib/copy_mc.c copy_mc_fragile_handle_tail \
    --mod-file-funcs xt_comment fs/proc/stat.c show_stat --conf-mod-file-funcs CONFIG_NETFILTER_XT_MATCH_COMMENT vmlinux \
    net/netfilter/xt_comment.c comment_mt --file-funcs kernel/softirq.c __do_softirq
  [ "$status" -eq 1 ]
  [ ! -e lps/x ]
  [[ $stderr == *"File fs/proc/meminf.c not found in $release; near it are fs/proc/meminfo.c"* ]]
  [[ $stderr == *"Symbol no_such not found in fs/proc/meminfo.c"* ]]
  [[ $stderr == *"Module not found: no_such_mod"* ]]
  [[ $stderr == *"fs/proc/stat.c: is part of vmlinux, not of xt_comment"* ]]
  [[ $stderr == *"CONFIG_NETFILTER_XT_MATCH_COMMENT is a module on x86_64: name it by --module"* ]]
  [[ $stderr == *"has tracing disabled."* ]]
}

@test "a function that is inlined everywhere climbs to its callers; one with a variable number of arguments can't be taken" {
  klp setup --name x --no-check --filter 15.5u40 --file-funcs kernel/sys.c do_sysinfo check_prlimit_permission
  [ "$status" -eq 0 ]
  [[ $stderr == *"Symbol check_prlimit_permission not found in vmlinux: it is inlined into __do_sys_prlimit64, which is replaced"* ]]
  [[ $stderr == *"Symbol do_sysinfo not found in vmlinux: the compiler has made another function of it"*"__do_sys_sysinfo"* ]]
  klp extract -n x
  [ "$status" -eq 0 ]
  grep -q '^vmlinux __x64_sys_sysinfo ' lps/x/ccp/15.5u40/lp/patched_funcs.csv
  grep -q '^vmlinux __x64_sys_prlimit64 ' lps/x/ccp/15.5u40/lp/patched_funcs.csv
  run ! grep -qE ' (do_sysinfo|check_prlimit_permission) ' lps/x/ccp/15.5u40/lp/patched_funcs.csv
  klp setup --name y --no-check --filter 15.5u40 --file-funcs fs/seq_file.c seq_printf
  [ "$status" -eq 1 ]
  [[ $stderr == *"Symbol seq_printf takes a variable number of arguments"* ]]
  [ ! -e lps/y ]
}

@test "from a fix to modules: setup, extract, push, commit, format-patches, prepare-tests" {
  klp setup --name fix --fix "$BATS_TEST_DIRNAME/patches/patch2.patch"
  [ "$status" -eq 0 ]
  [[ $output == *"15.5u40-41:"*"fs/proc/meminfo.c, CONFIG_PROC_FS, vmlinux, meminfo_proc_show"*"Done. Setup finished."* ]]
  klp extract -n fix
  [ "$status" -eq 0 ]
  [ "$(cat lps/fix/ccp/groups)" = 15.5u40-41 ]
  grep -qx 'xt_comment comment_mt klp_fix_net_netfilter_xt_comment_comment_mt' lps/fix/ccp/15.5u41/lp/patched_funcs.csv
  klp cs-diff -n fix --exit-code
  [ "$status" -eq 0 ]
  [ -z "$output" ]
  echo '/* by hand */' >>lps/fix/ccp/15.5u41/lp/livepatch_fix.c
  klp cs-diff -n fix --exit-code
  [ "$status" -eq 1 ]
  [[ $output == *"+/* by hand */"* ]]
  klp status -n fix
  [ "$status" -eq 0 ]
  [[ $output == *"not built"* ]]
  klp prepare-tests -n fix
  [ "$status" -eq 1 ]
  [[ $stderr == *"isn't built"* ]]
  klp push -n fix --fast
  [ "$status" -eq 0 ]
  [ -s lps/fix/ccp/15.5u40/x86_64/rpm/livepatch_fix.ko ]
  [ ! -e lps/fix/ccp/15.5u41/x86_64 ]
  [ "$(shipped_code_of lps/fix/ccp/15.5u40/x86_64/rpm/livepatch_fix.ko)" = "vmlinux:meminfo_proc_show xt_comment:comment_mt" ]
  klp commit -n fix
  [ "$status" -eq 0 ]
  [ "$(git -C kgr branch --list 'fix_*' | wc -l)" -eq 2 ]
  git -C kgr show fix_15.5u41:fix/livepatch_fix.c | grep -q 'by hand'
  klp commit -n fix
  [ "$status" -eq 1 ]
  [[ $stderr == *"is there already"* ]]
  klp format-patches -n fix -v 3
  [ "$status" -eq 0 ]
  grep -qF '[Klp-patches][PATCH v3 1/2] fix [15.5u40]' lps/fix/patches/0001-*
  grep -qF 'fs/proc/meminfo.c, vmlinux: meminfo_proc_show' lps/fix/patches/0000-*
  git init -q tests
  echo true >tests/fix_test_script.sh
  git -C tests add . && git -C tests commit -qm 'the test'
  echo 'kgr_patches_tests_dir=~/tests' >>.config/klp-build/config
  klp format-patches -n fix -v 3
  [ "$status" -eq 0 ]
  grep -qF '[Klp-patches][PATCH v3 1/3] the test' lps/fix/patches/0001-*
  grep -qF '[Klp-patches][PATCH v3 2/3] fix [15.5u40]' lps/fix/patches/0002-*
  klp format-patches -n fix -v 3 --no-test
  [ "$status" -eq 0 ]
  grep -qF '[Klp-patches][PATCH v3 1/2] fix [15.5u40]' lps/fix/patches/0001-*
  echo 'grep -q . /proc/meminfo && echo read-it' >test.sh
  klp prepare-tests -n fix --filter 15.5u40 --script test.sh
  [ "$status" -eq 0 ]
  grep -qx read-it lps/fix/tests/x86_64/fix/tests.out
  [ -s lps/fix/tests/x86_64/fix.tar.xz ]
  echo 'exit 1' >test.sh
  klp prepare-tests -n fix --filter 15.5u40 --script test.sh
  [ "$status" -eq 1 ]
  [[ $stderr == *"the test failed"* ]]
  # A build that fails is told, and its log has why.
  echo 'int x = ;' >>lps/fix/ccp/15.5u40/lp/livepatch_fix.c
  klp push -n fix --fast
  [ "$status" -eq 1 ]
  klp status -n fix
  [ "$status" -eq 1 ]
  [[ $output == *failed* ]]
  klp log -n fix --cs 15.5u40
  [ "$status" -eq 0 ]
  [[ $output == *"livepatch_fix.c can't be compiled"* ]]
}

@test "fixes by tracker, record and stable git; what has the fix is skipped" {
  # A git tree in which the fix is what the kernel has already.
  mkdir -p git/fs/proc published/2025
  git -C git init -q
  sed 's/si_meminfo(&i);/si_meminfo( \&i );/' "$source/fs/proc/meminfo.c" >git/fs/proc/meminfo.c
  git -C git add . && git -C git commit -qm before
  cp "$source/fs/proc/meminfo.c" git/fs/proc/
  git -C git commit -qam 'fix' -m '[ Upstream commit 0123456789abcdef ]'
  commit=$(git -C git rev-parse HEAD)
  printf '{"containers": {"cna": {"affected": [{"programFiles": ["fs/proc/meminfo.c"], "versions": [{"version": "1", "lessThan": "%s", "status": "affected", "versionType": "git"}]}]}}}' \
    "$commit" >published/2025/CVE-2025-0001.json
  printf 'stable_git=~/git\ncve_records=~\n' >>.config/klp-build/config
  klp scan --cve 2025-0001
  [ "$status" -eq 0 ]
  [[ $output == *"Skipping already patched"*"15.5u40"*"All supported codestreams are already patched."* ]]
  klp scan --fix 0123456789abcdef --filter 15.5u40
  [ "$status" -eq 0 ]
  [[ $output == *"already patched"* ]]
  # Another fix that names it is no backport of it.
  echo '/* later */' >>git/fs/proc/meminfo.c
  git -C git commit -qam 'later' -m 'Fixes: fedcba9876543210 ("fix")'
  klp scan --fix fedcba9876543210 --filter 15.5u40
  [ "$status" -eq 1 ]
  [[ $stderr == *"--fix fedcba9876543210: is no file, and "*"/git has neither that commit nor a backport of it"* ]]
  klp scan --cve 2025-0002
  [ "$status" -eq 1 ]
  [[ $stderr == *"no patch for CVE-2025-0002 is known"* ]]
  printf -- '--- a/fs/proc/meminfo.c\n+++ b/fs/proc/meminfo.c\n@@ -1,2 +1,2 @@\n-nothing\n+like\n that\n' >odd.patch
  klp scan --fix odd.patch --filter 15.5u40
  [ "$status" -eq 1 ]
  [[ $stderr == *"no patch of the fix applies"* ]]
  # By version nothing of the kernel is read.
  printf '{"linux": {"CVE-2022-1048": {"releases": {"bookworm": {"status": "resolved", "fixed_version": "5.17.3-1"}}}}}' >tracker.json
  printf '{"codestreams": [{"name": "%s", "kernel": "%s", "version": "6.12.117-1", "suite": "bookworm"}]}' "$release" "$release" >data/codestreams.json
  rm data/codestreams.csv
  echo 'tracker=~/tracker.json' >>.config/klp-build/config
  klp setup -n y --cve 2022-1048 --codestreams "$release" --mod snd-pcm --conf CONFIG_SND_PCM --file-funcs sound/core/pcm.c snd_pcm_attach_substream
  [ "$status" -eq 0 ]
  [[ $output == *"All supported codestreams are already patched."* ]]
}

@test "projects of other versions, and none" {
  mkdir -p lps/p
  echo '{"version": 9}' >lps/p/codestreams.json
  klp extract -n p
  [ "$status" -eq 1 ]
  [[ $stderr == *"is of a later klp-build"* ]]
  echo '{"codestreams": {"15.3u1": {"sle": 15, "sp": 3}}}' >lps/p/codestreams.json
  klp extract -n p
  [ "$status" -eq 1 ]
  [[ $stderr == *"as older programs wrote it: run klp-build setup again"* ]]
  klp extract -n q
  [ "$status" -eq 1 ]
  [[ $stderr == *"there is no project of that name"* ]]
  klp log -n ../x
  [ "$status" -eq 1 ]
  klp
  [ "$status" -eq 1 ]
  [[ $stderr == *"a command is missing"* ]]
}

@test "fixes out of a tree of patches: affected, patched, unaffected; get-patches, check-inline" {
  printf '15.5u40,SLE,%s,2020-01-01\n15.5u41,SLE,6.1.0-1-cloud-amd64,2099-01-01\n15.4u1,SLE,%s,2099-01-01\n' "$release" "$release" >data/codestreams.csv
  git init -q -b SLE15-SP4 src
  mkdir src/patches.suse
  touch src/series.conf src/patches.suse/none
  git -C src add . && git -C src commit -qm base
  git -C src checkout -q -b SLE15-SP5
  sed '/^--- .*xt_comment/,$d' "$BATS_TEST_DIRNAME/patches/patch2.patch" >fix.patch
  [ -s fix.patch ]
  { printf 'Subject: fix\nReferences: bsc#1 CVE-2022-1048 bsc#2\n\n'; cat fix.patch; } >src/patches.suse/b.patch
  { printf 'Subject: other\nReferences: CVE-2022-10480\n\n'; cat fix.patch; } >src/patches.suse/a.patch
  printf '# kABI\n\tpatches.suse/a.patch\n\tpatches.suse/b.patch\n' >src/series.conf
  git -C src add . && git -C src commit -qm fix
  git -C src tag rpm-6.1.0-1-cloud
  printf '[Settings]\nbugzilla_api_key = x\n' >>.config/klp-build/config
  export KLP_KERNEL_SOURCE=$PWD/src
  klp setup --name y --cve 2022-1048
  [ "$status" -eq 0 ]
  [[ $stderr == *"15.5u40: its support ended on 2020-01-01"* ]]
  [[ $output == *"Skipping already patched:"*15.5u41*"Skipping unaffected (missing backports):"*15.4u1*"All affected codestreams:"*15.5u40* ]]
  cmp lps/y/fixes/15.5/01-b.patch src/patches.suse/b.patch
  klp get-patches --name z --cve CVE-2022-1048
  [ "$status" -eq 0 ]
  [ "$output" = "$PWD/lps/z/fixes/15.5/01-b.patch" ]
  klp scan --cve 2022-1048 --skips '15\.5u4[01]'
  [ "$status" -eq 1 ]  # nothing else has a patch of it
  [[ $stderr == *"no patch for CVE-2022-1048 is known"* ]]
  klp check-inline --codestream 15.5u40 --file kernel/sys.c --symbol check_prlimit_permission
  [ "$status" -eq 0 ]
  [[ $output == *"15.5u40: check_prlimit_permission: is inlined into __do_sys_prlimit64"* ]]
  klp check-inline --codestream 15.5u40 --file kernel/sys.c --symbol no_such
  [ "$status" -eq 1 ]
  [[ $stderr == *"Symbol no_such not found in kernel/sys.c"* ]]
}
