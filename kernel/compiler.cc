// Finding the compiler of a kernel.
//
//     Linux version 6.1.0-9-cloud-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14) 12.2.0, GNU ld …)
//     #1
//
// Another compiler, or the same one patched differently, inlines and allocates registers in other ways: its object is
// not the code that runs, and a diff against it says nothing. So the text in the banner (kbuild's CC_VERSION_TEXT, the
// first line of `--version`) must be the one that our compiler prints, up to the name it was called by.
#include "kernel/compiler.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <optional>

#include "kernel/distro/distro.h"
#include "support/digest.h"
#include "support/error.h"

namespace kpatch {

namespace {

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string_view last_word(std::string_view text) { return text.substr(text.rfind(' ') + 1); }

// "12.2.0" -> "12"
std::string_view major(std::string_view version) { return version.substr(0, version.find('.')); }

std::string_view clang_number(std::string_view text) {
  size_t at = text.find("clang version ");
  if (at == std::string_view::npos) return {};
  text.remove_prefix(at + 14);
  return text.substr(0, text.find_first_of(" ("));
}

}  // namespace

std::string compiler_of_banner(std::string_view banner) {
  // The second group in parentheses; groups nest: "(gcc-12 (Debian …) 12.2.0, GNU ld (GNU Binutils) 2.40)".
  unsigned depth = 0, group = 0;
  size_t start = 0;
  for (size_t i = 0; i < banner.size(); i++) {
    if (banner[i] == '(' && depth++ == 0 && ++group == 2) start = i + 1;
    if (banner[i] != ')' || depth == 0 || --depth > 0 || group != 2) continue;
    std::string_view inside = banner.substr(start, i - start);
    size_t comma = std::string_view::npos;
    for (std::string_view linker : {", GNU ld", ", GNU gold"}) comma = std::min(comma, inside.find(linker));
    // ", LLD 16.0.6", with the name of who built it before it.
    if (size_t lld = inside.find(" LLD "); lld != std::string_view::npos)
      comma = std::min(comma, inside.rfind(", ", lld));
    if (comma == std::string_view::npos) comma = inside.rfind(", ");
    return std::string(inside.substr(0, comma));
  }
  return "";
}

std::string compiler_identity(std::string_view version) {
  if (version.find("clang version") != std::string_view::npos) return std::string(version);
  size_t space = version.find(' ');
  return std::string(space == std::string_view::npos ? version : version.substr(space + 1));
}

std::vector<std::string> compiler_candidates(std::string_view version, std::string_view cross) {
  std::vector<std::string> result;
  auto add = [&](std::string program) {
    if (std::ranges::find(result, program) == result.end()) result.push_back(std::move(program));
  };
  if (auto number = clang_number(version); !number.empty()) {
    add(fmt::format("clang-{}", major(number)));
    add("clang");
    return result;
  }
  const std::string gcc = fmt::format("{}gcc", cross);
  if (version.empty()) return {gcc};
  std::string_view program = version.substr(0, version.find(' '));
  std::string_view number = last_word(version);
  if (!number.empty() && std::isdigit(static_cast<unsigned char>(number[0])))
    add(fmt::format("{}-{}", gcc, major(number)));
  if (program.find('/') == std::string_view::npos && program.find("gcc") != std::string_view::npos &&
      program.starts_with(cross))
    add(std::string(program));
  add(gcc);
  return result;
}

Compiler find_compiler(std::string_view version, bool skip_check, Executor& executor, std::string_view cross) {
  std::vector<Compiler> found;
  for (auto& program : compiler_candidates(version, cross)) {
    std::optional<CommandResult> answer;
    try {
      answer = executor.run({{program, "--version"}, {}, {}});
    } catch (const Error&) {
      continue;  // not installed
    }
    if (!answer->ok()) continue;
    Compiler compiler{{program}, first_line(answer->output)};
    if (version.empty() || compiler_identity(compiler.version) == compiler_identity(version)) return compiler;
    found.push_back(std::move(compiler));
  }
  std::string install = compiler_candidates(version, cross)[0];
  if (found.empty())
    throw Error(version.empty() ? fmt::format("no compiler is installed{}", package_hint({install}))
                                : fmt::format("this kernel was compiled by {}, which is not installed{}", version,
                                              package_hint({install})));
  std::string message = fmt::format("this kernel was compiled by {}, here is {}", version, found[0].version);
  if (!skip_check)
    throw Error(message + fmt::format("\n>>> install the kernel's compiler{}, or pass --skip-compiler-check and rely "
                                      "on the proof",
                                      package_hint({install})));
  found[0].doubt = message + "; it may produce other code";
  return found[0];
}

namespace {

// The first line of what it says; empty when it can't be asked.
std::string answer(std::vector<std::string> argv, Executor& executor) {
  try {
    const CommandResult result = executor.run({std::move(argv), {}, {}});
    return result.ok() ? first_line(result.output) : "";
  } catch (const Error&) {
    return "";
  }
}

struct Programs {
  std::string assembler, linker;
};

Programs programs_of(const std::string& compiler, Executor& executor, std::string_view cross) {
  if (const size_t clang = compiler.rfind("clang"); clang != std::string::npos)
    return {compiler, "ld.lld" + compiler.substr(clang + 5)};  // assembles itself; what LLVM=-16 means to kbuild
  return {answer({compiler, "-print-prog-name=as"}, executor), fmt::format("{}ld", cross)};
}

}  // namespace

std::vector<std::pair<std::string, std::string>> toolchain(const Compiler& compiler, Executor& executor,
                                                           std::string_view cross) {
  const Programs programs = programs_of(compiler.command[0], executor, cross);
  std::vector<std::pair<std::string, std::string>> tools = {{"assembler", programs.assembler},
                                                            {"linker", programs.linker},
                                                            {"pahole", "pahole"},
                                                            {"rustc", "rustc"},
                                                            {"bindgen", "bindgen"},
                                                            {"host compiler", "gcc"}};
  for (auto& [name, program] : tools) {
    const std::string version = answer({program, "--version"}, executor);
    program = version.empty() ? "none" : version;
  }
  return tools;
}

std::string code_makers(const Compiler& compiler, Executor& executor, std::string_view cross,
                        const std::function<std::string(const std::string&)>& digest_of_program) {
  const std::string& driver = compiler.command[0];
  const Programs programs = programs_of(driver, executor, cross);
  std::string all;
  for (const std::string& program :
       {driver, answer({driver, "-print-prog-name=cc1"}, executor), programs.assembler, programs.linker})
    all += fmt::format("{} {}\n", program, digest_of_program(program));
  // gcc(1), ENVIRONMENT; clang's lib/Driver/ToolChain.cpp
  for (const char* name : {"CPATH", "C_INCLUDE_PATH", "COMPILER_PATH", "GCC_COMPARE_DEBUG", "GCC_EXEC_PREFIX",
                           "CCC_OVERRIDE_OPTIONS", "SOURCE_DATE_EPOCH"})
    if (const char* value = std::getenv(name)) all += fmt::format("{}={}\n", name, value);
  return digest_of(all);
}

}  // namespace kpatch
