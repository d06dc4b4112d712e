// Writing archives, through libarchive.
#pragma once

#include <filesystem>
#include <span>
#include <string>

namespace kpatch {

struct PackedTree {
  std::filesystem::path folder;  // with all below it, but devices and pipes; or a file
  std::string name;              // in the archive
};

// A tar archive, compressed by zstd, written whole or not at all. Owners aren't kept. What extract() takes. Throws Error.
void pack(const std::filesystem::path& target, std::span<const PackedTree> trees);

}  // namespace kpatch
