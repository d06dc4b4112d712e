# Runs inside the demo's virtual machine, by a busybox system's shell and commands (integration/guest-init.sh).
# /livepatch.ko is the module; STORY is "guide" for our own patch, "own" for the user's. What begins with "demo " is shown.
# shellcheck shell=dash

say() { echo "demo $*"; }
scene() { say; say "== $*"; }

# A command, and what it says.
show() {
  say "   # $*"
  "$@" 2>&1 | while IFS= read -r line; do say "     $line"; done
}

messages() { dmesg | grep -F ': livepatched'; }

# What a user of the machine does; the patch is to show in it.
use() {
  seen=$(messages | wc -l)
  show head -n 1 /proc/meminfo
  if [ "$STORY" = guide ]; then
    say "   # ping -c 1 127.0.0.1        (passes an iptables rule with a comment)"
    ping -c 1 127.0.0.1 >/dev/null || say "     ping failed"
  fi
  say "   # dmesg | grep livepatched"
  new=$(messages | tail -n "+$((seen + 1))" | sort -u)
  if [ -n "$new" ]; then
    echo "$new" | while IFS= read -r line; do say "     $line"; done
  else
    say "     (nothing)"
  fi
}

# wait_for FILE VALUE: until the transition is over.
settled() {
  for _ in $(seq 100); do
    [ "$(cat /sys/kernel/livepatch/*/transition 2>/dev/null)" != 1 ] && return
    sleep 0.1
  done
  say "   the transition hasn't ended after 10 seconds"
}

functions() {
  for path in /sys/kernel/livepatch/*/*/*,*; do
    [ -d "$path" ] || continue
    object=$(basename "$(dirname "$path")")
    function=$(basename "$path")
    say "     $object: ${function%,*}"
  done
}

if [ "$STORY" = guide ]; then
  modprobe iptable_filter
  modprobe xt_comment
  ip link set lo up
  iptables -A INPUT -i lo -m comment --comment demo -j ACCEPT
fi

scene "The kernel as it was built: $(uname -r)"
[ "$STORY" = guide ] && use

scene "The livepatch is loaded"
show insmod /livepatch.ko
settled
name=$(ls /sys/kernel/livepatch)
say "   /sys/kernel/livepatch/$name: enabled $(cat "/sys/kernel/livepatch/$name/enabled"), patched functions:"
functions
if [ "$STORY" = guide ]; then
  scene "The same kernel, patched"
  use
fi

scene "The livepatch is taken away again"
say "   # echo 0 > /sys/kernel/livepatch/$name/enabled; rmmod $name"
echo 0 >"/sys/kernel/livepatch/$name/enabled"
for _ in $(seq 100); do
  [ -e "/sys/kernel/livepatch/$name" ] || break
  sleep 0.1
done
rmmod "$name" && say "     unloaded"
[ "$STORY" = guide ] && use

trouble=$(dmesg | grep -E 'BUG|WARNING|Oops|livepatch: failed')
scene "Trouble in the kernel's log: ${trouble:-none}"
