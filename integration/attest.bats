#!/usr/bin/env bats
# kpatch-agent with a real TPM 2.0 (swtpm), and kpatch-attest, which replays its log against the TPM's quote.

bats_require_minimum_version 1.5.0

load skip.bash
load sign.bash
load agents.bash

setup_file() {
  sign_programs
  for name in one two three; do make_module "$BATS_FILE_TMPDIR/$name.ko" livepatch=Y; done
  "$keys" generate -o "$BATS_FILE_TMPDIR/keys" --type p384
  for name in one two three; do
    "$sign" "$BATS_FILE_TMPDIR/$name.ko" --key "$BATS_FILE_TMPDIR/keys/livepatch.key" --cert "$BATS_FILE_TMPDIR/keys/livepatch.crt"
  done
  agent_config
}

setup() {
  sign_programs
  attest=${sign%/sign/*}/attest/kpatch-attest
  agent=${sign%/sign/*}/agent/kpatch-agent
  [ -x "$attest" ] || skip_package "built without OpenSSL"
  cd "$BATS_TEST_TMPDIR" || return 1
  modules=$BATS_FILE_TMPDIR
}

teardown() {
  local pid
  for pid in agent.pid tpm.pid; do [ ! -e $pid ] || kill "$(cat $pid)" 2>/dev/null || true; done
}

# A TPM, an attestation key in it, and an agent that extends its PCR 14; sets port.
start() {
  [ -x "$agent" ] || skip_package "built without libmicrohttpd"
  for program in swtpm:swtpm tpm2_quote:tpm2-tools python3:python3; do
    command -v "${program%:*}" >/dev/null || skip_package "${program#*:} is missing"
  done
  mkdir tpm double
  touch double/log
  for _ in 1 2 3; do
    tpm_port=$((20000 + RANDOM % 20000))
    swtpm socket --tpm2 --tpmstate dir="$PWD/tpm" --server type=tcp,port=$tpm_port --ctrl type=tcp,port=$((tpm_port + 1)) \
      --flags not-need-init >tpm.log 2>&1 3>&- &
    echo $! >tpm.pid
    sleep 1
    ! kill -0 "$(cat tpm.pid)" 2>/dev/null || break
  done
  export TPM2TOOLS_TCTI=swtpm:host=127.0.0.1,port=$tpm_port KPATCH_DOUBLE=$PWD/double TOKEN=secret
  tpm2_startup -c
  tpm2_createek -c ek.ctx -G ecc -u ek.pub >/dev/null
  tpm2_createak -C ek.ctx -c ak.ctx -G "${1:-ecc}" -g sha256 -s "${2:-ecdsa}" -u ak.pem -f pem -n ak.name >/dev/null
  tpm2_flushcontext -t
  # Looks at the register when the kernel would get the module.
  cat >kpatch-watch <<SH
#!/bin/bash
[ "\$1" != load ] || tpm2_pcrread sha256:14 >"$PWD/pcr-at-load"
exec "$BATS_TEST_DIRNAME/kpatch-double" "\$@"
SH
  chmod +x kpatch-watch
  run_agent 127.0.0.1:0 "$PWD/kpatch-watch" --pcr 14
  [ -n "$port" ] || { cat agent.err; return 1; }
}

post() {
  run python3 "$BATS_TEST_DIRNAME/agent-post.py" "$port" form "$modules/$1.ko"
  [ "${lines[0]}" = 200 ] || { echo "$output"; cat agent.err; return 1; }
}
quote() { tpm2_quote -c ak.ctx -l sha256:14 -q "$1" -m quote -s signature -o pcrs -g sha256 >/dev/null; }
verify() {
  run "$attest" verify --key ak.pem --quote quote --signature signature --nonce "${nonce:-0123456789abcdef}" \
    --events "${log:-state/events.jsonl}" --allow "${allow:-allow}" "$@"
}
allow() { for name in "$@"; do (cd "$modules" && sha256sum "$name.ko"); done >allow; }

@test "measured in a TPM before it is loaded, quoted, replayed; expected in advance" {
  start
  post one
  before=$(sed -n 's/ *14: 0x//p' pcr-at-load | tr A-F a-f)
  [ "$before" = "$("$attest" expect "$modules/one.ko" | jq -r '.[0].pcr')" ]
  post two
  [ "$(tpm2_pcrread sha256:14 | sed -n 's/ *14: 0x//p' | tr A-F a-f)" = "$("$attest" expect "$modules/one.ko" "$modules/two.ko" | jq -r '.[1].pcr')" ]
  quote 0123456789abcdef
  allow one two
  verify
  [ "$status" -eq 0 ]
  [ "$output" = "PCR 14: 2 measured, all allowed" ]
  verify --json --pcr 14
  [ "$status" -eq 0 ]
  [ "$(jq -r '.good, .pcr, (.measured | length)' <<<"$output" | paste -sd ' ')" = "true 14 2" ]
}

@test "an RSA key signs as well" {
  start rsa rsassa
  post one
  quote 0123456789abcdef
  allow one
  verify
  [ "$status" -eq 0 ]
}

@test "an old quote, a changed log, what isn't allowed, what the log hides: each is named" {
  start
  post one
  post two
  quote 0123456789abcdef
  allow one two
  nonce=0123456789abcdee verify
  [ "$status" -eq 1 ]
  [[ $output == *"another nonce, 0123456789abcdef"* ]]
  grep -v '"measured".*two' state/events.jsonl >less
  log=less verify
  [ "$status" -eq 1 ]
  [[ $output == *"the log isn't what PCR 14 was extended by"* ]]
  sed "s/$(sha256sum <"$modules/two.ko" | cut -c1-64)/$(sha256sum <"$modules/three.ko" | cut -c1-64)/" state/events.jsonl >other
  allow one two three
  log=other verify
  [ "$status" -eq 1 ]
  [[ $output == *"the log isn't what"* ]]
  allow one
  verify
  [ "$status" -eq 1 ]
  [[ $output == *"two ("*") isn't on the allow list"* && $output != *"error: one"* ]]
  allow one two
  verify --pcr 15
  [ "$status" -eq 1 ]
  [[ $output == *"the quote is of PCR 14, and not of 15"* ]]
  tpm2_pcrextend "14:sha256=$(sha256sum <"$modules/three.ko" | cut -c1-64)"
  quote 0123456789abcdef
  verify
  [ "$status" -eq 1 ]
  [[ $output == *"the log isn't what"* ]]
}

@test "each byte of the quote and of its signature counts; another key is refused" {
  start
  post one
  quote 0123456789abcdef
  allow one
  # The signature begins with its scheme.
  local at file first
  for file in quote signature; do
    [ $file = quote ] && first=0 || first=4
    cp $file good
    for ((at = first; at < $(stat -c %s good); at += 7)); do
      flip good $at $file
      verify
      [ "$status" -eq 1 ] || { echo "byte $at of the $file: $output"; return 1; }
    done
    cp good $file
  done
  verify
  [ "$status" -eq 0 ]
  openssl ecparam -genkey -name prime256v1 2>/dev/null | openssl ec -pubout -out ak.pem 2>/dev/null
  verify
  [ "$status" -eq 1 ]
  [[ $output == *"isn't signed by the attestation key"* ]]
}

@test "a TPM that is gone: the module isn't loaded" {
  start
  kill "$(cat tpm.pid)"
  sleep 1
  run python3 "$BATS_TEST_DIRNAME/agent-post.py" "$port" form "$modules/one.ko"
  [ "${lines[0]}" = 500 ]
  [[ $output == *"PCR 14 can't be extended"* ]]
  ! grep -q '^loaded' double/log
}

@test "expect: a register of TDX, after each of two" {
  run "$attest" expect "$modules/one.ko" "$modules/two.ko"
  [ "$status" -eq 0 ]
  expected=$(python3 -c 'import hashlib, sys
value = bytes(48)
for name in sys.argv[1:]: value = hashlib.sha384(value + hashlib.sha384(open(name, "rb").read()).digest()).digest()
print(value.hex())' "$modules/one.ko" "$modules/two.ko")
  [ "$(jq -r '.[1].rtmr' <<<"$output")" = "$expected" ]
}

@test "expect: the kernel's own log, by path and digest" {
  run "$attest" expect --path /a/b.ko "$modules/one.ko"
  [ "$status" -eq 0 ]
  expected=$(python3 -c 'import hashlib, struct, sys
fields = [b"sha256:\0" + hashlib.sha256(open(sys.argv[1], "rb").read()).digest(), b"/a/b.ko\0", b""]
print(hashlib.sha256(b"".join(struct.pack("<I", len(f)) + f for f in fields)).hexdigest())' "$modules/one.ko")
  [ "$(jq -r '.[0].ima.template_sha256' <<<"$output")" = "$expected" ]
}

@test "verify: a file that is missing is no answer, one that is damaged is" {
  : >empty
  local missing
  set -- --key empty --quote empty --signature empty --nonce 12 --events empty --allow empty
  run "$attest" verify "$@"
  [ "$status" -eq 1 ]
  for missing in key quote signature events allow; do
    run "$attest" verify "$@" --$missing none
    [ "$status" -eq 2 ] || { echo "$missing: $status $output"; return 1; }
    [[ $output == "error: "*none* ]]
  done
}

@test "expect: the file's place is where kpatch install puts it" {
  make_module live-one.ko livepatch=Y
  cp live-one.ko renamed.ko
  run "$attest" expect live-one.ko renamed.ko
  [ "$(jq -r '.[].ima.path' <<<"$output")" = "/var/lib/kpatch/$(uname -r)/live-one.ko
/var/lib/kpatch/$(uname -r)/live_one.ko" ] || { echo "$output"; return 1; }
}

@test "bad command lines" {
  : >empty
  for words in "" "nothing" "verify" "expect" "expect $BATS_FILE_TMPDIR/missing.ko" "verify --key a --quote a --signature a --nonce 12" \
    "verify --key a --quote a --signature a --nonce xx --events a --allow a" \
    "verify --key a --quote a --signature a --nonce 12 --events empty --allow empty" "verify --pcr 24" "verify --pcr x"; do
    # shellcheck disable=SC2086  # they are words
    run "$attest" $words
    [ "$status" -eq 2 ] || { echo "$words: $status $output"; return 1; }
    [[ $output == "error: "* ]]
  done
}
