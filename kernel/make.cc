#include "kernel/make.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "arch/arch.h"
#include "kernel/distro/distro.h"
#include "lookup/lookup.h"
#include "support/error.h"
#include "support/files.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

struct KnownFailure {
  std::string_view text;
  std::string_view need;
};

// Lines of failed kernel builds that mean a program or header is missing.
constexpr std::array known_failures = {
    KnownFailure{"flex: not found", "flex"},
    KnownFailure{"bison: not found", "bison"},
    KnownFailure{"bc: not found", "bc"},
    KnownFailure{"bc: command not found", "bc"},
    KnownFailure{"gelf.h: No such file", "gelf.h"},
    KnownFailure{"libelf.h: No such file", "libelf.h"},
    KnownFailure{"please install libelf", "libelf.h"},  // the top Makefile of older kernels
    KnownFailure{"openssl/", "openssl/opensslv.h"},
    KnownFailure{"zlib.h: No such file", "zlib.h"},
    KnownFailure{"cpio: not found", "cpio"},
    KnownFailure{"python3: not found", "python3"},
    KnownFailure{"perl: not found", "perl"},
    KnownFailure{"rsync: not found", "rsync"},
    KnownFailure{"pahole: not found", "pahole"},
    KnownFailure{"stdio.h: No such file", "stdio.h"},
};

}  // namespace

Command kbuild_make(const Base& base, std::vector<std::string> arguments) {
  Command command;
  KPATCH_ASSERT(!base.compiler.empty());
  command.argv = {"make", "-C", base.kbuild.string()};
  if (base.compiler[0].find("clang") != std::string::npos) {
    size_t dash = base.compiler[0].rfind("clang-");
    command.argv.push_back("LLVM=" + (dash == std::string::npos ? "1" : base.compiler[0].substr(dash + 5)));
  } else {
    command.argv.push_back("CC=" + fmt::format("{}", fmt::join(base.compiler, " ")));
  }
  if (base.arch != nullptr && base.arch->elf.machine != host_machine()) {
    command.argv.push_back(fmt::format("ARCH={}", base.arch->kbuild.folder));
    command.argv.push_back(fmt::format("CROSS_COMPILE={}", base.arch->kbuild.cross));
  }
  if (!base.release.empty()) command.argv.push_back("KERNELRELEASE=" + base.release);
  command.argv.insert(command.argv.end(), base.build_variables.begin(), base.build_variables.end());
  // Tests of what the compiler can do take place in .tmp_PID (scripts/Makefile.compiler) and fail in silence when another
  // make removes that: in sandboxes of their own two have the same number.
  command.argv.push_back(fmt::format("TMPOUT=.tmp_{}_$$$$", random_name()));
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  return command;
}

Command prepare_command(const Base& base, std::vector<std::string> targets, unsigned jobs) {
  Command command = kbuild_make(base, {});
  command.argv[2] = base.source.string();  // -C SOURCE O=KBUILD: kbuild's own Makefile isn't written yet
  command.argv.push_back("O=" + base.kbuild.string());
  command.argv.push_back(fmt::format("-j{}", std::max(jobs, 1u)));
  command.argv.insert(command.argv.end(), targets.begin(), targets.end());
  return command;
}

void fail_make(const Executor& executor, const std::string& what, const CommandResult& result) {
  for (auto& known : known_failures)
    if (result.output.find(known.text) != std::string::npos)
      executor.fail(fmt::format("{}: {} is missing{}", what, known.need, package_hint({known.need})), result);
  executor.fail(what, result);
}

std::optional<fs::path> module_file(const Base& base, std::string_view module) {
  std::error_code ignored;
  for (std::string_view ending : module_endings) {
    fs::path file = base.modules / fmt::format("{}{}", module, ending);
    if (fs::exists(file, ignored)) return file;
  }
  return std::nullopt;
}

}  // namespace kpatch
