// What making a stock base and making an own one share.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernel/base-maker.h"
#include "kernel/compiler.h"
#include "kernel/config.h"
#include "kernel/distro/distro.h"
#include "kernel/source-tree.h"
#include "kernel/toolchain.h"
#include "lookup/lookup.h"

namespace kpatch {

// A stock kernel; every field of files is set. Its checks, its base.
Base make_stock_base(const BaseOptions& options, const KernelFiles& files, Cache& cache, Executor& executor,
                     Console& console);
// An own kernel: source tree and config of the user.
Base make_own_base(const BaseOptions& options, Cache& cache, Executor& executor, Console& console);

// Throws Error when no livepatch can be made for kernels of that machine yet.
void require_parts(uint16_t machine);

// Throws Error when the vmlinux is of another architecture or one that isn't supported, has no symbols or no banner, or isn't of this source.
void check_vmlinux(const Binary& vmlinux, const std::filesystem::path& path, std::string_view source_version);
// Ubuntu's releases and banners have an ABI number in place of the version's third part ("5.15.0-91-generic" is of 5.15.131); its
// config tells, CONFIG_VERSION_SIGNATURE="Ubuntu 5.15.0-91.101-generic 5.15.131". Throws Error when the source is another's.
void check_signature(const KernelConfig& config, std::string_view source_version);
// The kernel version that a banner stands for: of the release, or of the package that the banner names where the
// release only has an ABI number (6.1.0-56 is 6.1.192).
std::string version_of_banner(std::string_view banner);

// Are flex, bison, bc and make there? Throws one Error with all that are missing.
void require_build_tools();

// All that a base is made from; two bases that differ in any of it are two.
struct BaseInputs {
  std::string kind;  // "stock 2", "own 2": the number changes when the way of making does
  std::string release{};
  std::string source{};       // its identity
  std::string source_path{};  // kbuild records it
  std::string config{};       // its text
  std::string symvers{};      // its text; empty: made here
  std::string vmlinux{};      // its digest; empty: made here
  std::string targets{};
  std::string compiler{};
  std::vector<std::pair<std::string, std::string>> tools{};  // toolchain()
  std::string root{};                                        // in which those are; empty: this machine's
  std::string code_makers{};                                 // of what is compiled for the base; empty: nothing is
  bool skip_compiler_check = false;                          // differences that are accepted with it aren't without
};
CacheKey key_of(const BaseInputs& inputs);
// What they are of a stock kernel of that release. Files are read.
BaseInputs stock_inputs(const BaseOptions& options, const KernelFiles& files, std::string release,
                        const Toolchain& toolchain, Cache& cache);
// Of an own kernel.
BaseInputs own_inputs(const BaseOptions& options, const SourceTree& source, const std::filesystem::path& config,
                      const Toolchain& toolchain);

// A notice, of a base that is about to be made.
Finding why_base_is_made(const Cache& cache, const CacheKey& key, std::string_view kernel);

// UTS_RELEASE in include/generated/utsrelease.h, which becomes a module's vermagic.
std::string prepared_release(const std::filesystem::path& kbuild);

}  // namespace kpatch
