// What the cache holds of a release, whoever brought it there: an archive, or a folder of packages.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "kernel/distro/distro.h"

namespace kpatch {

// The newest where there are builds of several versions; of equal ones that of an archive, whose signature was verified. The
// source is set where it came with the packages. Nothing when there is none.
std::optional<KernelFiles> kept_files(const std::string& release, const DistroTools& tools);

// The files of a release as they lie in one entry of the cache; those that aren't there are empty.
KernelFiles files_of_kept(const std::filesystem::path& entry, const std::string& release);

// A list in an entry, as md5sum reads it: what its packages say of their files.
inline constexpr std::string_view md5sums_name = "md5sums";
// What a .deb says of its files, of those that are in the folder (empty: of all); empty when it says nothing.
std::string md5sums_of(const std::filesystem::path& package, const std::filesystem::path& directory,
                       Executor& executor);

// What is wrong with an entry of packages: a file that isn't as its package had it, a package that was kept and isn't as
// the archive has it, or can't be read to its end. Empty: nothing, as far as the packages say.
std::string damage_of_kept(const std::filesystem::path& entry, const DistroTools& tools);

}  // namespace kpatch
