// The debug information of a livepatch, in a file of its own.
#pragma once

#include <filesystem>

namespace kpatch {

// debug: a module made of the same code as `module`, with debug information. Gives it the build ID of `module`, by which
// debuggers find it. Throws Error when what is loaded of the two differs in anything else: they would be told lies.
void match_debug_file(const std::filesystem::path& module, const std::filesystem::path& debug);

}  // namespace kpatch
