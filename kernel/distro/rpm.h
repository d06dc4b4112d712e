// Distributions whose packages are .rpm.
#pragma once

#include <filesystem>
#include <string>

#include "kernel/distro/distro.h"

namespace kpatch {

extern const Distro rpm;

// The files of a release below a root, where the packages put them; empty what isn't there.
KernelFiles files_of_rpms(const std::filesystem::path& root, const std::string& release);

}  // namespace kpatch
