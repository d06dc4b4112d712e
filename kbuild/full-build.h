// --full: the kernel compiled as a whole, without the patch and with it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kernel/kernel.h"
#include "support/console.h"
#include "support/executor.h"

namespace kpatch {

struct FullPair {
  CompileCommand command;          // as the original's build has it; the patched one's for an object that it adds
  std::filesystem::path original;  // absolute; empty when only the patched kernel has the object
  std::filesystem::path patched;   // absolute; empty when only the original has it
};

// Compiler flags besides -ffunction-sections -fdata-sections, which are always given.
struct FullFlags {
  std::vector<std::string> all;       // for every object
  std::vector<std::string> built_in;  // for vmlinux's objects only
};

// Builds original (cached) and patched kernel, returns the pairs whose bytes differ, sorted by object.
// view: the patched source, a complete tree. changed: the files that the patch touches, relative to it. The pairs'
// files lie in scratch, which must stay until they have been read. Throws Error with the compiler's message.
std::vector<FullPair> build_full(const Base& base, const std::filesystem::path& view,
                                 const std::vector<std::string>& changed, Cache& cache, Executor& executor,
                                 Console& console, unsigned jobs, const std::filesystem::path& scratch,
                                 const FullFlags& flags = {});

}  // namespace kpatch
