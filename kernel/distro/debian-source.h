// Debian's source package of a kernel, for what linux-source-X.Y lacks.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "kernel/distro/distro.h"

namespace kpatch {

// "rt" for a release of an rt kernel that was built with patches of its own: they lie in the source package alone
// (debian/patches-rt), and dpkg-source doesn't apply them. Since 6.13 the kernel needs none.
std::string_view debian_source_flavour(std::string_view release);

// Fetches the source package NAME (AptPackage::source) of exactly that version into the folder, from the suites in which
// such a release is. Gives the .dsc. Throws Error when none of them has it.
std::filesystem::path fetch_source_package(const std::string& name, const std::string& version,
                                           const std::string& release, const std::filesystem::path& directory,
                                           const DistroTools& tools);

// Makes directory/"tree" of a .dsc; flavour: debian_source_flavour(). Throws Error, naming a missing tool, or the patch that
// doesn't apply.
void unpack_debian_source(const std::filesystem::path& package, const std::filesystem::path& directory,
                          std::string_view flavour, const DistroTools& tools);

}  // namespace kpatch
