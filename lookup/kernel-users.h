// Functions that nothing in the kernel's image refers to.
#pragma once

#include <filesystem>
#include <set>
#include <string>

namespace kpatch {

// Of the global functions of vmlinux whose names begin with `prefix`: those that no code calls or jumps to, and whose
// address no datum holds, as far as the image itself goes. Exports, and tables that tell of places only, don't count.
// Reads the image once. Never too many: what only looks like a reference is one. Empty where code's references can't
// be told (CodeFacts::whole_distances). Throws Error when the file is damaged or can't be read.
std::set<std::string> functions_nobody_uses(const std::filesystem::path& vmlinux, std::string_view prefix);

}  // namespace kpatch
