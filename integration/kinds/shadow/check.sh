# shellcheck shell=sh
# A counter attached to the UTS namespace; the post-unpatch callback frees it, so that it begins anew.
old() { expect_not_in version reads "$(cat /proc/version)"; }
new() { expect_in version 'reads 1' "$(cat /proc/version)" && expect_in version 'reads 2' "$(cat /proc/version)"; }
unloaded() {
  load_patch "$ko" && expect_in 'version, loaded again' 'reads 1' "$(cat /proc/version)" &&
    disable_patch "$patch" && unload_patch "$patch"
}
