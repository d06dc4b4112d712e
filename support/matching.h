// Which lines of two texts are the same ones.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace kpatch {

// For each line of b the line of a that it is, or none; both in rising order: their longest common subsequence (Myers,
// "An O(ND) difference algorithm", linear for small changes). Gives up behind most_edits insertions and removals.
std::optional<std::vector<std::optional<size_t>>> matched_lines(std::span<const std::string_view> a,
                                                                std::span<const std::string_view> b, size_t most_edits);

}  // namespace kpatch
