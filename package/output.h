#pragma once

#include <string>

namespace kpatch {

// For a message: a colon and the last lines of a command's output, each indented; empty when there is none.
std::string last_lines(const std::string& output);

}  // namespace kpatch
