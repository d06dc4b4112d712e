// A kernel's .config: what a livepatch needs of it, and what may differ between two of them.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace kpatch {

// Option without CONFIG_ -> value as written ("y", "m", "\"text\"", "12"). What is not set is not in it.
using KernelConfig = std::map<std::string, std::string, std::less<>>;

KernelConfig parse_config(std::string_view text);
// Throws Error when the file can't be read or holds no options.
KernelConfig read_config(const std::filesystem::path& path);

// Every option that livepatching needs and the config lacks, one message each. Empty: all is there.
std::vector<std::string> missing_options(const KernelConfig& config);
// Throws one Error with all of them. what: the file or the kernel they are missing from.
void require_livepatch(const KernelConfig& config, const std::string& what);

// Differences between the shipped config and what kconfig made of it here that would give other code or other
// structs, one message each, with what to install where it is known. other_compiler: --skip-compiler-check, what
// follows from the compiler's version is then accepted.
std::vector<std::string> config_differences(const KernelConfig& shipped, const KernelConfig& ours, bool other_compiler);

}  // namespace kpatch
