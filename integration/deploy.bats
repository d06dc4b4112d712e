#!/usr/bin/env bats
# kpatch-deploy by ssh, with doubles of ssh and scp whose hosts are folders, and step by step over a list of hosts.

bats_require_minimum_version 1.5.0

load skip.bash
load sign.bash

setup() {
  sign_programs
  deploy=${sign%/sign/*}/deploy/kpatch-deploy
  [ -x "$deploy" ] || skip_package "built without libcurl"
  cd "$BATS_TEST_TMPDIR" || return 1
  make_module fix.ko livepatch=Y
  mkdir bin hosts
  export HOSTS=$PWD/hosts PATH=$PWD/bin:$PATH
  # A host is a folder: down, refuses (files), breaks (once, after the load).
  cat >bin/ssh <<'DOUBLE'
#!/bin/bash
while [ "$1" != -- ]; do shift; done
host=$HOSTS/$2
shift 2
[ -d "$host" ] && [ ! -e "$host/down" ] || { echo "ssh: connect to host: Connection refused" >&2; exit 255; }
echo "$*" >>"$host/log"
case "$*" in
  mktemp*) mktemp -d "$host/tmp.XXXXXX" ;;
  'rm -rf -- '*) rm -rf -- "${@:4}" ;;
  *'kpatch load '*)
    [ ! -e "$host/refuses" ] || { echo "error: it can't be loaded"; exit 1; }
    cp "${!#}" "$host/loaded"
    if [ -e "$host/breaks" ]; then rm "$host/breaks"; exit 255; fi
    echo "fix is in effect after 0.1 s"
    ;;
esac
DOUBLE
  cat >bin/scp <<'DOUBLE'
#!/bin/bash
from=${*: -2:1} to=${!#}
[ ! -e "$HOSTS/${to%%:*}/full" ] || { echo "scp: write: No space left on device" >&2; exit 1; }
cp "$from" "${to#*:}"
DOUBLE
  chmod +x bin/ssh bin/scp
}

hosts() {
  local host
  for host; do
    mkdir "hosts/$host"
    echo "ssh $host" >>list
  done
}

@test "by ssh: copied to a folder of its own, loaded by kpatch, and nothing is left" {
  hosts root@web1
  run "$deploy" ssh root@web1 fix.ko
  [ "$status" -eq 0 ]
  [[ $output == "ssh root@web1: fix is in effect"* ]]
  cmp fix.ko hosts/root@web1/loaded
  [ -z "$(compgen -G 'hosts/root@web1/tmp.*')" ]
  "$deploy" ssh root@web1 fix.ko --sudo --install
  grep -q '^sudo -n kpatch load /' hosts/root@web1/log
  grep -q '^sudo -n kpatch install /' hosts/root@web1/log
}

@test "by ssh: unreachable, refused, a full disk and a broken connection are told apart" {
  hosts a
  touch hosts/a/down
  run --separate-stderr "$deploy" ssh a fix.ko
  [ "$status" -eq 3 ]
  [[ $stderr == *"Connection refused"* ]]
  mv hosts/a/down hosts/a/refuses
  run --separate-stderr "$deploy" ssh a fix.ko
  [ "$status" -eq 4 ]
  [[ $stderr == *"can't be loaded"* ]]
  mv hosts/a/refuses hosts/a/full
  run --separate-stderr "$deploy" ssh a fix.ko
  [ "$status" -eq 3 ]
  [[ $stderr == *"No space left"* ]]
  [ -z "$(compgen -G 'hosts/a/tmp.*')" ]
  mv hosts/a/full hosts/a/breaks
  "$deploy" ssh a fix.ko
}

@test "names that a shell would take for something else are refused" {
  for host in '-oProxyCommand=touch' 'a;b' 'a b' '' '$(x)' '../a'; do
    run --separate-stderr "$deploy" ssh "$host" fix.ko
    [ "$status" -eq 1 ] || { echo "$host: $status"; return 1; }
  done
  cp fix.ko 'a;b.ko'
  hosts a
  run --separate-stderr "$deploy" ssh a 'a;b.ko'
  [ "$status" -eq 1 ]
  [ ! -e hosts/a/log ]
}

@test "step by step: a bad livepatch reaches the first machines alone, and the rest is told" {
  hosts h0 h1 h2 h3 h4 h5 h6 h7 h8 h9
  run "$deploy" --hosts list fix.ko
  [ "$status" -eq 0 ]
  [[ $output == *"10 of 10 machines have it, 0 failed, 0 weren't tried" ]]
  rm hosts/*/log hosts/*/loaded
  touch hosts/h1/refuses
  run "$deploy" --hosts list fix.ko
  [ "$status" -eq 7 ]
  [[ $output == *"1 of 10 machines have it, 1 failed, 8 weren't tried" ]]
  [ "$(compgen -G 'hosts/*/log' | sort | tr '\n' ' ')" = "hosts/h0/log hosts/h1/log " ]
  run "$deploy" --hosts list fix.ko --stop-at 2 --jobs 1 --steps 50
  [ "$status" -eq 7 ]
  [[ $output == *"9 of 10 machines have it, 1 failed, 0 weren't tried" ]]
}

@test "a machine whose files are missing is one that failed" {
  hosts h0
  echo 'gcp vm' >>list
  run "$deploy" --hosts list fix.ko
  [ "$status" -eq 7 ]
  [[ $output == *"gcp vm: _artifacts/gcp_vm_ip is missing"* ]]
}

@test "bad command lines are refused before anybody is asked" {
  hosts a
  echo 'ssh a' >twice
  echo 'ssh a' >>twice
  for line in '' 'ssh a' 'telnet a fix.ko' 'ssh a none.ko' '--hosts none fix.ko' '--hosts twice fix.ko' '--hosts list' \
    '--hosts list fix.ko --steps 50,20' '--hosts list fix.ko --steps 0' '--hosts list fix.ko --stop-at 0'; do
    # shellcheck disable=SC2086  # words
    run --separate-stderr "$deploy" $line
    [ "$status" -eq 1 ] || { echo "$line: $status"; return 1; }
  done
  [ ! -e hosts/a/log ]
}
