// Calling the kernel's make as a base was made with.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/base.h"
#include "support/executor.h"

namespace kpatch {

// A make of the base that later runs must use: `make -C KBUILD CC=… KERNELRELEASE=… arguments`, the variables as the
// base was made with. For external modules: {"M=DIR", "modules"}.
Command kbuild_make(const Base& base, std::vector<std::string> arguments);

// `make -C SOURCE O=KBUILD CC=… KERNELRELEASE=… targets`; empty release: kbuild's own.
Command prepare_command(const Base& base, std::vector<std::string> targets, unsigned jobs);
// Throws the Error of a failed make, with the program or header that is missing where the output tells it.
[[noreturn]] void fail_make(const Executor& executor, const std::string& what, const CommandResult& result);
// The shipped file of a module ("net/netfilter/xt_comment"), plain or compressed.
std::optional<std::filesystem::path> module_file(const Base& base, std::string_view module);

}  // namespace kpatch
