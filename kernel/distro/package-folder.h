// A kernel's files from a folder of packages that somebody fetched: .deb, .ddeb, .rpm, .src.rpm, .dsc.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kernel/distro/distro.h"

namespace kpatch {

// What a package says of itself.
struct FoundPackage {
  std::filesystem::path file;
  std::string name, version, architecture;
  std::string made_from{};           // .rpm: the source package that it was built from
  std::vector<std::string> holds{};  // .rpm: paths, from the root
  enum class Kind { deb, rpm, dsc, source_rpm } kind = Kind::deb;
};

// All packages in a folder, by file name. Throws Error when it is no folder, has none, or one can't be read.
std::vector<FoundPackage> packages_in(const std::filesystem::path& folder, Executor& executor);

// The files of a release, unpacked in the cache. with_source: its source, too. Whose layout they have is told by the
// packages, not by the release: a kernel may be packed by others. Throws Error: a package is missing (by the name that its
// distribution gives it), is of another version or another architecture, or is damaged.
KernelFiles files_of_packages(const std::filesystem::path& folder, const std::string& release, bool with_source,
                              const DistroTools& tools);

// The releases whose kernels are in the folder's packages, sorted.
std::vector<std::string> releases_of(const std::vector<FoundPackage>& packages);

}  // namespace kpatch
