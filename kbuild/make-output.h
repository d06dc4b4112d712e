// What `make -n` prints, read: the compilations of the kernel's C files.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/kernel.h"

namespace kpatch {

// The simple commands of one line of shell: split at ; && || | and newlines outside quotes, each into its words, with
// quotes and backslashes removed. Redirections and variables are left as they are. Throws Error on an open quote.
std::vector<std::vector<std::string>> split_shell(std::string_view text);

// The kernel C compilations in what `make -n` printed, in its order; each object once. Their module is the bare
// KBUILD_MODNAME.
std::vector<CompileCommand> parse_commands(std::string_view make_output, const std::filesystem::path& source);

// Did make get to the end of each folder of query.mk? printed: its list; messages: what it said on stderr.
bool is_whole(std::string_view printed, std::string_view messages);

// Did a Makefile include one that isn't there? So it is with one that is itself included, from the folder above.
bool lacks_makefile(std::string_view messages);

}  // namespace kpatch
