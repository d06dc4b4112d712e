// The proof: the code that a patch replaces is the code that runs.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lookup/lookup.h"
#include "support/finding.h"

namespace kpatch {

// Compares each of `functions` and its parts (.cold, .part) in `plain` with the shipped code.
// plain: the original source compiled with exactly the kernel's own flags (no -ffunction-sections), as the compiler
// left it: objtool was not run over it. shipped: vmlinux, or the module to which the object belongs. file_name: the
// object's source as a FILE symbol has it ("meminfo.c"). Returns what is not proven, in the order of `functions`, each
// an error of the rule "proof" that says where the function differs first, both instructions, and the likely cause;
// nothing when all is. Throws Error when a file cannot be read or its architecture has no proof yet.
std::vector<Finding> prove(const std::filesystem::path& plain, const std::filesystem::path& shipped,
                           std::span<const std::string> functions, std::string_view file_name);

// The same for files that are open already, both as ELF.
std::vector<Finding> prove(const Binary& plain, const Binary& shipped, std::span<const std::string> functions,
                           std::string_view file_name);

}  // namespace kpatch
