# That a user's groups could not be looked up (none was found) took away those that the client had sent.
# shellcheck shell=dash disable=SC2034
cleanup() { rm -f /tmp/users; }
# The list shows a negative entry behind "# ". Another user each time: old entries stay until they are not used.
probe() {
  cache=/proc/net/rpc/auth.unix.gid
  echo >>/tmp/users
  user=$((1000 + $(wc -l </tmp/users)))
  echo "$user 4000000000 0" >$cache/channel && echo "$((user + 500)) 4000000000 1 77" >$cache/channel || return 1
  content=$(cat $cache/content)
  # The other entry has to be as ever.
  echo "$content" | grep -qx "$((user + 500)) 1: 77" || { echo "$content" | tr '\n' ';'; return 1; }
  if echo "$content" | grep -qx "# $user 0:"; then echo fixed
  elif echo "$content" | grep -qx "$user 0:"; then echo broken
  else echo "$content" | tr '\n' ';'; fi
}
