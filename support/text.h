// Text: its lines, fields and words, as views into it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kpatch {

// The lines of a text without their newlines, as views into it; a last line without a newline counts.
std::vector<std::string_view> lines_of(std::string_view text);

}  // namespace kpatch
