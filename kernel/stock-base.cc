// The base of a kernel that was built elsewhere: prepared, never built.
//
// Compiling one object of a stock kernel needs generated headers, objtool, modpost and the very config; all of that is
// what `make olddefconfig modules_prepare` makes in 20 s of CPU. Some things go wrong silently there, and are seen to:
//
//     #define UTS_RELEASE "6.1.192"                without KERNELRELEASE= on the command line (vermagic differs)
//     #define LINUX_PACKAGE_ID ""                  without what Debian's build gives make (strings differ)
//     # CONFIG_DEBUG_INFO_BTF is not set            without pahole (struct module differs)
//     include/generated/compile.h: gcc 13           another compiler than the kernel's (other code)
//
// Then the shipped Module.symvers is copied in, and the folder is complete. Nothing may be built in it afterwards.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "arch/arch.h"
#include "kernel/base-parts.h"
#include "kernel/make.h"
#include "kernel/source-tree.h"
#include "kernel/toolchain.h"
#include "lookup/lookup.h"
#include "support/error.h"
#include "support/files.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

// A file that is cut off, or empty, is noticed here and not in modpost.
void check_symvers(const fs::path& path) {
  std::error_code error;
  if (path.empty() || !fs::exists(path, error))
    throw Error(fmt::format("Module.symvers of this kernel is missing{}; its headers package has it (--symvers FILE)",
                            path.empty() ? "" : ": " + path.string()));
  if (Symvers::read(path).size() == 0)
    throw Error(fmt::format("{} is empty; the kernel's headers package has a whole one", path.string()));
}

void compare_configs(const fs::path& shipped, const fs::path& ours, bool other_compiler) {
  auto differences = config_differences(KernelConfig::read(shipped), KernelConfig::read(ours), other_compiler);
  if (differences.empty()) return;
  size_t shown = std::min<size_t>(differences.size(), 12);
  std::string more = differences.size() > shown ? fmt::format("\n>>> and {} more", differences.size() - shown) : "";
  differences.resize(shown);
  throw Error(fmt::format("kconfig makes another config of {} on this machine\n>>> {}{}", shipped.string(),
                          fmt::join(differences, "\n>>> "), more));
}

void prepare(const Base& base, const KernelFiles& files, const BaseOptions& options, Executor& executor,
             Console::Stage& stage) {
  fs::create_directories(base.kbuild);
  fs::copy_file(files.config, base.config);
  fs::copy_file(files.config, base.kbuild / ".config");
  fs::permissions(base.kbuild / ".config", fs::perms::owner_write, fs::perm_options::add);
  CommandResult result = executor.run(prepare_command(base, {"olddefconfig"}, options.jobs));
  if (!result.ok())
    fail_make(executor, fmt::format("the kernel's config can't be read by its source ({})", base.release), result);
  compare_configs(files.config, base.kbuild / ".config", options.toolchain.skip_compiler_check);
  size_t steps = 0;
  // resolve_btfids, with the libbpf that it builds, is a third of the time, and is run on a vmlinux alone, and on modules that
  // have one beside them. A variable that make is given leaves .config and its headers as they are.
  result = executor.run(prepare_command(base, {"CONFIG_DEBUG_INFO_BTF=", "modules_prepare"}, options.jobs),
                        [&](std::string_view line) {
                          constexpr size_t about = 190;  // lines that modules_prepare prints, for the bar alone
                          if (line.starts_with("  ")) stage.progress(std::min(++steps, about), about);
                        });
  if (!result.ok()) fail_make(executor, fmt::format("make modules_prepare failed for {}", base.release), result);
  if (std::string made = prepared_release(base.kbuild); made != base.release)
    throw Error(fmt::format("the prepared kernel calls itself {}, the one that runs is {}", made, base.release));
  // 6.1 writes the bare version here whatever KERNELRELEASE= says; external modules read it where none is given.
  write_file(base.kbuild / "include/config/kernel.release", base.release + "\n");
  fs::copy_file(files.symvers, base.symvers);
}

}  // namespace

BaseInputs stock_inputs(const BaseOptions& options, const KernelFiles& files, std::string release,
                        const Toolchain& toolchain, Cache& cache) {
  return {.kind = "stock 3",
          .release = std::move(release),
          .source = files.source_identity,
          .source_path = files.source.string(),
          .config = read_file(files.config),
          .symvers = read_file(files.symvers),
          .vmlinux = cache.file_digest(files.vmlinux),
          .compiler = fmt::format("{}: {}", toolchain.compiler.command[0], toolchain.compiler.version),
          .tools = toolchain.tools,
          .root = toolchain.root.string(),
          .skip_compiler_check = options.toolchain.skip_compiler_check};
}

Base make_stock_base(const BaseOptions& options, const KernelFiles& files, Cache& cache, Executor& executor,
                     Console& console) {
  require_livepatch(KernelConfig::read(files.config), files.config.string());
  require_no_random_code(KernelConfig::read(files.config), files.config.string(), false);
  require_whole_objtool(KernelConfig::read(files.config), files.source);
  check_symvers(files.symvers);
  Base base;
  base.vmlinux_index = vmlinux_index(files.vmlinux, cache, console);
  Binary vmlinux = Binary::open(base.vmlinux_index);
  check_vmlinux(vmlinux, files.vmlinux, kernel_version(files.source));
  check_signature(KernelConfig::read(files.config), kernel_version(files.source));
  base.arch = find_arch(vmlinux.machine());
  base.release = release_of_banner(vmlinux.banner());
  base.build_variables = build_variables_of_banner(vmlinux.banner());
  ToolchainNeeds needs = toolchain_needs(KernelConfig::read(files.config), compiler_of_banner(vmlinux.banner()));
  needs.cross = cross_prefix(*base.arch);
  const Toolchain toolchain = find_toolchain(needs, base.release, options.toolchain,
                                             {cache, executor, console, options.archive, options.archive_key});
  const Compiler& compiler = toolchain.compiler;
  base.compiler = compiler.command;
  base.code_makers = toolchain.code_makers;
  if (!compiler.doubt.empty()) base.findings.push_back({"compiler", Severity::warning, {}, compiler.doubt, {}});
  base.source = files.source;
  base.vmlinux = files.vmlinux;
  base.modules = files.modules;
  base.debug_modules = files.debug_modules;
  base.debug_package = files.debug_package;
  base.image = files.image;

  const CacheKey key = key_of(stock_inputs(options, files, base.release, toolchain, cache));
  auto locate = [&](const fs::path& directory) {
    base.directory = directory;
    base.kbuild = directory / "kbuild";
    base.config = directory / "config";
    base.symvers = base.kbuild / "Module.symvers";
  };
  Console::Stage stage(console, fmt::format("preparing {}", base.release));
  if (auto made = cache.find("base", key)) {
    stage.note("cached");
    locate(*made);
    return base;
  }
  const Finding why = why_base_is_made(cache, key, base.release);
  stage.note("from the store");
  locate(cache.entry("base", key, fmt::format("the base of {}", base.release), [&](const fs::path& directory) {
    locate(directory);
    stage.note("");
    base.findings.push_back(why);
    try {
      prepare(base, files, options, executor, stage);
    } catch (const fs::filesystem_error& error) {
      throw Error(fmt::format("can't prepare {}: {}", base.release, error.what()));
    }
  }));
  return base;
}

}  // namespace kpatch
