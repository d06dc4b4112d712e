// Two listings of a function, line beside line.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "kpatch-build/listings.h"

namespace kpatch {

// One of both may be missing.
struct SideBySideRow {
  std::optional<size_t> original, patched;  // indices into the listing
  bool differs = false;
};

// All lines of both sides, in their order.
std::vector<SideBySideRow> side_by_side(const FunctionListing& listing);

// Runs of rows [begin, end): those that differ, with `context` rows around them, are shown, the others between are not.
struct RowRun {
  size_t begin = 0, end = 0;
  bool shown = true;
};
std::vector<RowRun> runs_of(const std::vector<SideBySideRow>& rows, size_t context);

}  // namespace kpatch
