#include "support/matching.h"

#include <algorithm>
#include <cstdint>

namespace kpatch {

std::optional<std::vector<std::optional<size_t>>> matched_lines(std::span<const std::string_view> a,
                                                                std::span<const std::string_view> b,
                                                                size_t most_edits) {
  const auto n = static_cast<int64_t>(a.size()), m = static_cast<int64_t>(b.size());
  const int64_t limit = std::min(n + m, static_cast<int64_t>(most_edits));
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

}  // namespace kpatch
