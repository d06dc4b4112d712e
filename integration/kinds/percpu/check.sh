# shellcheck shell=sh
# get_next_ino() numbers the inodes of pipes from a per-CPU variable of vmlinux and a static one for refills; the new
# one goes on where the old one was, with a bit set.
bit=1073741824
pipe_inode() { echo | readlink /proc/self/fd/0 | tr -dc 0-9; }
old() {
  last=$(pipe_inode)
  [ "$last" -lt $bit ] || fail "inode $last"
}
new() {
  now=$(pipe_inode)
  [ "$now" -gt $bit ] || fail "inode $now" || return 1
  more=$((now - bit - last))
  if [ $more -le 0 ] || [ $more -gt 2048 ]; then fail "inode $now after $last"; fi
}
