# Hard links to hard links were followed without an end.
# shellcheck shell=dash disable=SC2034
modules="loop romfs"
setup() { mkdir -p /tmp/rom && ./image >/tmp/rom.image; }
cleanup() { rm -r /tmp/rom /tmp/rom.image; }
# "near" is behind 10 links, "far" behind 70: not endless, but more than the fix allows.
probe() {
  mount -t romfs -o loop,ro /tmp/rom.image /tmp/rom || return 1
  if ! ls -l /tmp/rom/near >/dev/null 2>&1; then echo "the near one isn't there"
  elif ls -l /tmp/rom/far >/dev/null 2>&1; then echo broken
  else echo fixed; fi
  umount /tmp/rom
}
