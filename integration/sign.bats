#!/usr/bin/env bats
# kpatch-keys and kpatch-sign, beside the kernel's own sign-file, OpenSSL's command, and efitools.

bats_require_minimum_version 1.5.0

load skip.bash
load sign.bash

setup_file() {
  sign_programs
  make_module "$BATS_FILE_TMPDIR/fix.ko" livepatch=Y
  make_module "$BATS_FILE_TMPDIR/driver.ko" license=GPL
  "$keys" generate -o "$BATS_FILE_TMPDIR/keys" --type rsa3072
  "$keys" generate -o "$BATS_FILE_TMPDIR/other" --type p384 --name 'Other Key'
}

setup() {
  sign_programs
  key=$BATS_FILE_TMPDIR/keys/livepatch.key
  cert=$BATS_FILE_TMPDIR/keys/livepatch.crt
  other=$BATS_FILE_TMPDIR/other/livepatch
  cp "$BATS_FILE_TMPDIR"/*.ko "$BATS_TEST_TMPDIR"
  cd "$BATS_TEST_TMPDIR" || return 1
}

signed() { "$sign" "$@" --key "$key" --cert "$cert"; }
# verdict STATUS MODULE [CERT…]: what --verify ends with.
verdict() {
  local expected=$1 module=$2 certs=()
  shift 2
  for certificate in "${@:-$cert}"; do certs+=(--cert "$certificate"); done
  run "$sign" --verify "$module" "${certs[@]}"
  [ "$status" -eq "$expected" ] || { echo "exit $status: $output"; return 1; }
}

# --- the bytes -------------------------------------------------------------------------------------------------------

@test "the bytes are those of the kernel's own sign-file, for each hash" {
  build_sign_file
  for hash in sha256 sha384 sha512; do
    signed fix.ko --hash $hash -o ours.ko
    "$sign_file" $hash "$key" "$cert" fix.ko theirs.ko
    cmp ours.ko theirs.ko
    [[ $("$sign" --verify theirs.ko --cert "$cert") == *"is signed by Livepatch Key ($hash)" ]]
  done
  # An elliptic signature is another one each time.
  "$sign_file" sha384 "$other.key" "$other.crt" fix.ko theirs.ko
  verdict 0 theirs.ko "$other.crt"
}

@test "OpenSSL's command takes the signature, and modinfo shows it" {
  signed fix.ko
  head -c "$(stat -c %s "$BATS_FILE_TMPDIR/fix.ko")" fix.ko | cmp - "$BATS_FILE_TMPDIR/fix.ko"
  tail -c +$(($(stat -c %s "$BATS_FILE_TMPDIR/fix.ko") + 1)) fix.ko | head -c -40 >fix.p7s
  openssl cms -verify -binary -inform DER -in fix.p7s -content "$BATS_FILE_TMPDIR/fix.ko" \
    -certfile "$BATS_FILE_TMPDIR/keys/livepatch.pem" -CAfile "$BATS_FILE_TMPDIR/keys/livepatch.pem" -noverify -out /dev/null
  command -v modinfo >/dev/null || skip_package "modinfo is missing"
  [ "$(modinfo -F signer ./fix.ko)" = "Livepatch Key" ]
  [ "$(modinfo -F sig_hashalgo ./fix.ko)" = sha256 ]
}

@test "signing again replaces the signature, and stripping gives the module back" {
  signed fix.ko
  cp fix.ko once.ko
  signed fix.ko
  cmp fix.ko once.ko
  "$sign" fix.ko --key "$other.key" --cert "$other.crt"
  verdict 0 fix.ko "$other.crt"
  verdict 3 fix.ko
  verdict 0 fix.ko "$cert" "$other.crt"
  "$sign" --strip fix.ko
  cmp fix.ko "$BATS_FILE_TMPDIR/fix.ko"
}

@test "what others stacked is taken off as a whole" {
  build_sign_file
  "$sign_file" sha256 "$key" "$cert" fix.ko
  "$sign_file" sha256 "$other.key" "$other.crt" fix.ko
  signed fix.ko
  signed "$BATS_FILE_TMPDIR/fix.ko" -o once.ko
  cmp fix.ko once.ko
}

# --- verifying -------------------------------------------------------------------------------------------------------

@test "one changed byte, in the module, the signature or its description, is seen" {
  signed fix.ko
  size=$(stat -c %s fix.ko)
  for at in 70 $((size / 4)) $((size - 60)) $((size - 200)); do
    flip fix.ko "$at" changed.ko
    verdict 4 changed.ko
  done
  for at in $(seq $((size - 40)) $((size - 29))); do
    flip fix.ko "$at" changed.ko
    verdict 4 changed.ko
  done
}

@test "a file that was cut is never good" {
  signed fix.ko
  size=$(stat -c %s fix.ko)
  for cut in 1 5 28 29 39 40 41 100 $((size - 40)) $((size - 10)); do
    head -c "-$cut" fix.ko >cut.ko
    run "$sign" --verify cut.ko --cert "$cert"
    [ "$status" -eq 2 ] || [ "$status" -eq 4 ]
    tail -c "$cut" fix.ko >cut.ko
    run "$sign" --verify cut.ko --cert "$cert"
    [ "$status" -eq 2 ] || [ "$status" -eq 4 ]
  done
}

@test "unsigned, and signed by a key nobody trusts, are told apart" {
  verdict 2 fix.ko
  [[ $output == *"is not signed"* ]]
  "$sign" fix.ko --key "$other.key" --cert "$other.crt"
  verdict 3 fix.ko
}

@test "signatures that the kernel refuses are refused: attributes, an embedded module, another hash, two signers" {
  pem=$BATS_FILE_TMPDIR/keys/livepatch.pem
  one=(-signer "$pem" -inkey "$key")
  cms() { openssl cms -sign -binary -nocerts -nosmimecap -outform DER -in "$BATS_FILE_TMPDIR/fix.ko" -out fix.p7s "$@"; }
  cms "${one[@]}" -noattr -md sha256
  append "$BATS_FILE_TMPDIR/fix.ko" fix.p7s fix.ko
  verdict 0 fix.ko
  for kind in '-md sha256' '-noattr -md sha1' '-noattr -md sha224' '-noattr -nodetach -md sha256' \
    "-noattr -md sha256 -signer $BATS_FILE_TMPDIR/other/livepatch.pem -inkey $other.key"; do
    # shellcheck disable=SC2086  # words
    cms "${one[@]}" $kind
    append "$BATS_FILE_TMPDIR/fix.ko" fix.p7s fix.ko
    verdict 4 fix.ko "$cert" "$other.crt"
  done
  # Something behind the message, inside of the size that is told.
  cms "${one[@]}" -noattr -md sha256
  printf x >>fix.p7s
  append "$BATS_FILE_TMPDIR/fix.ko" fix.p7s fix.ko
  verdict 4 fix.ko
}

# --- what is signed --------------------------------------------------------------------------------------------------

@test "only livepatches are signed, unless --any is given" {
  cp driver.ko before.ko
  run --separate-stderr signed driver.ko
  [ "$status" -eq 1 ]
  [[ $stderr == *"driver.ko: it is no livepatch"* ]]
  cmp driver.ko before.ko
  signed driver.ko --any
  verdict 0 driver.ko
  echo text >text
  run --separate-stderr signed text
  [ "$status" -eq 1 ]
}

@test "junk behind a module, or behind its signature, isn't signed" {
  cp fix.ko junk.ko
  printf '%99s' x >>junk.ko
  run --separate-stderr signed junk.ko
  [ "$status" -eq 1 ]
  [[ $stderr == *"bytes lie behind the module's end"* ]]
  signed fix.ko
  printf '\n' >>fix.ko
  run --separate-stderr signed fix.ko
  [ "$status" -eq 1 ]
  verdict 2 fix.ko
}

@test "nothing is left half done: a wrong certificate, a full disk, a missing folder" {
  cp fix.ko before.ko
  run --separate-stderr "$sign" fix.ko --key "$key" --cert "$other.crt"
  [ "$status" -eq 1 ]
  [[ $stderr == *"is not the certificate of"* ]]
  run --separate-stderr "$sign" fix.ko --key "$key" --cert "$BATS_FILE_TMPDIR/none.crt"
  [ "$status" -eq 1 ]
  [[ $stderr == *none.crt* ]]
  run --separate-stderr signed fix.ko -o none/fix.ko
  [ "$status" -eq 1 ]
  run --separate-stderr signed fix.ko -o /dev/full
  [ "$status" -eq 1 ]
  [[ $stderr == *"No space left"* ]]
  cmp fix.ko before.ko
  [ -z "$(find . -name '.kpatch-*')" ]
}

@test "in place: modes and links stay" {
  chmod 640 fix.ko
  ln -s fix.ko link.ko
  signed link.ko
  [ -L link.ko ]
  [ "$(stat -c %a fix.ko)" = 640 ]
  verdict 0 fix.ko
}

# --- keys ------------------------------------------------------------------------------------------------------------

@test "keys: for their owner alone, and a certificate that signs code and is no authority" {
  for folder in keys other; do
    [ "$(stat -c %a "$BATS_FILE_TMPDIR/$folder/livepatch.key")" = 600 ]
    text=$(openssl x509 -inform DER -in "$BATS_FILE_TMPDIR/$folder/livepatch.crt" -noout -text)
    for what in 'CA:FALSE' 'Digital Signature' 'Code Signing'; do [[ $text == *"$what"* ]] || { echo "$text"; return 1; }; done
    [[ $text != *'CA:TRUE'* ]]
    openssl x509 -in "$BATS_FILE_TMPDIR/$folder/livepatch.pem" -outform DER | cmp - "$BATS_FILE_TMPDIR/$folder/livepatch.crt"
    openssl verify -CAfile "$BATS_FILE_TMPDIR/$folder/livepatch.pem" "$BATS_FILE_TMPDIR/$folder/livepatch.pem"
  done
  [[ $(openssl pkey -in "$key" -noout -text) == *"3072 bit"* ]]
  [[ $(openssl pkey -in "$other.key" -noout -text) == *"384 bit"* ]]
}

@test "keys that are there stay, --force replaces them, one of them alone is an error" {
  "$keys" generate -o k --type p384
  cp -r k before
  "$keys" generate -o k --type p384
  diff -r k before
  "$keys" generate -o k --type p384 --force
  run ! cmp -s k/livepatch.key before/livepatch.key
  "$sign" fix.ko --key k/livepatch.key --cert k/livepatch.crt
  rm k/livepatch.crt
  run --separate-stderr "$keys" generate -o k --type p384
  [ "$status" -eq 1 ]
  [[ $stderr == *"livepatch.key is there without its certificate"* ]]
}

@test "two runs at once end with one pair" {
  for _ in 1 2 3 4; do "$keys" generate -o k --type p384 3>&- & done
  wait
  "$sign" fix.ko --key k/livepatch.key --cert k/livepatch.crt
  [ "$(find k -type f | wc -l)" -eq 3 ]
}

@test "a folder that can't be written to gets nothing" {
  [ "$(id -u)" -eq 0 ] || skip_machine "not root"
  mkdir full
  mount -t tmpfs -o size=4k,nr_inodes=3 tmpfs full 2>/dev/null || skip_machine "tmpfs can't be mounted"
  run --separate-stderr "$keys" generate -o full --type p384
  left=$(find full -type f)
  umount full
  [ "$status" -eq 1 ]
  [ -z "$left" ]
}

@test "an encrypted key takes its password from KBUILD_SIGN_PIN, and asks nobody" {
  openssl pkey -in "$key" -aes256 -passout pass:open -out locked.key
  run --separate-stderr timeout 20 "$sign" fix.ko --key locked.key --cert "$cert" </dev/null
  [ "$status" -eq 1 ]
  [[ $stderr == *KBUILD_SIGN_PIN* ]]
  KBUILD_SIGN_PIN=wrong run "$sign" fix.ko --key locked.key --cert "$cert"
  [ "$status" -eq 1 ]
  KBUILD_SIGN_PIN=open "$sign" fix.ko --key locked.key --cert "$cert"
  verdict 0 fix.ko
}

@test "a key in a token signs as a key in a file does" {
  command -v softhsm2-util >/dev/null || skip_package "softhsm2 is missing"
  [ -n "$(compgen -G '/usr/lib/*/engines-3/pkcs11.so' '/usr/lib/*/ossl-modules/pkcs11.so')" ] ||
    skip_package "OpenSSL has no pkcs11 here"
  mkdir tokens
  printf 'directories.tokendir = %s/tokens\nobjectstore.backend = file\n' "$PWD" >softhsm.conf
  export SOFTHSM2_CONF=$PWD/softhsm.conf
  PKCS11_MODULE_PATH=$(compgen -G '/usr/lib/*softhsm/libsofthsm2.so' || compgen -G '/usr/lib/*/softhsm/libsofthsm2.so')
  export PKCS11_MODULE_PATH
  softhsm2-util --init-token --free --label build --pin 1234 --so-pin 5678
  softhsm2-util --import "$key" --token build --label livepatch --id 01 --pin 1234
  KBUILD_SIGN_PIN=1234 "$sign" fix.ko --key 'pkcs11:token=build;object=livepatch' --cert "$cert"
  signed "$BATS_FILE_TMPDIR/fix.ko" -o file.ko
  cmp fix.ko file.ko
  KBUILD_SIGN_PIN=1234 run "$sign" fix.ko --key 'pkcs11:token=build;object=none' --cert "$cert"
  [ "$status" -eq 1 ]
}

# --- firmware --------------------------------------------------------------------------------------------------------

@test "enroll: the signature list is efitools', for one certificate and for two" {
  command -v cert-to-efi-sig-list >/dev/null || skip_package "efitools is missing"
  guid=11111111-2222-3333-4444-55555555abcd
  "$keys" enroll --for aws -o aws --owner $guid "$cert" "$other.crt"
  for folder in keys other; do
    cert-to-efi-sig-list -g $guid "$BATS_FILE_TMPDIR/$folder/livepatch.pem" "$folder.esl"
  done
  cat keys.esl other.esl | cmp - aws/livepatch.esl
}

@test "enroll: DER for gcp and mok, JSON with the DER in it for azure" {
  for where in gcp mok; do
    run --separate-stderr "$keys" enroll --for $where -o $where "$cert"
    [ "$output" = "$where/livepatch.der" ]
    cmp "$where/livepatch.der" "$cert"
  done
  [[ $stderr == *"mokutil --import mok/livepatch.der"* ]]
  "$keys" enroll --for azure -o azure "$BATS_FILE_TMPDIR/keys/livepatch.pem"
  python3 - azure/livepatch.json >azure.der <<'PYTHON'
import base64, json, sys
settings = json.load(open(sys.argv[1]))["securityProfile"]["uefiSettings"]
(entry,) = settings["additionalSignatures"]["db"]
assert entry["type"] == "x509" and settings["signatureTemplateNames"]
sys.stdout.buffer.write(base64.b64decode(entry["value"][0], validate=True))
PYTHON
  cmp azure.der "$cert"
  # Without a name it is the one that generate made there.
  "$keys" generate -o own --type p384
  "$keys" enroll --for mok -o own
  cmp own/livepatch.der own/livepatch.crt
}

@test "bad command lines are refused, each with what is wrong" {
  for line in '' 'enroll' 'enroll --for moon' 'generate x' 'generate --type rsa2048' 'generate --days 0' 'sing' \
    'enroll --for aws --owner 1234' 'enroll --for aws /etc/passwd' 'enroll --for aws none.crt'; do
    # shellcheck disable=SC2086  # words
    run --separate-stderr "$keys" $line
    [ "$status" -eq 1 ] || { echo "$line: $status"; return 1; }
    [[ $stderr == error:* || $stderr == *$'\n'error:* ]]
  done
  for line in '' 'fix.ko' "fix.ko --key $key" "fix.ko fix.ko --key $key --cert $cert" '--verify fix.ko' \
    "fix.ko --hash sha1 --key $key --cert $cert" "fix.ko --key none --cert $cert" "fix.ko --key $cert --cert $cert" \
    '--verify --strip fix.ko' "--verify fix.ko --cert $key"; do
    # shellcheck disable=SC2086  # words
    run --separate-stderr "$sign" $line
    [ "$status" -eq 1 ] || { echo "$line: $status"; return 1; }
    [[ $stderr == error:* || $stderr == *$'\n'error:* ]]
  done
}

# --- kpatch-build ----------------------------------------------------------------------------------------------------

@test "kpatch-build --sign: the module is the unsigned one with a good signature; a wrong key ends it before it begins" {
  kpatch_build=${sign%/sign/*}/kpatch-build/kpatch-build
  # shellcheck source=integration/bad-input.bash
  . "$BATS_TEST_DIRNAME/bad-input.bash"
  stock_inputs
  patch=$BATS_TEST_DIRNAME/patches/patch1.patch
  "$kpatch_build" -a "$release" -o plain "$patch"
  "$kpatch_build" -a "$release" -o signed --sign "$key" --cert "$cert" "$patch"
  verdict 0 signed/livepatch-patch1.ko
  "$sign" --strip signed/livepatch-patch1.ko
  cmp plain/livepatch-patch1.ko signed/livepatch-patch1.ko
  run --separate-stderr "$kpatch_build" -a "$release" -o wrong --sign "$key" --cert "$other.crt" "$patch"
  [ "$status" -eq 1 ]
  [[ $stderr == *"is not the certificate of"* && $output != *compile* ]]
  [ ! -e wrong ]
  run --separate-stderr "$kpatch_build" -a "$release" --sign "$key" "$patch"
  [ "$status" -eq 1 ]
  [[ $stderr == *"belong together"* ]]
}
