// A kernel's .config: what a livepatch needs of it, and what may differ between two of them.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace kpatch {

struct Arch;

// Options are named without CONFIG_. What is not set is not in it.
class KernelConfig {
 public:
  static KernelConfig parse(std::string_view text);
  // Throws Error when the file can't be read or holds no options.
  static KernelConfig read(const std::filesystem::path& path);

  bool enabled(std::string_view option) const;  // y or m
  std::string_view value(
      std::string_view option) const;  // as written: y, m, "text" with its quotes, 12; empty: not set

  const std::map<std::string, std::string, std::less<>>& options() const { return options_; }

 private:
  std::map<std::string, std::string, std::less<>> options_;
};

// Whose kernel it configures; that of this machine where the config doesn't say.
const Arch& arch_of(const KernelConfig& config);

// Every option that livepatching needs and the config lacks, one message each. Empty: all is there.
std::vector<std::string> missing_options(const KernelConfig& config);
// Throws one Error with all of them. what: the file or the kernel they are missing from.
void require_livepatch(const KernelConfig& config, const std::string& what);

// Differences between the shipped config and what kconfig made of it here that would give other code or other
// structs, one message each, with what to install where it is known. other_compiler: --skip-compiler-check, what
// follows from the compiler's version is then accepted.
std::vector<std::string> config_differences(const KernelConfig& shipped, const KernelConfig& ours, bool other_compiler);

// What a config sets and the kernel built from it lacks, one message each: kconfig drops what the machine's tools can't do,
// and what another option forbids. For a kernel of one's own, where this is no error.
std::vector<std::string> lost_options(const KernelConfig& given, const KernelConfig& made);

// Whether the kernel's build runs objtool over what was compiled alone, never over what a module is linked from: before
// 5.18, where the module's Kbuild has to add that run.
bool objtool_sees_single_files(const KernelConfig& config, const std::filesystem::path& source);
// Throws Error when that is so, and its command isn't one that can be added.
void require_whole_objtool(const KernelConfig& config, const std::filesystem::path& source);

// Throws Error when a compiler plugin makes other code of the same source with each seed: latent entropy always (its seed is drawn
// by each compilation), the random layout of structs where the seed isn't the one of the kernel that runs. own_seed: it is,
// since the kernel was built here.
void require_no_random_code(const KernelConfig& config, const std::string& what, bool own_seed);

}  // namespace kpatch
