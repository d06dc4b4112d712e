// Addresses that are the end of one variable and the beginning of the next.
#pragma once

#include "create-diff-object/select.h"

namespace kpatch {

// Whether a reference of the chunk to `target` can't be told from one to the end of what lies before it; refused then
// ("array-end").
bool is_another_end(const Pair& pair, const Chunk& chunk, const Relocation& r, const Target& target,
                    Diagnostics& diagnostics);

}  // namespace kpatch
