// _klpmake.syms: what the names mean that a livepatch's source leaves undefined.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace kpatch {

struct Arch;

struct LivepatchSymbol {
  std::string name;               // in the kernel
  unsigned position = 0;          // sympos: 0 when the name is unique in its owner
  std::string owner = "vmlinux";  // or a module's name
  std::string placeholder{};      // what the source calls it
  int line = 0;

  bool same_meaning(const LivepatchSymbol& other) const {
    return name == other.name && position == other.position && owner == other.owner;
  }
};

// A line a symbol: "NAME POSITION [OWNER [PLACEHOLDER]]"; without an owner it is vmlinux's, without a placeholder the
// source uses the name itself. '#' begins a comment. Throws Error that has all that is wrong, a placeholder that is
// there twice among it.
std::vector<LivepatchSymbol> parse_syms(std::string_view text, const std::string& file);
std::string format_syms(const std::vector<LivepatchSymbol>& symbols);

// An object that holds nothing but the side table (doc/formats.md). patched: by placeholder, the object whose code uses
// it. namespaces: of exports that the livepatch uses, which modpost wants to see named.
void write_side_table(const std::vector<LivepatchSymbol>& symbols, const std::map<std::string, std::string>& patched,
                      const std::set<std::string>& namespaces, const Arch& arch, const std::filesystem::path& output);

}  // namespace kpatch
