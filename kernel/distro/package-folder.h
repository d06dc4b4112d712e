// A kernel's files from a folder of packages that somebody fetched: .deb, .ddeb, .rpm, .src.rpm, .dsc.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
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

// The image and the modules alone, unpacked below `target`, an empty folder: what it takes to boot a kernel. Packages of a
// build (debug information, headers) may be missing. The other fields are those that happen to be there. wanted: a release
// or, where one kernel alone fits, a series; empty: the only kernel. Throws Error as files_of_packages() does.
KernelFiles files_to_boot(const std::filesystem::path& folder, std::string_view wanted,
                          const std::filesystem::path& target, const DistroTools& tools);

// The one release in the packages that is wanted: by its name, by its series, or because there is no other. Throws Error
// where it isn't one.
std::string release_in(const std::filesystem::path& folder, std::string_view wanted, Executor& executor);

// The releases whose kernels are in the folder's packages, sorted.
std::vector<std::string> releases_of(const std::vector<FoundPackage>& packages);

}  // namespace kpatch
