// Functions that share their code: names of the source, or what the compiler found to be the same.
#pragma once

#include "create-diff-object/compare.h"
#include "support/finding.h"

namespace kpatch {

// Whether another name of the same code, of the patched object, stands for this one.
bool is_alias(const Pair& pair, SymbolId id);

// Refuses ("shared-code") a changed function whose code is that of another one in one of the objects, and not in the
// other.
void check_shared_code(const Pair& pair, SymbolId id, Diagnostics& diagnostics);

}  // namespace kpatch
