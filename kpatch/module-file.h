// A livepatch as a file, as far as the machine that loads it has to know it.
#pragma once

#include <compare>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kpatch {

struct HookedFunction {
  std::string object;  // vmlinux, or a module
  std::string name;

  auto operator<=>(const HookedFunction&) const = default;
};

struct ModuleFile {
  std::filesystem::path path;
  std::string name;      // as the kernel spells it
  std::string release;   // of the kernel that it is for: the first word of its vermagic
  std::string build_id;  // the bytes of its .note.gnu.build-id; may be empty
  bool livepatch = false;
  bool has_code = true;  // in it: what objcopy --only-keep-debug leaves says of code where it would lie, and has none
  bool is_signed = false;
  std::vector<std::pair<std::string, std::string>> info;  // .modinfo, in its order
  std::vector<std::string> compilers;                     // what compiled it, by its .comment; each once
  std::string code_note;                                  // its .note.kpatch.code; may be empty
  std::vector<HookedFunction> functions;                  // what it replaces; empty: not known, as of other builders'

  // What it says that it fixes: CVEs, commits, advisories.
  std::vector<std::string> fixes() const;
};

// Throws Error when it isn't a module of this machine's architecture, or is compressed.
ModuleFile read_module(const std::filesystem::path& path);

// Throws Error where it can't be loaded as a livepatch anywhere: it says that it is none, or is debug information.
void require_livepatch(const ModuleFile& module);

// "livepatch-fix" is livepatch_fix to the kernel.
std::string module_name(std::string_view text);

}  // namespace kpatch
