# Sourced by bats files that talk to an agent of their own.

# agent_config: the configuration of one, in the file's folder, as config/; its token is "secret". keys/ is there.
agent_config() {
  mkdir "$BATS_FILE_TMPDIR/config"
  cd "$BATS_FILE_TMPDIR/config" || return 1
  cp ../keys/livepatch.crt .
  printf %s secret | sha256sum | cut -c1-64 >token_hash
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=kpatch-agent -keyout tls.key \
    -out tls.crt 2>/dev/null
}

# run_agent ADDRESS KPATCH [OPTION…]: it listens there from here on; sets port. $agent is the program. Its process is in
# agent.pid, what it says in agent.err.
run_agent() {
  local address=$1 kpatch=$2
  shift 2
  "$agent" --config "$BATS_FILE_TMPDIR/config" --listen "$address" --state "$PWD/state" --kpatch "$kpatch" "$@" \
    >agent.out 2>agent.err 3>&- &
  echo $! >agent.pid
  for _ in $(seq 100); do
    [ ! -s agent.err ] || break
    sleep 0.1
  done
  # shellcheck disable=SC2034 # the caller's
  port=$(sed -n 's/^listening at .*://p' agent.err)
}
