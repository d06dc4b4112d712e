// What a build tells at its end: to the terminal, and as JSON.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "klp/klp.h"
#include "kpatch-build/diff-pairs.h"
#include "kpatch-build/options.h"
#include "support/finding.h"

namespace kpatch {

// "vmlinux: meminfo_proc_show" … one line an object, the functions sorted.
std::string patched_functions(std::span<const PairReport> reports);

// --explain: each function, why it counts as changed, and what else is copied and why.
std::string explanation(std::span<const PairReport> reports);

// Of a module, in bytes: what its sections take in memory, and the file.
struct ModuleSize {
  uint64_t text = 0, data = 0, file = 0;
};
// Throws Error when the file isn't readable.
ModuleSize size_of_module(const std::filesystem::path& module);

// What --report holds, see doc/formats.md; no paths of this machine are in it. What isn't known yet is empty. Bytes that
// are no UTF-8 (of a patch's name) are replaced.
struct BuildFacts {
  std::string release{};
  std::string module{};
  std::vector<std::string> patch_digests{};  // of Options::patches; empty: they could not be read
  std::vector<std::string> patch_texts{};    // likewise
  int status = 0;                            // ExitCode
  std::vector<Finding> findings{};           // of the build as a whole
  std::vector<PairReport> objects{};
  std::optional<LivepatchContent> livepatch{};  // once there is a module
  std::optional<ModuleSize> size{};             // likewise, before it is signed
  std::string no_listings{};                    // why instructions can't be shown; empty: they can
};
std::string json_report(const BuildFacts& facts, const Options& options);

}  // namespace kpatch
