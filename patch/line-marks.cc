// A patch that adds a line shifts every line behind it, and with them the numbers that code holds:
//
//     btrfs_abort_transaction(trans, ret);      mov $0x143a,%edx   →   mov $0x143d,%edx
//     memcpy() that is fortified                "… at fs/nfs/client.c:123"
//
// Functions that the patch did not touch would differ, and be replaced for nothing. So the compiler is told the
// original numbers: behind a change, before the next function, stands
//
//     }
//     #line 5178 /* kpatch */
//     static int btrfs_orphan_add(…)
//
// A directive is only put behind a line that is exactly "}": there, no macro call, comment or literal is open. Lines
// are matched by the longest common subsequence (Myers' greedy algorithm, linear for small changes); a file that was
// rewritten keeps its own numbers.

#include "patch/line-marks.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <vector>

#include "support/error.h"
#include "support/files.h"
#include "support/matching.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string_view;
using Lines = std::vector<string_view>;

constexpr string_view mark = " /* kpatch */\n";
constexpr size_t most_edits = 4000;

bool is_c(const fs::path& path) { return path.extension() == ".c" || path.extension() == ".h"; }

}  // namespace

std::string with_original_lines(string_view original, string_view patched) {
  const Lines a = whole_lines(original), b = whole_lines(patched);
  const auto twins = matched_lines(a, b, most_edits);
  if (!twins) return std::string{patched};
  std::string text;
  text.reserve(patched.size() + 256);
  int64_t shift = 0;  // the number that the compiler counts, less the place in the patched text
  for (size_t i = 0; i < b.size(); ++i) {
    if (i > 0 && b[i - 1] == "}\n" && (*twins)[i]) {
      const int64_t wanted = static_cast<int64_t>(*(*twins)[i]) - static_cast<int64_t>(i);
      if (wanted != shift) fmt::format_to(std::back_inserter(text), "#line {}{}", *(*twins)[i] + 1, mark);
      shift = wanted;
    }
    text += b[i];
  }
  return text;
}

std::optional<int> line_mark(string_view line) {
  constexpr string_view directive = "#line ";
  if (!line.starts_with(directive) || !line.ends_with(mark.substr(0, mark.size() - 1))) return std::nullopt;
  line.remove_prefix(directive.size());
  int number = 0;
  if (std::from_chars(line.data(), line.data() + line.size(), number).ec != std::errc{}) return std::nullopt;
  return number;
}

std::string without_line_marks(string_view text) {
  std::string result;
  for (string_view line : whole_lines(text))
    if (!line.ends_with('\n') || !line_mark(line.substr(0, line.size() - 1))) result += line;
  return result;
}

bool keep_line_numbers(const AppliedPatches& patches, const fs::path& source) {
  bool any = false;
  for (const std::string& path : patches.modified) {
    if (!is_c(path)) continue;
    const std::string patched = read_file_if_any(patches.directory / path);
    const std::string marked = with_original_lines(read_file_if_any(source / path), patched);
    if (marked == patched) continue;
    write_file(patches.directory / path, marked, Flush::no);
    any = true;
  }
  return any;
}

void drop_line_numbers(const AppliedPatches& patches, const fs::path& root) {
  for (const std::string& path : patches.modified)
    if (is_c(path)) write_file(root / path, without_line_marks(read_file(root / path)), Flush::no);
}

}  // namespace kpatch
