# A Slurm of two nodes on this machine: munged, slurmctld and two slurmd, all of them children of the test, with their
# files in a folder of its own. Nothing of the machine's own Slurm is read or written.

# start_slurm FOLDER: two nodes, "one" and "two", of one processor each. Sets SLURM_CONF, slurm_pids.
start_slurm() {
  local folder=$1 port
  mkdir -p "$folder/state" "$folder/one" "$folder/two"
  chmod 755 "$folder"
  slurm_folder=$folder
  slurm_pids=()
  dd if=/dev/urandom of="$folder/munge.key" bs=1024 count=1 2>/dev/null
  chmod 600 "$folder/munge.key"
  munged --foreground --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" \
    --pid-file="$folder/munge.pid" --log-file="$folder/munge.log" --seed-file="$folder/munge.seed" 3>&- &
  slurm_pids+=($!)
  port=$((20000 + RANDOM % 10000))
  cat >"$folder/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
SlurmctldPort=$port
SlurmctldPidFile=$folder/slurmctld.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmctldTimeout=5
SlurmdPidFile=$folder/%n/slurmd.pid
SlurmdLogFile=$folder/%n/slurmd.log
SlurmdSpoolDir=$folder/%n
SlurmdTimeout=5
StateSaveLocation=$folder/state
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
KillWait=2
UnkillableStepTimeout=10
SlurmdParameters=config_overrides
NodeName=one NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=$((port + 1)) CPUs=1
NodeName=two NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=1
PartitionName=all Nodes=one,two Default=YES MaxTime=INFINITE State=UP
CONF
  export SLURM_CONF=$folder/slurm.conf
  for _ in {1..50}; do [ ! -S "$folder/munge.socket" ] || break; sleep 0.1; done
  slurmctld -D -c >"$folder/slurmctld.out" 2>&1 3>&- &
  slurm_pids+=($!)
  start_node one
  start_node two
  for _ in {1..150}; do
    [ "$(sinfo -h -N -o %T 2>/dev/null | grep -c '^idle$')" -lt 2 ] || return 0
    sleep 0.2
  done
  tail -n 5 "$folder"/*.log "$folder"/*.out "$folder"/*/slurmd.log
  return 1
}

# start_node NAME: its slurmd, in a process group of its own.
start_node() {
  setsid slurmd -D -N "$1" >"$slurm_folder/$1/out" 2>&1 3>&- &
  slurm_pids+=($!)
  echo $! >"$slurm_folder/$1/pid"
}

# kill_node NAME: as a machine that loses its power: its slurmd, and what runs on it. Only processes that this Slurm has
# started are looked for.
kill_node() {
  local of pid parent
  kill -KILL "$(cat "$slurm_folder/$1/pid")"
  for of in /proc/[0-9]*/environ; do
    grep -qzxF "SLURM_CONF=$SLURM_CONF" "$of" 2>/dev/null && grep -qzxF "SLURMD_NODENAME=$1" "$of" 2>/dev/null || continue
    pid=${of#/proc/}
    pid=${pid%/environ}
    parent=$(ps -o ppid= -p "$pid" | tr -d ' ')
    [ "$(cat "/proc/$parent/comm" 2>/dev/null)" != slurmstepd ] || kill -KILL "$parent" 2>/dev/null || true
    kill -KILL "$pid" 2>/dev/null || true
  done
}

stop_slurm() {
  local pid
  for pid in "${slurm_pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  sleep 0.5
  for pid in "${slurm_pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
}
