# shellcheck shell=sh
# A switch over values becomes a table of values, one over calls a jump table where the kernel allows them.
old() { expect_not_in version value "$(cat /proc/version)"; }
new() {
  for expected in '31 zero' '4 one of 0' '1500 xend' '92 end' '6 four' '535 five 5end' '-1 end' '31 zero'; do
    text=$(cat /proc/version)
    expect_in version "value ${expected%% *}" "$text" && expect_in version "${expected#* }" "$text" || return 1
  done
}
