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
#include <iterator>
#include <optional>
#include <vector>

#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string_view;
using Lines = std::vector<string_view>;

constexpr string_view mark = " /* kpatch */\n";
constexpr size_t most_edits = 4000;

// For each line of b the line of a that it is, or none: Myers, "An O(ND) difference algorithm". Gives up behind
// most_edits insertions and removals.
std::optional<std::vector<std::optional<size_t>>> match(const Lines& a, const Lines& b) {
  const auto n = static_cast<int64_t>(a.size()), m = static_cast<int64_t>(b.size());
  const int64_t limit = std::min<int64_t>(n + m, most_edits);
  std::vector<int64_t> furthest(static_cast<size_t>(2 * limit + 2), 0);
  const auto at = [&](int64_t k) -> int64_t& { return furthest[static_cast<size_t>(k + limit)]; };
  std::vector<std::vector<int64_t>> trace;
  int64_t edits = -1;
  for (int64_t d = 0; d <= limit && edits < 0; ++d) {
    trace.emplace_back(furthest.begin() + (limit - d), furthest.begin() + (limit + d + 1));
    for (int64_t k = -d; k <= d; k += 2) {
      int64_t x = k == -d || (k != d && at(k - 1) < at(k + 1)) ? (d == 0 ? 0 : at(k + 1)) : at(k - 1) + 1;
      while (x < n && x - k < m && a[static_cast<size_t>(x)] == b[static_cast<size_t>(x - k)]) ++x;
      at(k) = x;
      if (x >= n && x - k >= m) edits = d;
    }
  }
  if (edits < 0) return std::nullopt;
  std::vector<std::optional<size_t>> twins(b.size());
  int64_t x = n, y = m;
  for (int64_t d = edits; d >= 0 && (x > 0 || y > 0); --d) {
    // trace[d] holds what the step before left, for diagonals -d … d
    const auto before = [&](int64_t k) {
      return k < -d || k > d ? int64_t{0} : trace[static_cast<size_t>(d)][static_cast<size_t>(k + d)];
    };
    const int64_t k = x - y;
    const bool down = d != 0 && (k == -d || (k != d && before(k - 1) < before(k + 1)));
    const int64_t start_x = d == 0 ? 0 : down ? before(k + 1) : before(k - 1) + 1;
    while (x > start_x) {
      --x, --y;
      twins[static_cast<size_t>(y)] = static_cast<size_t>(x);
    }
    if (d != 0) (down ? y : x) -= 1;
  }
  return twins;
}

bool is_c(const fs::path& path) { return path.extension() == ".c" || path.extension() == ".h"; }

}  // namespace

std::string with_original_lines(string_view original, string_view patched) {
  const Lines a = whole_lines(original), b = whole_lines(patched);
  const auto twins = match(a, b);
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

std::string without_line_marks(string_view text) {
  std::string result;
  for (string_view line : whole_lines(text))
    if (!line.starts_with("#line ") || !line.ends_with(mark)) result += line;
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
