// What the kernel's variables hold, and the patched code would no longer find.
#pragma once

#include <vector>

#include "create-diff-object/compare.h"
#include "support/finding.h"

namespace kpatch {

// functions: those that are replaced (patched ids). Refuses (rules "state-lost", "static-local") writable variables that
// they used and that have no twin, where another one stands in their place; warns where a new one may.
void check_lost_state(const Pair& pair, const std::vector<SymbolId>& functions, Diagnostics& diagnostics);

}  // namespace kpatch
