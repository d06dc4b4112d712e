// Roots with a Debian suite's compiler.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "kernel/distro/distro.h"

namespace kpatch {

// Distro::make_toolchain, by mmdebstrap.
void make_debian_toolchain(const ToolchainNeeds& needs, std::string_view release, const std::filesystem::path& root,
                           const DistroTools& tools);

// "gcc-14", "14.2.0-19" of "x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0"; empty when Debian didn't build it.
struct PackagedCompiler {
  std::string package, version;
};
PackagedCompiler packaged_compiler(std::string_view version_text);

}  // namespace kpatch
