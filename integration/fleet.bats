#!/usr/bin/env bats
# kpatch-fleet: real builds of a real kernel, and what can go wrong between workers, stores and runs, for which kpatch-build
# and kpatch-verify are doubles: what is looked at there is who builds what, and how often. Sources, and so the triage, are
# the real ones everywhere.

bats_require_minimum_version 1.5.0

load bad-input.bash
load sign.bash
load archive.bash
load slurm.bash
load fleet.bash

@test "a real kernel: built, signed, verified and packaged; then from what is there, and from a store, byte for byte" {
  sign_programs
  "$keys" generate -o keys >/dev/null
  ours -j2 --package deb --sign keys/livepatch.key --cert keys/livepatch.pem --store store --store-key keys/livepatch.key \
    --store-cert keys/livepatch.pem first.patch second.patch
  [ "$status" -eq 0 ]
  [[ $output == *"[2/2"*"second"*"built"* ]]
  "${kpatch_build%/*/*}/verify/kpatch-verify" -a "$release" "out/$release/first/livepatch-first.ko"
  "$sign" --verify --cert keys/livepatch.pem "out/$release/first/livepatch-first.ko"
  compgen -G "out/$release/first/*.deb"
  grep -q "$release" out/index.html
  ours -j2 --package deb --sign keys/livepatch.key --cert keys/livepatch.pem first.patch second.patch
  [ "$status" -eq 0 ]
  [[ $output != *"[1/"* ]]
  fleet --kernels "$release" -o again --package deb --sign keys/livepatch.key --cert keys/livepatch.pem --store store \
    --store-read-only --store-cert keys/livepatch.pem first.patch second.patch
  [ "$status" -eq 0 ]
  [[ $output == *"from the store"* ]]
  cmp "out/$release/first/livepatch-first.ko" "again/$release/first/livepatch-first.ko"
  cmp "out/$release/second/livepatch-second.ko" "again/$release/second/livepatch-second.ko"
}

@test "a triage tells apart what is there, what applies, what needs a backport, and what isn't for this kernel" {
  ours --triage first.patch there.patch moved.patch other.patch elsewhere.patch
  [ "$status" -eq 2 ]
  [ "$(state first)" = applies ]
  [ "$(state there)" = "already fixed" ]
  [ "$(state moved)" = "applies with an offset" ]
  [ "$(state other)" = "needs a backport" ]
  [ "$(state elsewhere)" = "not affected" ]
  [[ $output == *"other needs a backport: one backport serves 1 kernel of source"*"hunk 1 of 1 does not apply"* ]]
}

@test "a triage tells what is refused for what its files are, and what nothing comes of: neither is built" {
  doubles
  ours first.patch assembly.patch both.patch words.patch
  [ "$status" -eq 2 ]
  [ "$(state first)" = built ]
  [ "$(state assembly)" = refused ]
  [ "$(state both)" = refused ]
  [ "$(state words)" = "no change" ]
  [ "$(builds)" -eq 1 ]
  [[ $output == *"assembly: arch/x86/lib/putuser.S: assembly can't be patched live"* ]]
}

@test "a plan: a series without what the kernel has, a backport for some, names beside the plan" {
  doubles
  mkdir plan
  mv ./*.patch plan
  cat >plan/plan.yaml <<PLAN
kernels: $release
output: out
fixes:
  - {name: a, patches: there.patch}
  - {name: b, patches: [second.patch], follows: a}
  - name: c
    patches: [other.patch]
    for: [{kernels: "6.1*", patches: first.patch}]
PLAN
  fleet plan/plan.yaml
  [ "$status" -eq 0 ]
  [ "$(sort bin/log)" = "$release livepatch-b second.patch"$'\n'"$release livepatch-c first.patch" ]
  [ -e "plan/out/$release/b/livepatch-b.ko" ]
  [ ! -e "plan/out/$release/a" ]
}

@test "plans that are none: each with its line" {
  local text
  while IFS='|' read -r text wanted; do
    printf '%b\n' "$text" >plan.yaml
    fleet plan.yaml
    [ "$status" -eq 1 ]
    [[ $stderr == *"$wanted"* ]]
  done <<'PLANS'
kernels: 6.12\nkernel: x|plan.yaml:2: the plan: "kernel" is no key of it
kernels: a\nkernels: b|plan.yaml:2: the plan: "kernels" is there twice
kernels: a\noutput: o\nfixes: [{name: a, patches: first.patch, follows: b}]|a follows b, which the plan doesn't have
kernels: a\noutput: o\nfixes: [{name: a, patches: first.patch, follows: a}]|a follows itself
kernels: a\noutput: o\nfixes: [{name: ../a, patches: first.patch}]|a fix's name is
kernels: a\noutput: o\nfixes: [{name: a, patches: gone.patch}]|gone.patch: there is no such patch
kernels: a\noutput: o\njobs: many\nfixes: []|plan.yaml:3: jobs: a number
kernels: [a|plan.yaml:
kernels: a\noutput: o\nstore: {at: "http://x"}\nfixes: [{name: a, patches: first.patch}]|name the certificate
PLANS
  fleet --kernels "$release" first.patch -o out
  [ "$status" -eq 1 ]
  [[ $stderr == *"put -o DIR between"* ]]
}

@test "a cell that fails stops no other, and is tried again by the next run, and it alone" {
  doubles
  touch bin/livepatch-first.fails
  ours first.patch second.patch
  [ "$status" -eq 1 ]
  [ "$(state first)" = failed ]
  [ "$(state second)" = built ]
  [[ $output == *"first: failed: kpatch-build ended with 1: no space for it"* ]]
  rm bin/livepatch-first.fails
  ours first.patch second.patch
  [ "$status" -eq 0 ]
  [ "$(builds)" -eq 3 ]
}

@test "a program that was mended makes anew what it made, though its version is as before" {
  doubles
  ours first.patch
  ours first.patch
  [ "$(builds)" -eq 1 ]
  echo '# mended' >>bin/kpatch-build
  ours first.patch
  [ "$(builds)" -eq 2 ]
}

@test "a module that fails its audit isn't delivered; a refused fix needs a person" {
  doubles
  touch bin/unsound bin/livepatch-second.refused
  ours first.patch second.patch
  [ "$status" -eq 1 ]
  [ "$(state first)" = "fails its audit" ]
  [ "$(state second)" = refused ]
  [ -z "$(find out -name '*.ko')" ]
}

@test "a release that no archive has is a row, and the others are built" {
  doubles
  fleet --kernels 6.12.999+deb12-cloud-amd64 "$release" -o out first.patch
  [ "$status" -eq 2 ]
  [ "$(state first)" = "no such kernel"$'\n'built ]
}

@test "a worker that dies: its cell is run again, by the next launcher" {
  doubles
  printf '#!/bin/bash\necho dead >>"%s/dead"\nkill -KILL $$\n' "$PWD" >dies
  chmod +x dies
  ours -j1 --launcher ./nowhere --launcher "$PWD/dies" --launcher env first.patch second.patch
  [ "$status" -eq 0 ]
  [ -s dead ]
  [ "$(builds)" -eq 2 ]
  [[ $stderr == *"workers died"* ]]
  fleet --kernels "$release" -o other --retries 1 --launcher "$PWD/dies" first.patch
  [ "$status" -eq 1 ]
  [ "$(state first other)" = lost ]
}

@test "two runs of one plan at once: the second says so, and the first is right" {
  doubles
  echo 3 >bin/slow
  "$fleet" --kernels "$release" -o out first.patch >first.log 2>&1 3>&- &
  local pid=$!
  for _ in {1..100}; do [ ! -s bin/log ] || break; sleep 0.1; done
  ours first.patch
  [ "$status" -eq 1 ]
  [[ $stderr == *"another run writes to"* ]]
  wait "$pid"
  [ "$(builds)" -eq 1 ]
  [ "$(state first)" = built ]
}

@test "a run that is killed in the middle goes on where it was" {
  doubles
  ours first.patch
  echo 30 >bin/slow
  "$fleet" --kernels "$release" -o out first.patch second.patch >killed.log 2>&1 3>&- &
  local pid=$!
  for _ in {1..100}; do [ "$(builds)" -lt 2 ] || break; sleep 0.1; done
  kill -KILL "$pid"
  wait "$pid" || true
  rm bin/slow
  for _ in {1..50}; do
    ours first.patch second.patch
    [[ $stderr == *"another run"* ]] || break
    sleep 0.2
  done
  [ "$status" -eq 0 ]
  [ "$(builds)" -eq 3 ]
  [ "$(state second)" = built ]
}

@test "clocks that differ make nothing anew; a torn result is made anew" {
  doubles
  ours first.patch second.patch
  find out/.fleet -exec touch -d '1999-01-01' {} +
  touch -d '2099-01-01' ./*.patch out/.fleet/jobs/*
  ours first.patch second.patch
  [ "$status" -eq 0 ]
  [ "$(builds)" -eq 2 ]
  echo torn >>"$(grep -l '"fix": "first"' out/.fleet/cells/*/result.json | xargs dirname | xargs -I@ find @ -name '*.ko')"
  ours first.patch second.patch
  [ "$status" -eq 0 ]
  [ "$(builds)" -eq 3 ]
  run ! grep -q torn "out/$release/first/livepatch-first.ko"
}

@test "two workers on one cell: the same bytes, or an error" {
  doubles
  local job kind
  for kind in same random; do
    rm -rf out
    ours first.patch
    job=$(grep -l '"kind": "build"' out/.fleet/jobs/*)
    rm -rf out/.fleet/cells/"$(basename "$job" .json)"
    echo 1 >bin/slow
    touch "bin/$kind"
    "$fleet" cell "$job" >one.log 2>&1 & one=$!
    "$fleet" cell "$job" >two.log 2>&1 & two=$!
    results=0
    wait $one || results=$((results + 1))
    wait $two || results=$((results + 1))
    rm bin/slow
    cat one.log two.log
    if [ $kind = same ]; then
      [ $results -eq 0 ]
    else
      [ $results -eq 1 ]
      grep -q "made different bytes" ./*.log
    fi
  done
}

@test "a cell's inputs are those of its digests" {
  doubles
  ours first.patch
  local job
  job=$(grep -l '"kind": "build"' out/.fleet/jobs/*)
  rm -rf out/.fleet/cells/"$(basename "$job" .json)"
  find out/.fleet/inputs -name first.patch -exec sh -c 'echo >>"$1"' _ {} \;
  run "$fleet" cell "$job"
  [ "$status" -eq 1 ]
  [[ $output == *"isn't the patch that the plan was made with"* ]]
  sed 's/"release": "[^"]*"/"release": "1.2.3"/' "$job" >other && mv other "$job"
  run "$fleet" cell "$job"
  [ "$status" -eq 1 ]
  [[ $output == *"another digest"* ]]
}

@test "watching an archive: a kernel that came is built, and it alone, and is what is told" {
  command -v gpg >/dev/null || skip_package "gpg isn't installed"
  doubles
  use_cache "$PWD/cache"
  signing_key "$PWD"
  local archive=$PWD/archive r snapshot_version names=()
  # shellcheck disable=SC2034  # snapshot reads it
  snapshot_version=$(sed -n 's/^version: //p' "$packages/key.txt")
  for r in 6.12.990+deb12-cloud-amd64 6.12.991+deb12-cloud-amd64; do
    names+=("linux-image-$r" "linux-image-$r-dbg" "linux-headers-$r")
    (snapshot "$archive/debian" bookworm "${names[@]}" linux-source-6.12)
    (snapshot "$archive/debian-security" bookworm-security something)
    rm -rf cache/archive
    fleet --watch --kernels 'bookworm:*-cloud-amd64' -o out --archive "file://$archive/debian" --archive-key "$PWD/key.gpg" first.patch
    [ "$status" -eq 0 ]
    grep -q "^$r livepatch-first" bin/log
  done
  gpgconf --kill all
  [ "$(builds)" -eq 2 ]
  [[ $output == *"6.12.991+deb12-cloud-amd64: new in the archives"* && $output != *"6.12.990+deb12-cloud-amd64: "* ]]
}

@test "Slurm: two nodes build two cells at once; one dies in the middle, and its cell is built by the other" {
  command -v slurmctld >/dev/null && command -v munged >/dev/null || skip_package "Slurm isn't installed"
  doubles
  start_slurm "$BATS_TEST_TMPDIR/slurm"
  trap stop_slurm EXIT
  echo 6 >bin/slow
  "$fleet" --kernels "$release" -o out -j2 --launcher "srun -Q -n1 --input=none" first.patch second.patch >log 2>&1 3>&- &
  local pid=$!
  for _ in {1..200}; do [ "$(builds)" -lt 2 ] || break; sleep 0.1; done
  [ "$(builds)" -eq 2 ]
  kill_node two
  status=0
  wait "$pid" || status=$?
  cat log
  squeue -a
  [ "$status" -eq 0 ]
  [ "$(state first)" = built ]
  [ "$(state second)" = built ]
  grep -q "workers died" log
  [ "$(builds)" -eq 3 ]
  stop_slurm
  trap - EXIT
}
