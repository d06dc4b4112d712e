// The last step on a module's file: ordinary relocations against placeholders become klp relocations.
#pragma once

#include <filesystem>

namespace kpatch {

// Reads the module that kbuild finished, carries out its side table (doc/formats.md), and writes the module that is
// loaded. `in` and `out` may be the same file; `out` appears whole or not at all.
// Throws Error naming section, offset and symbol when the table and the relocations don't fit together, when a name is
// too long for the kernel, when the kernel would apply a klp relocation too late or not at all, and when the input is
// damaged or already signed. A module without a side table is copied with nothing but its string tables rebuilt.
void post_link(const std::filesystem::path& in, const std::filesystem::path& out);

}  // namespace kpatch
