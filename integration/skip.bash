# Why a test can't run, as unit/skip.h has it: in words, behind a kind that ./check counts by. A bare skip says no kind:
# lint/skips.

# This machine can't, whatever is installed: its architecture, the rights of the user.
skip_machine() { skip "[machine] $*"; }
# A program or a kernel's package is missing, or can't be fetched. ./check --strict fails on these.
skip_package() { skip "[package] $*"; }
# Asked for by a variable or an option that isn't there by default.
skip_optional() { skip "[optional] $*"; }
