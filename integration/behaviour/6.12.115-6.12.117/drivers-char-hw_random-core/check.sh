# A generator that doesn't exist could be chosen, it seemed.
# shellcheck shell=dash disable=SC2034
probe() {
  file=/sys/class/misc/hw_random/rng_current
  [ -e $file ] || { echo "there is no $file"; return 1; }
  if echo there_is_none_like_this 2>/dev/null >$file; then echo broken; else echo fixed; fi
}
