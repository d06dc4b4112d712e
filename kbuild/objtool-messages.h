// What objtool says of a module, and which of it matters.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/executor.h"

namespace kpatch {

// objtool's messages in what kbuild printed, from "objtool:" on, each once, in their order.
std::vector<std::string> objtool_messages(std::string_view kbuild_output);

struct ObjtoolRun {
  std::filesystem::path linked;                    // the module's object; kbuild's record of it has objtool's command
  std::filesystem::path base;                      // where kbuild ran
  std::span<const std::filesystem::path> objects;  // the patched objects as the compiler wrote them
  std::filesystem::path scratch;                   // copies of these go here
};

// The messages that mean that code was not understood. Dropped are those that a livepatch brings by its nature (see the
// file's head). Runs objtool over the patched objects where that is needed to tell.
std::vector<std::string> objtool_problems(std::vector<std::string> messages, const ObjtoolRun& run, Executor& executor);

}  // namespace kpatch
