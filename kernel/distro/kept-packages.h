// What the cache holds of a release, whoever brought it there: an archive, or a folder of packages.
#pragma once

#include <optional>
#include <string>

#include "kernel/distro/distro.h"

namespace kpatch {

// The newest where there are builds of several versions; of equal ones that of an archive, whose signature was verified. The
// source is set where it came with the packages. Nothing when there is none.
std::optional<KernelFiles> kept_files(const std::string& release, const DistroTools& tools);

}  // namespace kpatch
