#pragma once

#include "arch/arch.h"

namespace kpatch {

// CodeFacts::list for x86-64, in the AT&T syntax of the kernel's own sources.
std::optional<ListedInstruction> list_x86_64(const ListingInput& input, uint64_t at);

}  // namespace kpatch
