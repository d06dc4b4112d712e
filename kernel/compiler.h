// The compiler that a kernel was built with.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/console.h"
#include "support/executor.h"

namespace kpatch {

struct Compiler {
  std::vector<std::string> command;  // "gcc-12"
  std::string version;               // first line of --version, "gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0"
  std::string doubt{};               // why it isn't the one that was asked for; empty: it is
};

// What a banner says of the compiler ("Linux version R (who) (COMPILER, LINKER) #1 …"); empty when it doesn't.
std::string compiler_of_banner(std::string_view banner);
// The part of a version text that two installations of the same compiler share: the program's name is dropped.
std::string compiler_identity(std::string_view version);
// Programs that may be the compiler of a version text, the likeliest first. cross: "aarch64-linux-gnu-", what gcc is called
// by that compiles for another architecture; clang compiles for all.
std::vector<std::string> compiler_candidates(std::string_view version, std::string_view cross = {});

// Finds the compiler of a version text (empty: any gcc). Throws Error, naming it, when it isn't there;
// with skip_check another one is taken.
Compiler find_compiler(std::string_view version, bool skip_check, Executor& executor, std::string_view cross = {});

// The other programs whose version shapes what kbuild makes, and what they say of themselves: "assembler", "linker",
// "pahole", "rustc", "bindgen", "host compiler". "none" where one isn't there: kconfig then switches things off.
std::vector<std::pair<std::string, std::string>> toolchain(const Compiler& compiler, Executor& executor,
                                                           std::string_view cross = {});

// Tells apart what writes code, where versions don't: two builds of one version, a wrapper of that name, a variable of the
// environment. digest_of_program: of the file that a program's name leads to; anything where it leads to none.
std::string code_makers(const Compiler& compiler, Executor& executor, std::string_view cross,
                        const std::function<std::string(const std::string&)>& digest_of_program);

}  // namespace kpatch
