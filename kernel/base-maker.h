// Makes the base of a run, or finds it in the cache.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/base.h"
#include "kernel/cache.h"
#include "support/console.h"
#include "support/executor.h"

namespace kpatch {

// Where the kernel's compiler is taken from.
struct ToolchainOptions {
  std::filesystem::path given;  // --toolchain: a root that somebody made
  bool skip_compiler_check = false;
  // From now on commands run in that root; throws Error where they can't.
  std::function<void(const std::filesystem::path& root)> enter{};
};

// The options of the command line that decide about the base. Empty: not given.
struct BaseOptions {
  std::filesystem::path source;          // --sourcedir
  std::filesystem::path config;          // --config
  std::filesystem::path vmlinux;         // --vmlinux
  std::filesystem::path symvers;         // --symvers
  std::filesystem::path modules;         // --modules
  std::filesystem::path source_package;  // --sourcerpm
  std::string release;                   // --archversion: a release, or a series ("6.12-cloud")
  std::vector<std::string> targets;      // --target; empty: all
  unsigned jobs = 1;
  ToolchainOptions toolchain{};       // --toolchain, --skip-compiler-check
  std::string archive{};              // --archive
  std::filesystem::path archive_key;  // --archive-key
  std::filesystem::path packages{};   // --packages: a folder of them
  // How many objects a full build of a prepared base compiles, for its progress; may be empty.
  std::function<size_t(const Base& base)> count_objects{};
};

// A source without a vmlinux is an own kernel: it is built in full once. Everything else is a stock kernel: its
// release, else the vmlinux's banner, else `uname -r` says which. Shows its stages on the console.
// Throws Error (nothing half-made stays in the cache), Interrupted.
Base make_base(const BaseOptions& options, Cache& cache, Executor& executor, Console& console);

// lookup's index of a vmlinux, kept in the cache by the file's contents. Throws Error when it is no usable vmlinux.
std::filesystem::path vmlinux_index(const std::filesystem::path& vmlinux, Cache& cache, Console& console);

// "6.12.117+deb12-cloud-amd64" of "Linux version 6.12.117+deb12-cloud-amd64 (…".
std::string release_of_banner(std::string_view banner);

}  // namespace kpatch
