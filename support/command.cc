// The environment of a command, and how it is written down
//
// A build's code shall not depend on the shell that it was started from:
//
//     export KCFLAGS=-O3 ARCH=i386        # of the user, for another kernel
//
// would give other code than the kernel's. So the environment is ours without the variables that steer make, kbuild or
// the compiler, and messages are in English, since some of them are read.
#include "support/command.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "support/text.h"

namespace kpatch {
namespace {

constexpr std::array scrubbed = {
    "MAKEFLAGS",
    "MAKELEVEL",
    "MFLAGS",
    "MAKEOVERRIDES",
    "GNUMAKEFLAGS",
    "KCFLAGS",
    "KCPPFLAGS",
    "KAFLAGS",
    "KRUSTFLAGS",
    "KBUILD_OUTPUT",
    "KBUILD_EXTMOD",
    "KBUILD_CFLAGS",
    "KBUILD_CPPFLAGS",
    "KBUILD_AFLAGS",
    "KBUILD_VERBOSE",
    "KBUILD_MODPOST_WARN",
    "KBUILD_EXTRA_SYMBOLS",
    "KBUILD_BUILD_TIMESTAMP",
    "KCONFIG_CONFIG",
    "KCONFIG_ALLCONFIG",
    "KERNELRELEASE",
    "LOCALVERSION",
    "CONFIG_SHELL",
    "ARCH",
    "SUBARCH",
    "CROSS_COMPILE",
    "LLVM",
    "LLVM_IAS",
    "CC",
    "LD",
    "AR",
    "AS",
    "NM",
    "OBJCOPY",
    "OBJDUMP",
    "STRIP",
    "HOSTCC",
    "HOSTCXX",
    "CFLAGS",
    "CPPFLAGS",
    "LDFLAGS",
    "CPATH",
    "C_INCLUDE_PATH",
    "GCC_EXEC_PREFIX",
    "COMPILER_PATH",
    "LIBRARY_PATH",
    "DEPENDENCIES_OUTPUT",
    "SUNPRO_DEPENDENCIES",
    "GCC_COLORS",
    "srctree",
    "objtree",
    "abs_srctree",
    "abs_objtree",
    "sub_make_done",
    "TAR_OPTIONS",
    "M",
    "O",
    "V",
    "W",
};

// Single quotes where a shell would need them, so that a line of the log can be pasted.
std::string shell_word(std::string_view word) {
  auto plain = [](char c) { return isalnum(static_cast<unsigned char>(c)) || std::strchr("_-+=/.,:@%", c); };
  if (!word.empty() && std::ranges::all_of(word, plain)) return std::string(word);
  std::string result = "'";
  for (char c : word) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

}  // namespace

std::vector<std::string> environment_of(const Command& command) {
  std::vector<std::string> result;
  auto named = [](std::string_view entry) { return entry.substr(0, entry.find('=')); };
  for (char** entry = environ; *entry; entry++) {
    std::string_view name = named(*entry);
    if (std::ranges::find(scrubbed, name) != scrubbed.end() || name == "LC_ALL" || name == "LANGUAGE" ||
        std::ranges::any_of(command.environment, [&](auto& added) { return added.first == name; }))
      continue;
    result.emplace_back(*entry);
  }
  result.emplace_back("LC_ALL=C");
  for (auto& [name, value] : command.environment) result.push_back(name + "=" + value);
  return result;
}

std::string command_line(const Command& command) {
  std::string line;
  if (!command.directory.empty()) line += "cd " + shell_word(command.directory.string()) + " && ";
  for (auto& [name, value] : command.environment) line += name + "=" + shell_word(value) + " ";
  for (size_t i = 0; i < command.argv.size(); i++) line += (i ? " " : "") + shell_word(command.argv[i]);
  return line;
}

std::optional<std::filesystem::path> find_program(const std::string& name) {
  const auto runs = [](const std::filesystem::path& file) {
    std::error_code ignored;
    return std::filesystem::is_regular_file(file, ignored) && access(file.c_str(), X_OK) == 0;
  };
  if (name.find('/') != std::string::npos)
    return runs(name) ? std::optional<std::filesystem::path>(name) : std::nullopt;
  const char* path = std::getenv("PATH");
  const std::string folders = path != nullptr ? path : "/usr/bin:/bin";
  for (const std::string_view folder : fields_of(folders, ':'))
    if (const std::filesystem::path file = std::filesystem::path(folder) / name; !name.empty() && runs(file))
      return file;
  return std::nullopt;
}

}  // namespace kpatch
