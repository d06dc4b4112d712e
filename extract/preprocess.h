// A compiler's command, and the text that it would compile.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "support/executor.h"

namespace kpatch {

// The same command with another purpose: neither -c, -S nor -E, no output, no record of dependencies.
std::vector<std::string> bare_command(const std::vector<std::string>& command);

// Runs the command's preprocessor in `directory` (empty: here), with an output at `output`; gives the text. Throws Error
// with the compiler's message.
std::string preprocess(const std::vector<std::string>& command, const std::filesystem::path& directory,
                       const std::filesystem::path& output, Executor& executor);

}  // namespace kpatch
