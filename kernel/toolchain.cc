// The programs that a kernel is compiled with are part of its code: another gcc writes another function, another
// binutils or pahole makes kconfig switch options off, and with them members of structs. A config names them all,
//
//     CONFIG_CC_VERSION_TEXT="x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0"
//     CONFIG_AS_VERSION=24400  CONFIG_LD_VERSION=24400  CONFIG_PAHOLE_VERSION=130
//     CONFIG_RUSTC_VERSION_TEXT="rustc 1.85.1 …"  CONFIG_BINDGEN_VERSION_TEXT="bindgen 0.71.1"
//
// and where this machine's aren't those, a root with the kernel's own is made once, and kbuild and the compilers run in
// it. It is the whole user land of a suite: host programs of an old binutils don't link against a new libc. A root is
// of the user alone, as is the cache; that nobody changed a file since it was made is looked at each time.
#include "kernel/toolchain.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "arch/arch.h"
#include "support/digest.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

constexpr const char* sum_file = "root.sum";

// "2.47.50.20261021" -> 24750, as scripts/as-version.sh counts; "1.30" -> 130 as scripts/pahole-version.sh does.
// Empty when it is no version.
std::optional<unsigned> version_number(std::string_view text, std::initializer_list<unsigned> weights) {
  unsigned sum = 0;
  for (const unsigned weight : weights) {
    unsigned part = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), part);
    if (error != std::errc()) {
      if (weight == *weights.begin()) return std::nullopt;
      break;
    }
    sum += weight * part;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    if (!text.starts_with('.')) break;
    text.remove_prefix(1);
  }
  return sum;
}

// "GNU ld (GNU Binutils for Debian) 2.40", "Debian clang version 14.0.6", "clang version 16.0.6 (URL HASH)", "Debian LLD
// 14.0.6 (compatible with GNU linkers)", "v1.24"
std::string_view version_in(std::string_view text) {
  for (const std::string_view before : {std::string_view("clang version "), std::string_view("LLD ")})
    if (const size_t at = text.find(before); at != std::string_view::npos) {
      text.remove_prefix(at + before.size());
      return text.substr(0, text.find(' '));
    }
  return text.substr(text.rfind(' ') + 1);
}

bool fits(std::string_view tool, std::string_view wanted, std::string_view says) {
  if (tool == "rustc" || tool == "bindgen") return says == wanted;
  std::string_view version = version_in(says);
  if (tool == "pahole") {
    if (version.starts_with('v')) version.remove_prefix(1);
    const auto number = version_number(version, {100, 1});
    return number && fmt::to_string(*number) == wanted;
  }
  // Before 5.12 the linker's was counted in other steps (scripts/ld-version.sh).
  const auto number = wanted.size() > 6 ? version_number(version, {100000000, 1000000, 10000})
                                        : version_number(version, {10000, 100, 1});
  return number && fmt::to_string(*number) == wanted;
}

std::string value_without_quotes(const KernelConfig& config, const char* option) {
  return std::string(trimmed(config.value(option), "\""));
}

// What all files of a root are and when they were written.
std::string sum_of(const fs::path& root) {
  std::vector<std::string> lines;
  walk(root, [&](const fs::directory_entry& entry) {
    struct stat info {};
    if (lstat(entry.path().c_str(), &info) != 0) return true;
    const bool folder = S_ISDIR(info.st_mode);
    lines.push_back(fmt::format("{} {:o} {} {} {}", entry.path().lexically_relative(root).string(), info.st_mode,
                                folder ? 0 : info.st_size, folder ? 0 : info.st_mtim.tv_sec,
                                S_ISLNK(info.st_mode) ? fs::read_symlink(entry.path()).string() : ""));
    return true;
  });
  std::ranges::sort(lines);
  return digest_of(joined(lines, "\n"));
}

CacheKey key_of(const ToolchainNeeds& needs) {
  CacheKey key;
  key.add("toolchain of", needs.compiler)
      .add("kind", "1")
      .add("assembler", needs.assembler)
      .add("linker", needs.linker)
      .add("pahole", needs.pahole)
      .add("rustc", needs.rustc)
      .add("bindgen", needs.bindgen)
      .add("plugins", needs.gcc_plugins ? "yes" : "no");
  return key;
}

fs::path made_root(const ToolchainNeeds& needs, const std::string& release, const Distro& distro,
                   const DistroTools& tools) {
  const CacheKey key = key_of(needs);
  const auto unchanged = [](const fs::path& made) { return sum_of(made / "root") == read_file(made / sum_file); };
  const fs::path entry = tools.cache.entry(
      "toolchain", key, "the toolchain of " + release,
      [&](const fs::path& made) {
        distro.make_toolchain(needs, release, made / "root", tools);
        write_file(made / sum_file, sum_of(made / "root"));
      },
      unchanged);
  if (!unchanged(entry))
    throw Error(fmt::format(
        "the toolchain in {} was changed after it was made; remove that folder, and it is made anew", entry.string()));
  return entry / "root";
}

void take(Toolchain& toolchain, const ToolchainNeeds& needs, bool skip_check, const DistroTools& tools) {
  toolchain.compiler = find_compiler(needs.compiler, skip_check, tools.executor, needs.cross);
  toolchain.tools = kpatch::toolchain(toolchain.compiler, tools.executor, needs.cross);
  toolchain.code_makers = code_makers(toolchain.compiler, tools.executor, needs.cross, [&](const std::string& program) {
    const auto file = toolchain.root.empty() ? find_program(program) : program_in(toolchain.root, program);
    return file ? tools.cache.file_digest(*file) : "none";
  });
}

// With this machine's programs. Answers why not; empty: they fit, or somebody said that they do.
std::string take_ours(Toolchain& ours, const ToolchainNeeds& needs, bool skip_check, const DistroTools& tools) {
  try {
    take(ours, needs, skip_check, tools);
  } catch (const Error& error) {
    return error.what();
  }
  if (skip_check) return {};
  const std::vector<std::string> differences = misfits(needs, ours.tools);
  return differences.empty() ? "" : fmt::format("{}", fmt::join(differences, "\n>>> "));
}

}  // namespace

ToolchainNeeds toolchain_needs(const KernelConfig& config, const std::string& compiler) {
  ToolchainNeeds needs;
  needs.compiler = compiler.empty() ? value_without_quotes(config, "CC_VERSION_TEXT") : compiler;
  needs.assembler = value_without_quotes(config, "AS_VERSION");
  needs.linker = value_without_quotes(config, "LD_VERSION");
  needs.pahole = value_without_quotes(config, "PAHOLE_VERSION");
  needs.gcc_plugins = config.enabled("GCC_PLUGINS");
  if (config.enabled("RUST")) {
    needs.rustc = value_without_quotes(config, "RUSTC_VERSION_TEXT");
    needs.bindgen = value_without_quotes(config, "BINDGEN_VERSION_TEXT");
  }
  return needs;
}

std::vector<std::string> misfits(const ToolchainNeeds& needs,
                                 const std::vector<std::pair<std::string, std::string>>& tools) {
  std::vector<std::string> differences;
  for (const auto& [tool, says] : tools) {
    const std::string& wanted = tool == "assembler" ? needs.assembler
                                : tool == "linker"  ? needs.linker
                                : tool == "pahole"  ? needs.pahole
                                : tool == "rustc"   ? needs.rustc
                                : tool == "bindgen" ? needs.bindgen
                                                    : std::string();
    // "0": the kernel was built by tools of another family, or without pahole.
    if (wanted.empty() || wanted == "0" || fits(tool, wanted, says)) continue;
    differences.push_back(says == "none" ? fmt::format("{} isn't installed, the kernel's is {}", tool, wanted)
                                         : fmt::format("the {} here is {}, the kernel's is {}", tool, says, wanted));
  }
  return differences;
}

std::optional<fs::path> program_in(const fs::path& root, const std::string& program) {
  std::vector<fs::path> places;
  if (program.find('/') != std::string::npos)
    places = {program};
  else
    for (const char* folder : {"usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"})
      places.push_back(folder / fs::path(program));
  for (fs::path at : places) {
    // Link by link: what is absolute in the root isn't here.
    for (unsigned links = 0; links < 40; ++links) {
      const fs::path file = root / at.relative_path();
      std::error_code absent;
      const fs::file_status status = fs::symlink_status(file, absent);
      if (fs::is_regular_file(status)) return file;
      if (!fs::is_symlink(status)) break;
      const fs::path target = fs::read_symlink(file);
      at = target.is_absolute() ? target
                                : (fs::path("/") / at.relative_path().parent_path() / target).lexically_normal();
    }
  }
  return std::nullopt;
}

std::string cross_prefix(const Arch& arch) {
  return std::string(arch.elf.machine == host_machine() ? std::string_view{} : arch.kbuild.cross);
}

Toolchain our_toolchain(const std::string& compiler, const std::string& cross, const DistroTools& tools) {
  Toolchain ours;
  try {
    take(ours, {.compiler = compiler, .cross = cross}, false, tools);
  } catch (const Error&) {
    take(ours, {.cross = cross}, true, tools);  // the config's was another machine's
  }
  return ours;
}

Toolchain find_toolchain(const ToolchainNeeds& needs, const std::string& release, const ToolchainOptions& options,
                         const DistroTools& tools) {
  Toolchain found;
  const auto enter = [&](const fs::path& root) {
    found.root = root;
    options.enter(root);
    take(found, needs, options.skip_compiler_check, tools);
  };
  const auto require_fit = [&](std::string_view what) {
    const auto differences = misfits(needs, found.tools);
    if (!differences.empty() && !options.skip_compiler_check)
      throw Error(fmt::format("{}: {}", what, fmt::join(differences, "; ")));
  };
  if (!options.given.empty()) {
    enter(options.given);
    require_fit(fmt::format("the toolchain in {} isn't the kernel's", options.given.string()));
    return found;
  }
  const std::string why = take_ours(found, needs, options.skip_compiler_check, tools);
  if (why.empty()) return found;
  const Distro* distro = distro_of_release(release);
  if (!distro) distro = running_distro();
  if (!distro || !distro->make_toolchain || !options.enter || !needs.cross.empty()) throw Error(why);
  try {
    enter(made_root(needs, release, *distro, tools));
  } catch (const Error& error) {
    throw Error(fmt::format("{}\n>>> a root with the kernel's own toolchain can't be made: {}", why, error.what()));
  }
  require_fit("the suite of the kernel's compiler has other tools now");
  return found;
}

}  // namespace kpatch
