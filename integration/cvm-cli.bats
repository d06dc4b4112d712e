#!/usr/bin/env bats
# cvm-cli, and what it does when the agent refuses, is slow, busy, or the connection breaks: agent-double.py.

bats_require_minimum_version 1.5.0

load skip.bash
load sign.bash

setup_file() {
  sign_programs
  make_module "$BATS_FILE_TMPDIR/fix.ko" livepatch=Y
  make_module "$BATS_FILE_TMPDIR/driver.ko" license=GPL
  for name in agent other; do
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$name" -keyout "$BATS_FILE_TMPDIR/$name.key" \
      -out "$BATS_FILE_TMPDIR/$name.crt" 2>/dev/null
  done
}

setup() {
  sign_programs
  cvm=${sign%/sign/*}/deploy/cvm-cli
  [ -x "$cvm" ] || skip_package "built without libcurl"
  command -v python3 >/dev/null || skip_package "python3 is missing"
  cd "$BATS_TEST_TMPDIR" || return 1
  cp "$BATS_FILE_TMPDIR"/*.ko .
  mkdir _artifacts
  printf 127.0.0.1 >_artifacts/gcp_my-vm_ip
  printf 0123456789abcdef >_artifacts/gcp_my-vm_token
  unset ARTIFACT_DIR
}

teardown() {
  [ ! -e double.pid ] || kill "$(cat double.pid)"
}

# double SCENARIO [FOLDER]: listens from here on; sets port.
double() {
  folder=${2:-served}
  mkdir -p "$folder"
  python3 "$BATS_TEST_DIRNAME/agent-double.py" "$BATS_FILE_TMPDIR/agent.crt" "$BATS_FILE_TMPDIR/agent.key" "$folder" "$1" \
    2>double.err 3>&- &
  echo $! >double.pid
  for _ in $(seq 100); do
    [ ! -e "$folder/port" ] || break
    sleep 0.1
  done
  port=$(cat "$folder/port")
}

livepatch() {
  run --separate-stderr "$cvm" livepatch gcp my-vm fix.ko --cacert "$BATS_FILE_TMPDIR/agent.crt" --port "$port" "$@"
  printf 'exit %s\n%s\n%s\n' "$status" "$output" "$stderr"
}
posts() { grep -c '"line": "POST ' "$folder/log" || true; }

@test "the guide from keys to the VM" {
  "$cvm" generate-livepatch-keys
  [ "$(stat -c %a secure_boot/livepatch.key)" = 600 ]
  [ -e secure_boot/livepatch.pem ]
  [ -e secure_boot/livepatch.crt ]
  [[ $(openssl x509 -inform DER -in secure_boot/livepatch.crt -noout -subject) == *"Livepatch Key" ]]
  "$cvm" sign-livepatch "$PWD/fix.ko"
  "$sign" --verify fix.ko --cert secure_boot/livepatch.crt
  double ok
  livepatch
  [ "$status" -eq 0 ]
  [[ $output == *"measured into PCR 16"*"Livepatch fix.ko is in effect on my-vm."* ]]
  cmp fix.ko served/got
}

@test "keys that are there stay; new ones take a stale blob of firmware away" {
  mkdir secure_boot
  touch secure_boot/aws-uefi-blob.bin
  "$cvm" generate-livepatch-keys --type p384
  [ ! -e secure_boot/aws-uefi-blob.bin ]
  touch secure_boot/aws-uefi-blob.bin
  cp -r secure_boot before
  run "$cvm" generate-livepatch-keys
  [ "$status" -eq 0 ]
  [[ $output == *already* ]]
  diff -r secure_boot before
  "$cvm" generate-livepatch-keys --type p384 --force
  run ! cmp -s secure_boot/livepatch.key before/livepatch.key
}

@test "signing without keys, without a module, of what is no livepatch: exit 1, and what to do" {
  run --separate-stderr "$cvm" sign-livepatch
  [ "$status" -eq 1 ]
  [[ $stderr == *usage* ]]
  run --separate-stderr "$cvm" sign-livepatch fix.ko
  [ "$status" -eq 1 ]
  [[ $stderr == *"cvm-cli generate-livepatch-keys"*"deployed again"* ]]
  "$cvm" generate-livepatch-keys --type p384
  run --separate-stderr "$cvm" sign-livepatch driver.ko
  [ "$status" -eq 1 ]
  "$cvm" sign-livepatch driver.ko --any
}

@test "missing files and wrong words are told, exit 1" {
  rm _artifacts/gcp_my-vm_token
  run --separate-stderr "$cvm" livepatch gcp my-vm fix.ko
  [ "$status" -eq 1 ]
  [[ $stderr == *_artifacts/gcp_my-vm_token* ]]
  run --separate-stderr "$cvm" livepatch gcp other fix.ko
  [[ $stderr == *_artifacts/gcp_other_ip* ]]
  for line in '' livepatch 'livepatch gcp' 'livepatch moon my-vm fix.ko' 'livepatch gcp ../x fix.ko' 'livepatch gcp my-vm none.ko' \
    'dance' 'livepatch gcp my-vm fix.ko --port 0'; do
    # shellcheck disable=SC2086  # words
    run --separate-stderr "$cvm" $line
    [ "$status" -eq 1 ] || { echo "$line: $status"; return 1; }
  done
}

@test "a provider, and an address, that can't be one: exit 1, at once" {
  for provider in ibm ssh; do
    run --separate-stderr "$cvm" livepatch $provider my-vm fix.ko
    [ "$status" -eq 1 ]
    [ "$stderr" = "error: $provider: the provider is aws, gcp or azure" ]
  done
  echo 'x y' >_artifacts/gcp_my-vm_ip
  run --separate-stderr timeout 5 "$cvm" livepatch gcp my-vm fix.ko
  [ "$status" -eq 1 ]
  [ "$stderr" = "error: _artifacts/gcp_my-vm_ip: \"x y\" is no address and no host's name" ]
}

@test "the request is the guide's: one bearer, one part named file, the file's name; ARTIFACT_DIR is looked at" {
  mv _artifacts elsewhere
  echo >>elsewhere/gcp_my-vm_token
  export ARTIFACT_DIR=elsewhere
  double ok
  livepatch
  [ "$status" -eq 0 ]
  python3 - served/log <<'PYTHON'
import json, sys
(post,) = [request for request in map(json.loads, open(sys.argv[1])) if request["line"].startswith("POST")]
assert post["line"] == "POST /livepatch HTTP/1.1", post
headers = post["headers"]
assert [value for name, value in headers if name == "authorization"] == ["Bearer 0123456789abcdef"], headers
assert dict(headers)["host"].startswith("127.0.0.1:")
assert dict(headers)["content-type"].startswith("multipart/form-data; boundary=")
assert post["parts"] == [["file", "fix.ko"]], post
PYTHON
}

@test "another certificate is refused before the token leaves; --insecure takes it; one beside the token is looked at" {
  double ok
  for certificate in "--cacert $BATS_FILE_TMPDIR/other.crt" ''; do
    # shellcheck disable=SC2086  # words
    run --separate-stderr "$cvm" livepatch gcp my-vm fix.ko --port "$port" $certificate
    [ "$status" -eq 3 ]
    [[ $stderr == *certificate* ]]
    [ ! -e served/log ]
  done
  "$cvm" livepatch gcp my-vm fix.ko --port "$port" --insecure
  openssl x509 -in "$BATS_FILE_TMPDIR/agent.crt" -outform DER -out _artifacts/gcp_my-vm_cert
  "$cvm" livepatch gcp my-vm fix.ko --port "$port"
}

@test "an authority's certificate must be the host's" {
  cd "$BATS_TEST_TMPDIR"
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.crt 2>/dev/null
  for name in IP:127.0.0.1 DNS:example.org; do
    openssl req -newkey rsa:2048 -nodes -subj "/CN=x" -keyout vm.key -out vm.csr 2>/dev/null
    openssl x509 -req -in vm.csr -CA ca.crt -CAkey ca.key -days 2 -extfile <(echo "subjectAltName=$name") -out vm.crt 2>/dev/null
    rm -rf served
    mkdir served
    python3 "$BATS_TEST_DIRNAME/agent-double.py" vm.crt vm.key served ok 2>/dev/null 3>&- &
    echo $! >double.pid
    for _ in $(seq 100); do [ -e served/port ] || sleep 0.1; done
    run --separate-stderr "$cvm" livepatch gcp my-vm fix.ko --port "$(cat served/port)" --cacert ca.crt
    kill "$(cat double.pid)"
    rm double.pid
    case $name in
      IP:*) [ "$status" -eq 0 ] ;;
      *) [ "$status" -eq 3 ] && [ ! -e served/log ] ;;
    esac
  done
}

@test "the token is in no command line" {
  double slow
  "$cvm" livepatch gcp my-vm fix.ko --port "$port" --insecure 3>&- &
  client=$!
  sleep 2
  tr '\0' ' ' <"/proc/$client/cmdline" >shown
  wait $client
  grep -q livepatch shown
  run ! grep -q 0123456789abcdef shown
}

@test "refusals are shown with the agent's words, and by the exit code" {
  for code in 401 403 413 422; do
    double "status:$code" "served-$code"
    livepatch
    kill "$(cat double.pid)"; rm double.pid
    [ "$status" -eq 2 ]
    [[ $stderr == "Error (status $code): the double says $code"* && $stderr != *$'\e'* ]]
    [ "$(posts)" -eq 1 ]
  done
  double status:500 served-500
  livepatch
  [ "$status" -eq 4 ]
  [[ $stderr == "Error (status 500): the double says 500"* ]]
  [ "$(posts)" -eq 1 ]
}

@test "a slow answer is waited for, as long as --timeout says" {
  double slow
  livepatch
  [ "$status" -eq 0 ]
  livepatch --timeout 2
  [ "$status" -eq 5 ]
}

@test "busy, and a connection that breaks before the body: tried again" {
  double busy:503,busy:429,cut-before,ok
  livepatch
  [ "$status" -eq 0 ]
  [ "$(posts)" -eq 4 ]
  cmp fix.ko served/got
}

@test "a connection that breaks after the body, or in it: never sent again" {
  for step in cut-after cut-middle; do
    double "$step,ok" "served-$step"
    livepatch
    kill "$(cat double.pid)"; rm double.pid
    [ "$status" -eq 5 ]
    [[ $stderr == *"look on the machine"* ]]
    [ "$(posts)" -eq 1 ]
  done
}

@test "our own agent is asked what became of it after a break" {
  double ours-loads,cut-after served-loads
  livepatch
  kill "$(cat double.pid)"; rm double.pid
  [ "$status" -eq 0 ]
  [ "$(posts)" -eq 1 ]
  double ours,cut-after
  livepatch
  [ "$status" -eq 4 ]
  [ "$(posts)" -eq 1 ]
}

@test "what is in effect already isn't sent" {
  double ours,ok
  livepatch
  livepatch
  [ "$status" -eq 0 ]
  [[ $output == *already* ]]
  [ "$(posts)" -eq 1 ]
}

@test "nobody listens: exit 3" {
  double ok
  kill "$(cat double.pid)"; rm double.pid
  livepatch
  [ "$status" -eq 3 ]
}

@test "--measurements fetches both; where there are none the exit code says that the patch is in effect" {
  double ok measures
  livepatch --measurements
  [ "$status" -eq 0 ]
  grep -q offchain _artifacts/golden-measurements/offchain/gcp-my-vm.json
  grep -q onchain _artifacts/golden-measurements/onchain/gcp-my-vm.json
  kill "$(cat double.pid)"; rm double.pid
  double ok
  livepatch --measurements
  [ "$status" -eq 6 ]
}
