// Text: files as a whole, and their lines.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace kpatch {

// The whole file. Throws Error naming it.
std::string read_file(const std::filesystem::path& path);
// The same; empty when it can't be read.
std::string read_file_if_any(const std::filesystem::path& path);

// The lines of a text without their newlines, as views into it; a last line without a newline counts.
std::vector<std::string_view> lines_of(std::string_view text);

}  // namespace kpatch
