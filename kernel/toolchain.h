// Where a kernel is compiled: with this machine's programs, or in a root that has the kernel's own.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernel/base-maker.h"
#include "kernel/compiler.h"
#include "kernel/config.h"
#include "kernel/distro/distro.h"

namespace kpatch {

struct Toolchain {
  Compiler compiler;
  std::vector<std::pair<std::string, std::string>> tools;  // toolchain(compiler)
  std::filesystem::path root;                              // empty: this machine's
  std::string code_makers;                                 // Base::code_makers
};

// compiler: of the banner, where the config doesn't say (before 5.8).
ToolchainNeeds toolchain_needs(const KernelConfig& config, const std::string& compiler);

// How the programs differ from the needed ones, "pahole is v1.24, the kernel's was 1.30"; nothing where all fit, or the
// kernel doesn't say.
std::vector<std::string> misfits(const ToolchainNeeds& needs,
                                 const std::vector<std::pair<std::string, std::string>>& tools);

// The given root; else this machine, if its programs fit; else a root that the distribution of the release makes, kept
// in the cache for all kernels with the same needs. Throws Error when the kernel's compiler isn't to be had.
Toolchain find_toolchain(const ToolchainNeeds& needs, const std::string& release, const ToolchainOptions& options,
                         const DistroTools& tools);

// This machine's, for a kernel that is built here: the named compiler if there is one, else any. cross: as of
// ToolchainNeeds.
Toolchain our_toolchain(const std::string& compiler, const std::string& cross, const DistroTools& tools);

// ToolchainNeeds::cross for a kernel of that architecture; empty for this machine's own.
std::string cross_prefix(const Arch& arch);

// The file that a program of a root is ("gcc-14", "/usr/libexec/…/cc1"): links are followed as they lead within it.
std::optional<std::filesystem::path> program_in(const std::filesystem::path& root, const std::string& program);

}  // namespace kpatch
