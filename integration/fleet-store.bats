#!/usr/bin/env bats
# What workers of kpatch-fleet share: results, prepared kernels, and the compiler's objects; what can be wrong with a store, and
# that nothing of it costs more than its time.

bats_require_minimum_version 1.5.0

load bad-input.bash
load sign.bash
load fleet.bash

teardown() { kill ${server:+"$server"} 2>/dev/null || true; }

# serve FOLDER [FAULT]: a web server; sets url.
serve() {
  kill ${server:+"$server"} 2>/dev/null || true
  rm -f port
  python3 "$BATS_TEST_DIRNAME/store-server.py" "$@" >port 2>server.log 3>&- &
  server=$!
  for _ in {1..100}; do [ ! -s port ] || break; sleep 0.1; done
  url=http://127.0.0.1:$(cat port)
}

# stored [OPTION…]: one fix into a new output folder, with the store and the team's certificate; sets made, the builds.
stored() {
  local before
  before=$(builds)
  rm -rf out
  ours --store "${store-store}" --store-cert keys/livepatch.pem "$@" first.patch
  made=$(($(builds) - before))
  [ "$status" -eq 0 ]
  [ "$(cat "out/$release/first/livepatch-first.ko")" = "$release livepatch-first first.patch" ]
}

# entry: the store's list of the built cell; file: its module.
entry() { grep -la livepatch-first.ko store/results/*; }
file() { echo "store/files/$(grep -ao '"livepatch-first.ko": "[0-9a-f]*' "$(entry)" | grep -o '[0-9a-f]*$')"; }

@test "a store: what is torn, forged, foreign, unsigned or another's is found, and made anew" {
  sign_programs
  doubles
  "$keys" generate -o keys >/dev/null
  "$keys" generate -o others >/dev/null
  stored --store-key keys/livepatch.key
  [ $made -eq 1 ]
  stored
  [ $made -eq 0 ]
  [[ $output == *"from the store"* ]]
  echo evil >"$(file)"
  stored --store-key keys/livepatch.key
  [ $made -eq 1 ]
  [[ $output == *"isn't what it was"* ]]
  truncate -s 20 "$(entry)"
  rm -f store/results/*  # torn lists are covered below, one by one
  stored --store-key keys/livepatch.key
  [ $made -eq 1 ]
  local list
  list=$(entry)
  cp "$list" good
  head -c 100 good >"$list"
  stored
  [ $made -eq 1 ]
  [[ $output == *"the store: the entry"* ]]
  cp good "$list"
  stored
  [ $made -eq 0 ]
  "$sign" --any "$list" --key others/livepatch.key --cert others/livepatch.pem
  stored
  [ $made -eq 1 ]
  "$sign" --any "$list" --strip
  stored
  [ $made -eq 1 ]
  # Well signed, and of another cell.
  cp "$(grep -La livepatch-first.ko store/results/* | head -n 1)" "$list"
  stored --store-read-only
  [ $made -eq 1 ]
  [[ $output == *"another's"* ]]
}

@test "a store that is no folder, full, read-only, or away: it is built all the same" {
  sign_programs
  doubles
  "$keys" generate -o keys >/dev/null
  touch none
  store=none stored --store-key keys/livepatch.key
  [ $made -eq 1 ]
  [[ $output == *"the store: "*"none"* ]]
  mkdir store
  if command -v bwrap >/dev/null && bwrap --bind / / true; then
    local without=$fleet
    fleet=$PWD/elsewhere
    printf '#!/bin/sh\nexec bwrap --bind / / --dev /dev --proc /proc %s "%s" "$@"\n' "--size 8192 --tmpfs $PWD/store" "$without" >elsewhere
    chmod +x elsewhere
    stored --store-key keys/livepatch.key
    [ $made -eq 1 ]
    [[ $output == *"the store: "*"No space left on device"* ]]
    printf '#!/bin/sh\nexec bwrap --bind / / --dev /dev --proc /proc %s "%s" "$@"\n' "--ro-bind $PWD/store $PWD/store" "$without" >elsewhere
    stored --store-key keys/livepatch.key
    [ $made -eq 1 ]
    [[ $output == *"the store: "*"Read-only file system"* ]]
    fleet=$without
  fi
  stored --store-read-only
  [ $made -eq 1 ]
  [ -z "$(ls store)" ]
  store=http://127.0.0.1:1/ stored
  [ $made -eq 1 ]
  [[ $output == *"the store: http://127.0.0.1:1/"* ]]
}

@test "a store over HTTP is read; a store is pruned by use, and what is used stays" {
  sign_programs
  doubles
  "$keys" generate -o keys >/dev/null
  stored --store-key keys/livepatch.key
  [ $made -eq 1 ]
  serve store
  store=$url stored
  [ $made -eq 0 ]
  find store -type f -exec touch -d '60 days ago' {} +
  stored
  [ $made -eq 0 ]
  fleet prune --store store --age 30d
  [ "$status" -eq 0 ]
  [ "$(find store/results -type f | wc -l)" -eq 2 ]
  stored
  [ $made -eq 0 ]
  fleet prune --store nowhere --age 30d
  [ "$status" -eq 1 ]
}

# Nothing is asked of it twice in a round: the second cell, and kpatch-build in both, go without.
@test "a store that says nothing, dribbles, breaks off or is broken: it is built all the same, and soon" {
  sign_programs
  doubles
  "$keys" generate -o keys >/dev/null
  stored --store-key keys/livepatch.key
  local fault
  while IFS='|' read -r fault wanted asked; do
    serve store "$fault"
    rm -rf out bin/asked
    SECONDS=0
    ours -j1 --store "$url" --store-timeout 2 --store-cert keys/livepatch.pem first.patch second.patch
    [ "$status" -eq 0 ]
    [ "$(state first)" = built ]
    [ "$SECONDS" -lt 100 ]
    [[ $output == *"the store: $url"*"$wanted"* ]]
    [ "$(grep -c "the store: .*isn't asked again" <<<"$output")" -le 2 ]
    [ "$(if [ -e bin/asked ]; then wc -l <bin/asked; else echo 0; fi)" -eq "$asked" ]
  done <<'FAULTS'
silent|no answer within 2 s|0
trickle|no answer within 2 s|0
cut|ransferred a partial file|2
broken|the server answers 500|2
FAULTS
}

@test "a real kernel: another worker, whose cache lies elsewhere, takes the prepared kernel, and makes the same bytes" {
  sign_programs
  "$keys" generate -o keys >/dev/null
  local team=(--store store --store-cert keys/livepatch.pem)
  use_cache "$PWD/one"
  ours "${team[@]}" --store-key keys/livepatch.key first.patch
  [ "$status" -eq 0 ]
  grep -q 'into the store: the base: ' "out/$release/first/log"
  rm store/results/*
  use_cache "$PWD/here/is/two"
  fleet --kernels "$release" -j1 -o again "${team[@]}" --store-read-only first.patch second.patch
  [ "$status" -eq 0 ]
  for said in 'reading vmlinux' "preparing $release"; do
    cat again/*/*/log | grep -F "$said: from the store"
  done
  cmp "out/$release/first/livepatch-first.ko" "again/$release/first/livepatch-first.ko"
  # No text names the other's, and nothing was made anew in it.
  run ! grep -rIl "$PWD/one" here/is/two/base
  [ -z "$(find here/is/two/base/*/kbuild -type f -newer here/is/two/base/*/complete)" ]
  # What anybody may have changed isn't used.
  find store/files -type f -exec sh -c 'head -c 1000 "$1" >torn && cat torn >"$1"' _ {} \;
  use_cache "$PWD/three"
  fleet --kernels "$release" -o third "${team[@]}" --store-read-only first.patch
  [ "$status" -eq 0 ]
  grep -q "isn't what it was; the base is made here" "third/$release/first/log"
  cmp "out/$release/first/livepatch-first.ko" "third/$release/first/livepatch-first.ko"
}

# objects NAME STORAGE: a worker's build, with an empty ccache of its own beside what they share; sets hits.
objects() {
  rm -rf "$KPATCH_CACHE"/base/*/objects
  fleet --kernels "$release" -o "$1" \
    --compiler-launcher "env CCACHE_DIR=$PWD/ccache-$1 'CCACHE_REMOTE_STORAGE=$2' ccache" first.patch
  [ "$status" -eq 0 ]
  cmp "plain/$release/first/livepatch-first.ko" "$1/$release/first/livepatch-first.ko"
  hits=$(CCACHE_DIR=$PWD/ccache-$1 ccache --print-stats | awk '$1 == "remote_storage_hit" { print $2 }')
  CCACHE_DIR=$PWD/ccache-$1 ccache --print-stats | grep -E '^(remote|cache_miss|direct|prepro)' || true
}

@test "objects through ccache: a worker takes what another one compiled from Redis, or over HTTP; the bytes are the same" {
  command -v ccache >/dev/null || skip_package "ccache isn't installed"
  command -v redis-server >/dev/null || skip_package "redis-server isn't installed"
  use_cache "$PWD/cache"
  fleet --kernels "$release" -o plain first.patch
  [ "$status" -eq 0 ]
  local port
  for _ in {1..5}; do
    port=$((20000 + RANDOM % 10000))
    redis-server --bind 127.0.0.1 --port $port --unixsocket "$PWD/redis" --save '' --dir "$PWD" >redis.log 2>&1 3>&- &
    server=$!
    for _ in {1..50}; do [ ! -S redis ] || break 2; sleep 0.1; done
  done
  objects one "redis://127.0.0.1:$port"
  [ "$hits" -eq 0 ]
  objects two "redis://127.0.0.1:$port"
  [ "$hits" -ge 2 ]
  objects three "redis+unix:$PWD/redis"
  [ "$hits" -ge 2 ]
  mkdir objects
  serve objects
  objects four "$url"
  [ "$hits" -eq 0 ]
  objects five "$url"
  [ "$hits" -ge 2 ]
  # Nobody is there, or says something.
  objects six "redis://127.0.0.1:1"
  serve objects silent
  objects seven "$url|operation-timeout=500"
}
