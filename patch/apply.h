// Applying patches to copies of the files that they touch.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "support/finding.h"

namespace kpatch {

class Executor;

// What all patches together do to the tree. Paths are relative to the source, each list is sorted.
struct AppliedPatches {
  std::filesystem::path directory;    // the new contents, each file under its path
  std::vector<std::string> modified;  // exist before and after, with other contents
  std::vector<std::string> added;
  std::vector<std::string> removed;
  std::vector<Finding> warnings;  // fuzz, ignored white space, what reading mended

  // modified, added and removed together, sorted.
  std::vector<std::string> touched() const;
};

// Applies the patches in their order to copies below `directory` (made here). The source is only read.
// Throws Error naming every hunk that does not apply and why: already applied, white space differs, text differs.
AppliedPatches apply_patches(std::span<const std::filesystem::path> patches, const std::filesystem::path& source,
                             const std::filesystem::path& directory, bool ignore_whitespace, Executor& executor);

}  // namespace kpatch
