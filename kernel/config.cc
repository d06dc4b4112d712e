// What kconfig drops in silence.
//
// `make olddefconfig` asks the machine which tools it has, and switches off what they can't do. On a machine without
// pahole a stock config loses
//
//     CONFIG_DEBUG_INFO_BTF=y
//     CONFIG_DEBUG_INFO_BTF_MODULES=y
//
// and with it two members of struct module, whose size stays the same by padding: a module built that way passes
// every check at load time and then reads the wrong bytes. So the prepared config is compared with the shipped one,
// and any difference is an error, but for the few below that no object of the kernel can tell.
#include "kernel/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>

#include "arch/arch.h"
#include "kernel/distro/distro.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

// Accepted whatever their values; a * at the end stands for any rest.
constexpr std::array<std::string_view, 14> harmless = {
    "CC_VERSION_TEXT",         // the compiler's name besides its version, which is compared with the banner
    "BUILD_SALT",              // goes into an ELF note
    "MODULE_SIG_*",            // how modules_install signs
    "SYSTEM_TRUSTED_KEYS",     // a file's name, for the key ring in vmlinux
    "SYSTEM_REVOCATION_KEYS",  // likewise
    "RUSTC*",                  // what the Rust compiler is and can; C code can't see it, and CONFIG_RUST is compared
    "RUST_IS_AVAILABLE",       // likewise
    "BINDGEN_VERSION_TEXT",    // likewise
    "PAHOLE_VERSION",          // how BTF is encoded; DEBUG_INFO_BTF* themselves are compared
    "PAHOLE_HAS_*",            // likewise
    "CC_CAN_LINK",             // whether user programs (samples) can be linked: no part of the kernel
    "CC_CAN_LINK_STATIC",      // likewise
    "TOOLS_SUPPORT_RELR",      // linking of a relocatable vmlinux alone
    "AS_IS_GNU",               // a name; AS_VERSION is compared
};

// Follow from the compiler's or assembler's version.
constexpr std::array<std::string_view, 9> of_compiler = {
    "GCC_VERSION", "CLANG_VERSION", "AS_VERSION", "LD_VERSION", "LLD_VERSION",
    "CC_HAS_*",    "GCC*_NO_*",     "AS_*",       "CC_NO_*",
};

struct Hint {
  std::string_view pattern;
  std::string_view advice;
  std::string_view need = {};  // the program or header that the advice is about, where one stands for all
};

constexpr std::array hints = {
    Hint{"DEBUG_INFO_BTF*", "install pahole", "pahole"},
    Hint{"GCC_PLUGIN*", "install the plugin headers of the compiler", "gcc-plugin.h"},
    Hint{"LD_VERSION", "install the binutils the kernel was linked with"},
    Hint{"LD_*", "install the binutils the kernel was linked with"},
    Hint{"AS_*", "install the binutils the kernel was assembled with"},
    Hint{"GCC_VERSION", "install the compiler of the kernel"},
    Hint{"CLANG_VERSION", "install the compiler of the kernel"},
    Hint{"CC_*", "install the compiler of the kernel"},
    Hint{"RUST*", "install the Rust compiler (rustc) and bindgen the kernel was built with"},
    Hint{"*", "is the source the one that the config was made for?"},
};

bool matches(std::string_view name, std::string_view pattern) {
  size_t star = pattern.find('*');
  if (star == std::string_view::npos) return name == pattern;
  std::string_view tail = pattern.substr(star + 1);
  if (!name.starts_with(pattern.substr(0, star))) return false;
  if (tail.empty()) return true;
  size_t inner = tail.find('*');
  return name.find(tail.substr(0, inner), star) != std::string_view::npos;
}

template <typename List>
bool matches_any(std::string_view name, const List& patterns) {
  return std::ranges::any_of(patterns, [&](auto pattern) { return matches(name, pattern); });
}

std::string advice_on(std::string_view name) {
  auto hint = std::ranges::find_if(hints, [&](auto& h) { return matches(name, h.pattern); });
  return fmt::format("{}{}", hint->advice, hint->need.empty() ? "" : package_hint({hint->need}));
}

std::string_view shown(const KernelConfig& config, const std::string& name) {
  const std::string_view value = config.value(name);
  return value.empty() ? "not set" : value;
}

}  // namespace

KernelConfig KernelConfig::parse(std::string_view text) {
  KernelConfig config;
  for (std::string_view line : lines_of(text)) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    size_t equals = line.find('=');
    if (!line.starts_with("CONFIG_") || equals == std::string_view::npos) continue;
    std::string_view value = line.substr(equals + 1);
    if (value.empty() || value == "n") continue;
    config.options_.insert_or_assign(std::string(line.substr(7, equals - 7)), std::string(value));
  }
  return config;
}

KernelConfig KernelConfig::read(const std::filesystem::path& path) {
  KernelConfig config = parse(read_file(path));
  if (config.options_.empty()) throw Error(fmt::format("{} is no kernel config: it sets no option", path.string()));
  return config;
}

bool KernelConfig::enabled(std::string_view option) const {
  const std::string_view set = value(option);
  return set == "y" || set == "m";
}

std::string_view KernelConfig::value(std::string_view option) const {
  auto it = options_.find(option);
  return it == options_.end() ? std::string_view() : std::string_view(it->second);
}

const Arch& arch_of(const KernelConfig& config) {
  for (const Arch* arch : architectures())
    if (config.enabled(arch->kbuild.option)) return *arch;
  const Arch* own = find_arch(host_machine());
  KPATCH_ASSERT(own != nullptr);
  return *own;
}

std::vector<std::string> missing_options(const KernelConfig& config) {
  std::vector<std::string> missing;
  auto need = [&](bool there, std::string_view option, std::string_view why) {
    if (!there) missing.push_back(fmt::format("CONFIG_{} is not set: {}", option, why));
  };
  need(config.enabled("MODULES"), "MODULES", "a livepatch is a module");
  need(config.enabled("LIVEPATCH"), "LIVEPATCH", "the kernel can't be livepatched");
  need(config.enabled("KALLSYMS_ALL"), "KALLSYMS_ALL", "the kernel can't find the variables that a patch refers to");
  need(config.enabled("DYNAMIC_FTRACE_WITH_REGS") || config.enabled("DYNAMIC_FTRACE_WITH_ARGS"),
       "DYNAMIC_FTRACE_WITH_REGS (or _WITH_ARGS)", "calls can't be redirected");
  need(config.enabled("DEBUG_INFO"), "DEBUG_INFO",
       "without it nothing tells what the kernel consists of (choose DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT)");
  return missing;
}

void require_livepatch(const KernelConfig& config, const std::string& what) {
  std::vector<std::string> missing = missing_options(config);
  if (missing.size() == 1) throw Error(fmt::format("{}: {}", what, missing[0]));
  if (!missing.empty())
    throw Error(fmt::format("{}: {} options are missing\n>>> {}", what, missing.size(), fmt::join(missing, "\n>>> ")));
}

std::vector<std::string> config_differences(const KernelConfig& shipped, const KernelConfig& ours,
                                            bool other_compiler) {
  std::set<std::string> names;
  for (auto* config : {&shipped, &ours})
    for (auto& [name, value] : config->options()) names.insert(name);
  std::vector<std::string> result;
  for (auto& name : names) {
    std::string_view before = shown(shipped, name), after = shown(ours, name);
    if (before == after || matches_any(name, harmless)) continue;
    if (other_compiler && matches_any(name, of_compiler)) continue;
    if (after == "not set" && before == "\"\"") continue;
    if (before == "not set" && after == "\"\"") continue;
    result.push_back(fmt::format("CONFIG_{}: {} in the kernel, {} here; {}", name, before, after, advice_on(name)));
  }
  return result;
}

std::vector<std::string> lost_options(const KernelConfig& given, const KernelConfig& made) {
  std::vector<std::string> result;
  for (const auto& [name, value] : given.options()) {
    if (made.value(name) == value || value == "\"\"" || matches_any(name, harmless) || matches_any(name, of_compiler))
      continue;
    result.push_back(fmt::format("CONFIG_{}: {} in the config, {} in the kernel that was built; {}", name, value,
                                 shown(made, name), advice_on(name)));
  }
  return result;
}

bool objtool_sees_single_files(const KernelConfig& config, const std::filesystem::path& source) {
  if (!config.enabled("OBJTOOL") && !config.enabled("STACK_VALIDATION")) return false;  // since 5.18; before
  return read_file_if_any(source / "scripts/Makefile.lib").find("delay-objtool") == std::string::npos;
}

void require_whole_objtool(const KernelConfig& config, const std::filesystem::path& source) {
  if (!objtool_sees_single_files(config, source)) return;
  const std::string rules = read_file_if_any(source / "scripts/Makefile.build");
  const auto has = [&](const char* text) { return rules.find(text) != std::string::npos; };
  if (has("$(call cmd,objtool)") && has("cmd_link_multi-m") && !config.enabled("LTO_CLANG")) return;
  throw Error(
      "this kernel's build runs objtool over single files only, and not by a command that could be used for a whole "
      "module, as it is up to 5.15 and from 5.18 on: a livepatch would lack the tables by which the kernel unwinds its "
      "stack, so that kernels like this one can't be patched yet");
}

void require_no_random_code(const KernelConfig& config, const std::string& what, bool own_seed) {
  if (config.enabled("GCC_PLUGIN_LATENT_ENTROPY"))
    throw Error(fmt::format(
        "{}: CONFIG_GCC_PLUGIN_LATENT_ENTROPY is set: each compilation draws random numbers, so no code can be "
        "compared with the kernel's",
        what));
  if (own_seed) return;
  for (const char* option : {"RANDSTRUCT", "GCC_PLUGIN_RANDSTRUCT"})  // since 5.19; before
    if (config.enabled(option))
      throw Error(
          fmt::format("{}: CONFIG_{} is set: structs are laid out by a secret seed of the kernel's build, which isn't "
                      "shipped; build from the tree that the kernel was built in, as an own kernel (-s, -c)",
                      what, option));
}

}  // namespace kpatch
