#!/usr/bin/env bats
# kpatch-agent over real TLS, with a double of kpatch in the place of a kernel: who gets in, what is loaded, and what the
# agent leaves behind when connections break, disks fill and forms are hostile.

bats_require_minimum_version 1.5.0

load skip.bash
load sign.bash
load agents.bash

setup_file() {
  sign_programs
  for name in one two three four five six seven eight; do
    make_module "$BATS_FILE_TMPDIR/$name.ko" livepatch=Y
  done
  make_module "$BATS_FILE_TMPDIR/driver.ko" license=GPL
  make_module "$BATS_FILE_TMPDIR/stacked.ko" livepatch=Y 'kpatch_options=--non-replace --full'
  make_module "$BATS_FILE_TMPDIR/elsewhere.ko" livepatch=Y
  sed -i "s/vermagic=[^ ]* /vermagic=$(uname -r | sed 's/./9/g') /" "$BATS_FILE_TMPDIR/elsewhere.ko"
  "$keys" generate -o "$BATS_FILE_TMPDIR/keys" --type p384
  "$keys" generate -o "$BATS_FILE_TMPDIR/other" --type p384
  for name in "$BATS_FILE_TMPDIR"/*.ko; do
    "$sign" --any "$name" --key "$BATS_FILE_TMPDIR/keys/livepatch.key" --cert "$BATS_FILE_TMPDIR/keys/livepatch.crt"
  done
  agent_config
}

setup() {
  sign_programs
  agent=${sign%/sign/*}/agent/kpatch-agent
  cvm=${sign%/sign/*}/deploy/cvm-cli
  [ -x "$agent" ] || skip_package "built without libmicrohttpd"
  command -v python3 >/dev/null || skip_package "python3 is missing"
  cd "$BATS_TEST_TMPDIR" || return 1
  config=$BATS_FILE_TMPDIR/config
  modules=$BATS_FILE_TMPDIR
  state=$PWD/state
  mkdir double
  touch double/log
  export KPATCH_DOUBLE=$PWD/double TOKEN=secret
  unset HEADERS
}

teardown() {
  [ ! -e agent.pid ] || kill "$(cat agent.pid)" 2>/dev/null || true
  if mountpoint -q state 2>/dev/null; then
    wait
    umount state
  fi
}

# start [OPTION…]: the agent listens from here on; sets port.
start() {
  run_agent 127.0.0.1:0 "$BATS_TEST_DIRNAME/kpatch-double" "$@"
  [ -n "$port" ] || { cat agent.err; return 1; }
}

stop() {
  kill "$(cat agent.pid)"
  for _ in $(seq 50); do kill -0 "$(cat agent.pid)" 2>/dev/null || break; sleep 0.1; done
  rm agent.pid agent.err
}

# post STATUS HOW [FILE]
post() {
  local expected=$1
  shift
  run python3 "$BATS_TEST_DIRNAME/agent-post.py" "$port" "$@"
  [ "${lines[0]}" = "$expected" ] || { echo "$*: $output"; cat agent.err; return 1; }
}

loads() { grep -c '^loaded ' double/log || true; }
# Nothing of what was sent is left.
nothing_left() { [ -z "$(find "$state/incoming" -type f)" ]; }

@test "a form and a plain body are loaded, and told in words or as JSON" {
  start
  post 200 form "$modules/one.ko"
  [[ $output == *"Livepatch successfully applied and measured."* ]]
  HEADERS='Accept: application/json' post 200 raw "$modules/two.ko"
  [[ $output == *'"outcome": "loaded"'* && $output == *'"name": "two"'* ]]
  post 200 chunked "$modules/three.ko"
  post 200 other-first "$modules/four.ko"
  [ "$(grep '^loaded' double/log | cut -d' ' -f2 | tr '\n' ' ')" = "one two three four " ]
  # The bytes are those that were sent.
  [ "$(grep '^loaded one' double/log | cut -d' ' -f3)" = "$(sha256sum <"$modules/one.ko" | cut -c1-64)" ]
  nothing_left
}

@test "the guide's client loads it, and what is in effect isn't sent again" {
  [ -x "$cvm" ] || skip_package "built without libcurl"
  start --pcr 16 --pcr-program "$(command -v true)"
  mkdir _artifacts
  printf 127.0.0.1 >_artifacts/gcp_vm_ip
  printf secret >_artifacts/gcp_vm_token
  cp "$config/tls.crt" _artifacts/gcp_vm_cert
  run "$cvm" livepatch gcp vm "$modules/one.ko" --port "$port" --measurements
  [ "$status" -eq 0 ]
  [[ $output == *"Livepatch successfully applied and measured into PCR 16."* ]]
  [ -s _artifacts/golden-measurements/onchain/gcp-vm.json ]
  run "$cvm" livepatch gcp vm "$modules/one.ko" --port "$port"
  [[ $output == *"in effect already"* ]]
  [ "$(loads)" -eq 1 ]
  printf wrong >_artifacts/gcp_vm_token
  run "$cvm" livepatch gcp vm "$modules/two.ko" --port "$port"
  [ "$status" -eq 2 ]
}

@test "only the token opens, for each route that does or tells something; measurements are for everybody" {
  start
  for TOKEN in '' wrong secre secrett 'secret ' "$(cat "$config/token_hash")"; do
    export TOKEN
    post 401 form "$modules/one.ko"
    post 401 get:/livepatch
    post 200 get:/onchain/golden-measurement
  done
  TOKEN='' HEADERS='Authorization: Basic secret' post 401 form "$modules/one.ko"
  [ "$(loads)" -eq 0 ]
  post 404 get:/
  post 404 get:/livepatch/../etc/passwd
  post 405 method:DELETE
  TOKEN=secret post 200 get:/livepatch
}

@test "TLS is spoken, and nothing else; plain HTTP for this machine alone" {
  start
  post cut plain
  run "$agent" --config "$config" --state "$state" --no-tls
  [ "$status" -eq 1 ]
  [[ $output == *"can be reached from elsewhere"* ]]
  stop
  start --no-tls
  post 401 plain
}

@test "unsigned, signed by another, changed: refused before anything is measured" {
  start
  "$sign" --strip "$modules/one.ko" -o unsigned.ko
  "$sign" "$modules/one.ko" -o other.ko --key "$modules/other/livepatch.key" --cert "$modules/other/livepatch.crt"
  flip "$modules/one.ko" 100 changed.ko
  cp "$modules/one.ko" junk.ko
  echo junk >>junk.ko
  head -c 500 "$modules/one.ko" >cut.ko
  for module in unsigned other changed junk cut; do
    post 403 form $module.ko
  done
  [[ $output == *"is not signed"* ]]
  [ "$(loads)" -eq 0 ]
  [ ! -e "$state/events.jsonl" ]
  nothing_left
}

@test "what is signed and no livepatch for this kernel, or doesn't replace, is refused" {
  start
  post 422 form "$modules/driver.ko"
  [[ $output == *"is no livepatch"* ]]
  post 422 form "$modules/elsewhere.ko"
  [[ $output == *"and $(uname -r) runs"* ]]
  post 422 form "$modules/stacked.ko"
  echo text >text
  "$sign" --any text --key "$modules/keys/livepatch.key" --cert "$modules/keys/livepatch.crt"
  post 422 form text
  [[ $output != *"$state"* ]]
  [ "$(loads)" -eq 0 ]
  [ ! -e "$state/events.jsonl" ]
  stop
  start --non-replace
  post 200 form "$modules/stacked.ko"
}

@test "measured before it is loaded; the log is what the registers are replayed from" {
  echo 'cp "$KPATCH_DOUBLE/../state/events.jsonl" "$KPATCH_DOUBLE/seen"; echo "$1" >>"$KPATCH_DOUBLE/extended"' >extend
  sed -i '1i #!/bin/sh' extend
  chmod +x extend
  start --pcr 14 --pcr-program "$PWD/extend"
  post 200 form "$modules/one.ko"
  one=$(sha256sum <"$modules/one.ko" | cut -c1-64)
  [ "$(cat double/extended)" = "14:sha256=$one" ]
  [[ $(cat double/seen) == *'"event":"measured"'*"$one"* ]]
  post 200 form "$modules/two.ko"
  two=$(sha256sum <"$modules/two.ko" | cut -c1-64)
  expected=$(python3 -c 'import hashlib, sys
value = bytes(32)
for digest in sys.argv[1:]: value = hashlib.sha256(value + bytes.fromhex(digest)).digest()
print(value.hex())' "$one" "$two")
  post 200 get:/offchain/golden-measurement
  [[ $output == *"$expected"* ]]
  post 200 get:/onchain/golden-measurement
  [[ $output == *"0x$expected"* ]]
}

# An ordinary file stands for the kernel's, which keeps no more than the last write.
@test "a register of TDX is extended before the load, or nothing is loaded" {
  : >rtmr
  start --rtmr "$PWD/rtmr"
  post 200 form "$modules/one.ko"
  [ "$(od -An -v -tx1 rtmr | tr -d ' \n')" = "$(sha384sum <"$modules/one.ko" | cut -c1-96)" ]
  jq -es --arg digest "$(sha384sum <"$modules/one.ko" | cut -c1-96)" '.[0] | .event == "measured" and .sha384 == $digest' "$state/events.jsonl"
  # A kernel without it.
  rm rtmr
  post 500 form "$modules/two.ko"
  [[ $output == *"$PWD/rtmr can't be extended: No such file"*"isn't loaded"* ]]
  [ ! -e rtmr ]
  [ "$(loads)" -eq 1 ]
}

@test "what can't be measured isn't loaded" {
  start --pcr 16 --pcr-program "$(command -v false)"
  post 500 form "$modules/one.ko"
  [[ $output == *"PCR 16 can't be extended"* ]]
  [ "$(loads)" -eq 0 ]
}

@test "the same bytes twice are loaded once; other bytes in between, again" {
  start
  post 200 form "$modules/one.ko"
  post 200 raw "$modules/one.ko"
  [[ $output == *"in effect already"* ]]
  [ "$(loads)" -eq 1 ]
  post 200 get:/livepatch
  [[ $output == *"$(sha256sum <"$modules/one.ko" | cut -c1-64)"* && $output == *'"busy": false'* ]]
  post 200 form "$modules/two.ko"
  post 200 form "$modules/one.ko"
  [ "$(loads)" -eq 3 ]
  # By hand, and with another start of the agent.
  stop
  start
  post 200 form "$modules/one.ko"
  [ "$(loads)" -eq 3 ]
  rm double/loaded
  post 200 form "$modules/one.ko"
  [ "$(loads)" -eq 4 ]
}

@test "a digest that comes with it must be its own" {
  start
  HEADERS="X-Kpatch-Digest: sha256:$(sha256sum <"$modules/two.ko" | cut -c1-64)" post 400 form "$modules/one.ko"
  HEADERS="X-Kpatch-Digest: sha256:$(sha256sum <"$modules/one.ko" | cut -c1-64)" post 200 form "$modules/one.ko"
  [ "$(loads)" -eq 1 ]
}

@test "posts at the same time: one after the other, and the same bytes once" {
  echo 1 >double/slow
  start
  n=1
  for name in one one two three; do
    python3 "$BATS_TEST_DIRNAME/agent-post.py" "$port" form "$modules/$name.ko" >"answer-$n" 3>&- &
    n=$((n + 1))
    clients+=($!)
  done
  sleep 0.7
  post 200 get:/livepatch
  [[ $output == *'"busy": true'* ]]
  wait "${clients[@]}"
  for i in 1 2 3 4; do [ "$(head -n 1 answer-$i)" = 200 ] || { head answer-*; return 1; }; done
  # Never two at a time.
  awk '/^begin/ { if (open++) exit 1 } /^loaded/ { open-- }' double/log
  [ "$(loads)" -ge 3 ]
  [ "$(loads)" -le 4 ]
}

@test "more than a few that wait are sent away, and may come again" {
  echo 2 >double/slow
  start
  for name in one two three four five six seven; do
    python3 "$BATS_TEST_DIRNAME/agent-post.py" "$port" form "$modules/$name.ko" >"answer-$name" 3>&- &
    clients+=($!)
  done
  wait "${clients[@]}"
  head -qn 1 answer-* | sort | uniq -c | awk '$2 == 200 { good = $1 } $2 == 503 { busy = $1 } END { exit !(good == 4 && busy == 3) }' ||
    { head answer-*; return 1; }
}

@test "the kernel refuses, the health command fails: what ran before runs, and the answer says so" {
  cat >healthy <<'SCRIPT'
#!/bin/sh
echo "$KPATCH_MODULE looks bad"
[ "$KPATCH_MODULE" != two ] && [ "$KPATCH_MODULE" != three ]
SCRIPT
  chmod +x healthy
  start --health "$PWD/healthy"
  HEADERS='Accept: application/json' post 500 form "$modules/two.ko"
  [[ $output == *'"outcome": "put back"'*"two looks bad"* || $output == *"two looks bad"*'"put back"'* ]]
  [ "$(tail -n 1 double/log)" = "unloaded two" ]
  printf foreign >double/loaded
  post 500 form "$modules/three.ko"
  [[ $output == *"What ran before, foreign, wasn't loaded by this agent"* ]]
  post 200 form "$modules/one.ko"
  post 500 form "$modules/three.ko"
  [[ $output == *"one runs again"* ]]
  [[ $(tail -n 1 double/log) == "loaded one "* ]]
  post 200 get:/livepatch
  [[ $output == *"$(sha256sum <"$modules/one.ko" | cut -c1-64)"* ]]
  echo 2 >double/fail
  post 500 form "$modules/four.ko"
  [[ $output == *"told so"* ]]
  post 200 form "$modules/one.ko"
  [[ $output == *already* ]]
}

@test "a connection that breaks in the body changes nothing; one that breaks behind it doesn't stop the load" {
  start
  for percent in 0 1 30 99; do python3 "$BATS_TEST_DIRNAME/agent-post.py" "$port" cut:$percent "$modules/one.ko"; done
  post 200 get:/livepatch
  sleep 1
  [ "$(loads)" -eq 0 ]
  nothing_left
  echo 1 >double/slow
  python3 "$BATS_TEST_DIRNAME/agent-post.py" "$port" cut:100 "$modules/one.ko"
  sleep 2.5
  [ "$(loads)" -eq 1 ]
  post 200 form "$modules/one.ko"
  [ "$(loads)" -eq 1 ]
}

@test "a load that has begun is finished when the agent is stopped" {
  echo 2 >double/slow
  start
  python3 "$BATS_TEST_DIRNAME/agent-post.py" "$port" form "$modules/one.ko" >answer 3>&- &
  client=$!
  sleep 1
  kill "$(cat agent.pid)"
  wait $client || true
  for _ in $(seq 50); do kill -0 "$(cat agent.pid)" 2>/dev/null || break; sleep 0.1; done
  [ "$(loads)" -eq 1 ]
  grep -q '"event":"loaded"' "$state/events.jsonl"
}

@test "100 MB: refused by what is announced, cut off where nothing is, never held in memory" {
  start --max-size 1048576
  post 413 announced:104857600
  post 413 announced:99999999999999999999999999
  run python3 "$BATS_TEST_DIRNAME/agent-post.py" "$port" endless:100
  [ "${lines[0]}" = 413 ] || [ "${lines[0]}" = cut ]
  nothing_left
  head -c 1048577 /dev/zero >large
  post 413 form large
  post 413 raw large
  stop
  start --max-size 1073741824
  # Nearly all of it has come, and none of it is looked at yet.
  mkfifo go
  python3 "$BATS_TEST_DIRNAME/agent-post.py" "$port" stalled:100 <go >answer 3>&- &
  client=$!
  exec 4>go
  for _ in $(seq 300); do
    [ "$(find "$state/incoming" -type f -size +95M | wc -l)" -eq 0 ] || break
    sleep 0.1
  done
  find "$state/incoming" -type f -size +95M | grep .
  peak=$(awk '/^VmHWM/ { print $2 }' "/proc/$(cat agent.pid)/status")
  exec 4>&-
  wait $client
  echo "peak: $peak KB"
  [ "$peak" -lt 40960 ]
  sleep 1
  nothing_left
}

@test "hostile forms are refused, and leave nothing" {
  start
  for how in two-files no-file empty-file empty base64 no-end no-boundary other-boundary long-boundary nul garbage; do
    post 400 $how "$modules/one.ko"
  done
  post 415 text "$modules/one.ko"
  run python3 "$BATS_TEST_DIRNAME/agent-post.py" "$port" long-header
  [ "${lines[0]}" != 200 ]
  [ "$(loads)" -eq 0 ]
  nothing_left
  post 200 form "$modules/one.ko"
}

# KPATCH_TEST_GUIDE_SCRIPTS is the folder scripts/ of the guide's own client, as it is; none of it is kept here.
@test "the guide's own client, unchanged: loads, says so, and fetches both measurements" {
  [ -x "${KPATCH_TEST_GUIDE_SCRIPTS:-}/livepatch.sh" ] || skip_optional "KPATCH_TEST_GUIDE_SCRIPTS names no folder with livepatch.sh"
  run_agent 127.0.0.1:8000 "$BATS_TEST_DIRNAME/kpatch-double"
  grep -q 127.0.0.1:8000 agent.err || skip_machine "port 8000 is taken"
  mkdir _artifacts
  printf 127.0.0.1 >_artifacts/gcp_vm_ip
  printf secret >_artifacts/gcp_vm_token
  run "$KPATCH_TEST_GUIDE_SCRIPTS/livepatch.sh" gcp vm "$modules/one.ko"
  echo "$output"
  [ "$status" -eq 0 ]
  [[ $output == *"Livepatch successfully deployed to vm (gcp)."*"Both offchain and onchain golden measurements retrieved successfully."* ]]
  [ "$(loads)" -eq 1 ]
  jq -e .golden_measurement _artifacts/golden-measurements/offchain/gcp-vm.json
  jq -e .golden_measurement _artifacts/golden-measurements/onchain/gcp-vm.json
  printf wrong >_artifacts/gcp_vm_token
  run "$KPATCH_TEST_GUIDE_SCRIPTS/livepatch.sh" gcp vm "$modules/two.ko"
  [ "$status" -eq 1 ]
  [[ $output == *"Error (status 401)"* ]]
  [ "$(loads)" -eq 1 ]
}

# What kpatch began goes on in the kernel, killed or not (faults-run): to the next kpatch it is loaded already.
@test "an agent that is killed in the middle of a load: the next one knows nothing of it, and loads once" {
  start
  echo 3 >double/slow
  python3 "$BATS_TEST_DIRNAME/agent-post.py" "$port" form "$modules/one.ko" >post.out 2>&1 3>&- &
  client=$!
  for _ in $(seq 100); do ! grep -q '^begin one' double/log || break; sleep 0.1; done
  kill -KILL "$(cat agent.pid)"
  wait $client || true
  rm agent.pid agent.err
  sleep 4
  [ "$(loads)" -le 1 ]
  rm double/slow
  start
  nothing_left
  post 200 form "$modules/one.ko"
  [ "$(loads)" -eq 1 ]
  post 200 get:/livepatch
  [[ $output == *"$(sha256sum <"$modules/one.ko" | cut -c1-64)"* ]]
  post 200 form "$modules/one.ko"
  [ "$(loads)" -eq 1 ]
}

@test "a full disk: 507, nothing is loaded, and later everything works" {
  [ "$(id -u)" -eq 0 ] || skip_machine "not root"
  mkdir state
  mount -t tmpfs -o size=128k tmpfs state 2>/dev/null || skip_machine "tmpfs can't be mounted"
  start
  head -c 1000000 /dev/zero >large
  post 507 form large
  nothing_left
  # Room for the module, and none for the log of what was measured.
  head -c "$(($(df --output=avail -B1 state | tail -n 1) - 8192))" /dev/zero >state/filler
  post 507 form "$modules/one.ko"
  [ "$(loads)" -eq 0 ]
  rm state/filler
  post 200 form "$modules/one.ko"
}

@test "bad command lines and configurations end it at once, with what is wrong" {
  mkdir empty
  for line in "--config empty" "--config $config --pcr 99" "--config $config --max-size 0" "--config $config --listen here" \
    "--config $config --listen 300.1.1.1:1" "--config $config extra" "--config $config --token-hash $config/tls.crt" \
    "--config $config --cert $config/tls.key" "--config $config --tls-key $config/livepatch.crt" "--unknown"; do
    # shellcheck disable=SC2086  # words
    run timeout 10 "$agent" --state "$state" --listen 127.0.0.1:0 $line
    [ "$status" -eq 1 ] || { echo "$line: $status $output"; return 1; }
    [[ $output == *error:* ]]
  done
}
