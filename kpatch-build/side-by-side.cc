// Which instruction of the patched function is which of the original one
//
//     call foo        call foo
//                     test %eax, %eax         only in the patched one
//     jne  L1         jne  L1                 the same: both lead to one row, at other offsets
//     mov $1, %edi    mov $2, %edi            between equal ones, as many on both sides: beside each other
// L1: ret             ret
//
// Instructions are matched by their text without where a branch leads to; whether branches lead to the same place is
// seen once all rows are known.
#include "kpatch-build/side-by-side.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_map>

#include "support/matching.h"

namespace kpatch {
namespace {

constexpr size_t most_edits = 2000;

std::vector<std::string_view> texts_of(const std::vector<ListedLine>& lines) {
  std::vector<std::string_view> texts;
  texts.reserve(lines.size());
  for (const ListedLine& line : lines) texts.emplace_back(line.text);
  return texts;
}

}  // namespace

std::vector<SideBySideRow> side_by_side(const FunctionListing& listing) {
  const auto &a = listing.original, &b = listing.patched;
  // What differs too much to be matched has no twins: row for row, then.
  const auto twins =
      matched_lines(texts_of(a), texts_of(b), most_edits).value_or(std::vector<std::optional<size_t>>(b.size()));
  std::vector<SideBySideRow> rows;
  size_t i = 0, j = 0;
  const auto between = [&](size_t a_end, size_t b_end) {
    while (i < a_end || j < b_end) {
      SideBySideRow row{{}, {}, true};
      if (i < a_end) row.original = i++;
      if (j < b_end) row.patched = j++;
      rows.push_back(row);
    }
  };
  for (size_t k = 0; k < b.size(); ++k) {
    if (!twins[k]) continue;
    between(*twins[k], k);
    rows.push_back({i++, j++, false});
  }
  between(a.size(), b.size());

  std::unordered_map<uint64_t, size_t> row_of_original, row_of_patched;
  for (size_t r = 0; r < rows.size(); ++r) {
    if (rows[r].original) row_of_original[a[*rows[r].original].offset] = r;
    if (rows[r].patched) row_of_patched[b[*rows[r].patched].offset] = r;
  }
  const auto target = [](const std::unordered_map<uint64_t, size_t>& row_of, const ListedLine& line) {
    const auto found = line.to ? row_of.find(*line.to) : row_of.end();
    return found == row_of.end() ? std::optional<size_t>{} : found->second;
  };
  for (SideBySideRow& row : rows) {
    if (!row.original || !row.patched) continue;
    const ListedLine &x = a[*row.original], &y = b[*row.patched];
    row.differs = x.text != y.text || x.to.has_value() != y.to.has_value() ||
                  target(row_of_original, x) != target(row_of_patched, y);
  }
  return rows;
}

std::vector<RowRun> runs_of(const std::vector<SideBySideRow>& rows, size_t context) {
  std::vector<RowRun> runs;
  const auto add = [&](size_t begin, size_t end, bool shown) {
    if (begin == end) return;
    if (!runs.empty() && runs.back().shown == shown)
      runs.back().end = end;
    else
      runs.push_back({begin, end, shown});
  };
  size_t done = 0;  // up to where runs reach
  for (size_t r = 0; r < rows.size(); ++r) {
    if (!rows[r].differs) continue;
    const size_t begin = std::max(done, r - std::min(r, context)), end = std::min(rows.size(), r + 1 + context);
    add(done, begin, begin - done <= 2);  // two rows are shorter than a word about them
    add(begin, std::max(begin, end), true);
    done = std::max(done, end);
  }
  add(done, rows.size(), rows.size() - done <= 2);
  return runs;
}

}  // namespace kpatch
