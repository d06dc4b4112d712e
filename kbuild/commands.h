// How kbuild compiles the objects of a base: asked of kbuild itself.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "kernel/kernel.h"
#include "support/executor.h"

namespace kpatch {

// Where the base keeps an answer about its build by this name; its folder is made. Throws Error when it can't be.
std::filesystem::path memo_file(const Base& base, std::string_view name);

// Compiles every object of vmlinux and the modules in a prepared kbuild folder, and links nothing of it: --full. Never
// for a base.
Command build_command(const Base& base, unsigned jobs);

// Makes one file that the folder's Makefile generates; both relative to base.kbuild. Run it under the base's lock.
Command file_command(const Base& base, std::string_view folder, std::string_view file);

// What kbuild would compile for the folder (relative to the source, with its subfolders): sorted by object. Kept in
// the base. Empty when the folder has no Makefile. An object that several modules share names them with colons
// between, "lib/a:lib/b" (the functions below that look at what was shipped give it once for each).
std::vector<CompileCommand> directory_commands(const Base& base, Executor& executor, std::string_view directory);
// The whole kernel's.
std::vector<CompileCommand> all_commands(const Base& base, Executor& executor);

// The objects of the kernel (shipped vmlinux and modules) that are compiled from this .c, usually one; more where
// several folders build the same file; none when the configuration doesn't build it, or when another .c includes it.
// source: relative to the source tree, normalised.
std::vector<CompileCommand> commands_for_source(const Base& base, Executor& executor, std::string_view source);

// All commands of all_commands() that are part of the shipped kernel.
std::vector<CompileCommand> shipped_commands(const Base& base, Executor& executor);

}  // namespace kpatch
