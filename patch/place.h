// Where the hunks of a patch belong in a file.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "patch/read.h"

namespace kpatch {

struct HunkPlace {
  std::optional<size_t> at{};  // its first line in the file, from 0; empty: it has no place
  int64_t offset = 0;          // lines from where its heading says
  std::string why{};           // it has none: why, where that is known; else its text simply isn't there
};

// One place a hunk, in their order. c: the file is C, so that the heading's function counts. Lines are compared byte by
// byte; with ignore_whitespace, runs of white space count as one blank where nothing fits otherwise.
std::vector<HunkPlace> place_hunks(std::span<const Hunk> hunks, const std::vector<std::string_view>& file, bool c,
                                   bool ignore_whitespace);

// The file with all hunks in their places, each of which has one. Context keeps the file's own white space.
std::string apply_hunks(std::span<const Hunk> hunks, std::span<const HunkPlace> places,
                        const std::vector<std::string_view>& file);

// Equal where runs of white space count as one blank, and none at the end.
bool equal_but_for_blanks(std::string_view a, std::string_view b);

}  // namespace kpatch
