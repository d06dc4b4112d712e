// A private copy of a user's kernel source, and its identity.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/cache.h"
#include "support/console.h"
#include "support/executor.h"

namespace kpatch {

// One file of a source tree as stat sees it.
struct SourceFile {
  std::string path;  // relative
  uint64_t size = 0;
  int64_t mtime_ns = 0;
  int64_t ctime_ns = 0;
  uint64_t inode = 0;
  bool operator==(const SourceFile&) const = default;
};

// The files that make up the source, sorted by path: of a git tree what is tracked (as on disk) and what is untracked
// but not ignored; of a plain tree everything but build products. Nothing is written to the tree.
// Throws Error when it is no kernel source or can't be read.
std::vector<SourceFile> list_source(const std::filesystem::path& tree, Executor& executor);
// One line a file; parse_manifest(format_manifest(x)) == x. Empty on a malformed text.
std::string format_manifest(const std::vector<SourceFile>& files);
std::optional<std::vector<SourceFile>> parse_manifest(std::string_view text);

struct SourceTree {
  std::filesystem::path path;  // ours, clean, never changed again
  std::string identity;        // digest of names, modes and contents
};

// The copy of the user's tree in the cache; made when the tree changed since the last run (one stat pass otherwise).
// A tree that lies in the cache is its own copy. Throws Error when the tree can't be read or is no kernel source.
SourceTree private_copy(const std::filesystem::path& tree, Cache& cache, Executor& executor, Console& console);

// "6.12.117" (and EXTRAVERSION, "6.13.0-rc2") from the top Makefile. Throws Error when it is no kernel's.
std::string kernel_version(const std::filesystem::path& tree);

}  // namespace kpatch
