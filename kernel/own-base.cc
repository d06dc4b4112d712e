// The base of the user's own kernel: built in full, once for each (source, config, compiler).
//
// Nobody else has built this kernel, so our build *is* the kernel: vmlinux, modules and the image in the base are what
// the user installs. It is compiled without function sections, exactly as kbuild does it by itself; every patch later
// compiles its few objects with that build's commands. (The incumbent compiles the whole kernel with
// -ffunction-sections for its first patch, 11 minutes of it, besides the user's own build.)
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "arch/arch.h"
#include "kernel/base-parts.h"
#include "kernel/make.h"
#include "kernel/source-tree.h"
#include "kernel/toolchain.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

fs::path config_of(const BaseOptions& options) {
  if (!options.config.empty()) return options.config;
  fs::path config = options.source / ".config";
  std::error_code ignored;
  if (!fs::exists(config, ignored))
    throw Error(fmt::format("{} has no .config; name the kernel's config with -c FILE", options.source.string()));
  return config;
}

std::string configured_compiler(const KernelConfig& config) {
  return std::string(trimmed(config.value("CC_VERSION_TEXT"), "\""));
}

// "  CC      fs/inode.o", "  CC [M]  net/x.o": one step of the build.
bool compiles(std::string_view line) { return line.starts_with("  CC ") || line.starts_with("  CC\t"); }

void build(Base& base, const BaseOptions& options, const fs::path& config, Executor& executor, Console& console) {
  fs::create_directories(base.kbuild);
  fs::copy_file(config, base.config);
  fs::copy_file(config, base.kbuild / ".config");
  fs::permissions(base.kbuild / ".config", fs::perms::owner_write, fs::perm_options::add);
  size_t objects = 0;
  {
    Console::Stage stage(console, "preparing the kernel");
    CommandResult result = executor.run(prepare_command(base, {"olddefconfig"}, 1));
    if (!result.ok()) fail_make(executor, fmt::format("the source can't read {}", config.string()), result);
    require_livepatch(KernelConfig::read(base.kbuild / ".config"), config.string() + " as the source understands it");
    result = executor.run(prepare_command(base, {"modules_prepare"}, options.jobs));
    if (!result.ok()) fail_make(executor, "make modules_prepare failed", result);
    base.release = prepared_release(base.kbuild);
    objects = options.count_objects ? options.count_objects(base) : 0;
  }
  Console::Stage stage(console, fmt::format("building the kernel ({} objects, once)", objects));
  std::vector<std::string> targets = options.targets.empty() ? std::vector<std::string>{"all"} : options.targets;
  size_t done = 0;
  CommandResult result = executor.run(prepare_command(base, targets, options.jobs), [&](std::string_view line) {
    if (compiles(line)) stage.progress(std::min(++done, objects), objects);
  });
  if (!result.ok()) fail_make(executor, "the kernel could not be built", result);
  for (const char* file : {"vmlinux", "Module.symvers"})
    if (!fs::exists(base.kbuild / file))
      throw Error(
          fmt::format("the build of the kernel made no {}: the targets must include vmlinux and modules", file));
}

}  // namespace

BaseInputs own_inputs(const BaseOptions& options, const SourceTree& source, const fs::path& config,
                      const Toolchain& toolchain) {
  return {.kind = "own 2",
          .source = source.identity,
          .source_path = source.path.string(),
          .config = read_file(config),
          .targets = joined(options.targets, " "),
          .compiler = fmt::format("{}: {}", toolchain.compiler.command[0], toolchain.compiler.version),
          .tools = toolchain.tools,
          .root = toolchain.root.string(),
          .code_makers = toolchain.code_makers};
}

Base make_own_base(const BaseOptions& options, Cache& cache, Executor& executor, Console& console) {
  fs::path config = config_of(options);
  KernelConfig settings = KernelConfig::read(config);
  const Arch& arch = arch_of(settings);
  require_parts(arch.elf.machine);
  require_livepatch(settings, config.string());
  require_no_random_code(settings, config.string(), true);
  require_whole_objtool(settings, options.source);
  SourceTree source = private_copy(options.source, cache, executor, console);
  const DistroTools tools{cache, executor, console};
  Toolchain toolchain;
  if (options.toolchain.given.empty()) {
    toolchain = our_toolchain(configured_compiler(settings), cross_prefix(arch), tools);
  } else {
    toolchain = find_toolchain({.compiler = configured_compiler(settings), .cross = cross_prefix(arch)}, {},
                               options.toolchain, tools);
  }

  Base base;
  base.source = source.path;
  base.compiler = toolchain.compiler.command;
  base.code_makers = toolchain.code_makers;
  base.built_here = true;
  base.arch = &arch;
  const CacheKey key = key_of(own_inputs(options, source, config, toolchain));
  auto locate = [&](const fs::path& directory) {
    base.directory = directory;
    base.kbuild = directory / "kbuild";
    base.config = directory / "config";
    base.symvers = base.kbuild / "Module.symvers";
    base.vmlinux = base.kbuild / "vmlinux";
    base.modules = base.kbuild;
    base.debug_modules = base.kbuild;
  };
  if (!cache.find("base", key)) base.findings.push_back(why_base_is_made(cache, key, options.source.string()));
  fs::path directory = cache.entry("base", key, "the base of " + options.source.string(), [&](const fs::path& made) {
    locate(made);
    try {
      build(base, options, config, executor, console);
    } catch (const fs::filesystem_error& error) {
      throw Error(fmt::format("can't build the kernel: {}", error.what()));
    }
  });
  locate(directory);
  for (std::string& option : lost_options(settings, KernelConfig::read(base.kbuild / ".config")))
    base.findings.push_back(
        {"config", Severity::warning, {.source = config.filename().string()}, std::move(option), {}});
  base.release = prepared_release(base.kbuild);
  base.vmlinux_index = vmlinux_index(base.vmlinux, cache, console);
  const Binary vmlinux = Binary::open(base.vmlinux_index);
  if (vmlinux.machine() != arch.elf.machine)
    throw Error(fmt::format("the config is of {}, and its vmlinux became one of {}", arch.elf.name,
                            arch_name(vmlinux.machine())));
  const fs::path image = base.kbuild / base.arch->kbuild.image;
  if (std::error_code ignored; fs::is_regular_file(image, ignored)) base.image = image;
  return base;
}

}  // namespace kpatch
