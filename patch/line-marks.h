// Keeps __LINE__ what it was in code that a patch only shifts.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "patch/apply.h"

namespace kpatch {

// The patched text with `#line` directives, so that lines which stand in both texts keep the original's numbers from
// the next function on. Nothing is inserted where the two can't be matched cheaply.
std::string with_original_lines(std::string_view original, std::string_view patched);

// Does so for every modified C file and header below patches.directory. Returns false when no file changed by it.
// Throws Error when a file can't be written.
bool keep_line_numbers(const AppliedPatches& patches, const std::filesystem::path& source);

// The number that such a directive sets; nothing for other lines. line: without its newline.
std::optional<int> line_mark(std::string_view line);
// The text without the directives that with_original_lines() inserted: what the patch says.
std::string without_line_marks(std::string_view text);
// Takes them out of every modified file below `root` (a patched view), for messages with the patched file's lines.
void drop_line_numbers(const AppliedPatches& patches, const std::filesystem::path& root);

}  // namespace kpatch
