// Applying patches to copies of the files that they touch.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "patch/read.h"
#include "support/finding.h"

namespace kpatch {

// What all patches together do to the tree. Paths are relative to the source, each list is sorted.
struct AppliedPatches {
  std::filesystem::path directory;    // the new contents, each file under its path
  std::vector<std::string> modified;  // exist before and after, with other contents
  std::vector<std::string> added;
  std::vector<std::string> removed;
  std::vector<Finding> warnings;  // offsets, ignored white space, what reading mended

  // modified, added and removed together, sorted.
  std::vector<std::string> touched() const;
};

// Applies the patches in their order to copies below `directory` (made here). The source is only read.
// Throws Error naming every hunk that does not apply and why: already applied, white space differs, text differs, it fits at
// two places, or in another function than it names alone. Also for a path that leads through a symbolic link.
AppliedPatches apply_patches(std::span<const PatchText> patches, const std::filesystem::path& source,
                             const std::filesystem::path& directory, bool ignore_whitespace);

// Does the source have all that the patch adds, in its places, and nothing of what it removes? Never throws for what the
// patch and the source hold: what can't be told isn't applied.
bool is_applied(const PatchText& patch, const std::filesystem::path& source);

}  // namespace kpatch
