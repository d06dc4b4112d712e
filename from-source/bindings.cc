// Two sources may each have a static function `show`, and the linker knows names alone. The first one is `show` in the
// livepatch, the other `show.klp.slub`. A symbol of a module has a name for each patched object that uses it, since its
// relocations are kept with that object; one of vmlinux is the same for all.
#include "from-source/bindings.h"

#include <fmt/core.h>

#include "support/error.h"

namespace kpatch {

std::string Bindings::bind(const LivepatchSymbol& symbol, const std::string& patched, const std::string& stem,
                           bool own_name) {
  const auto fits = [&](const std::string& name) {
    const auto known = bound_.find(name);
    if (known == bound_.end()) return !taken_.contains(name);
    return known->second.symbol.same_meaning(symbol) && (symbol.owner == "vmlinux" || known->second.patched == patched);
  };
  std::string name = symbol.name;
  if (!fits(name)) {
    if (own_name)
      throw Error(
          fmt::format("{} of {}: another symbol of this name is used by the livepatch, and this one's declaration "
                      "can't be given another",
                      symbol.name, symbol.owner));
    name = fmt::format("{}.klp.{}", symbol.name, stem);
    for (int n = 2; !fits(name); ++n) name = fmt::format("{}.klp.{}.{}", symbol.name, stem, n);
  }
  LivepatchSymbol named = symbol;
  named.placeholder = name;
  bound_.emplace(name, Bound{std::move(named), patched});
  return name;
}

std::vector<LivepatchSymbol> Bindings::symbols() const {
  std::vector<LivepatchSymbol> symbols;
  for (const auto& [name, bound] : bound_) symbols.push_back(bound.symbol);
  return symbols;
}

}  // namespace kpatch
