// A vmlinux with its symbols from a debuginfod server.
#pragma once

#include <filesystem>
#include <string>

#include "kernel/distro/distro.h"

namespace kpatch {

// Does DEBUGINFOD_URLS name a server?
bool has_debuginfod();

// The vmlinux of a kernel's image, in the cache; found by its build id. Throws Error when no server has it, or the
// image can't be read.
std::filesystem::path fetch_vmlinux(const std::filesystem::path& image, const std::string& release,
                                    const DistroTools& tools);

}  // namespace kpatch
