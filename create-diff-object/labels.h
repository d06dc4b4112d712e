// What asm() at file scope puts into an object under names without a type or a size.
#pragma once

#include <vector>

#include "create-diff-object/account.h"

namespace kpatch {

// Refuses ("asm-label") each name without a size that both objects have and under which something else lies now, where the
// kernel goes on using what it has; in memory that is gone when it has booted: listed. Entries for the ledger.
std::vector<AccountEntry> account_labels(const Pair& pair, Diagnostics& diagnostics);

}  // namespace kpatch
