#pragma once

#include "arch/arch.h"

namespace kpatch {

// CodeFacts::only_reads for x86-64.
bool only_reads_x86_64(const CodeSection& section, const CodeRange& function, std::span<const uint64_t> fields,
                       const FlowFacts& facts);

}  // namespace kpatch
