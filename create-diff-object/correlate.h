// Pairs each symbol of the patched object with its twin in the original one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "create-diff-object/object.h"
#include "support/finding.h"

namespace kpatch {

// The rungs of the ladder at the head of correlate.cc: what made two symbols twins.
enum class Evidence : uint8_t { none, name, whole_name, parent, content, place, declaration, users, last, linkage };

// "whole name", "last one left": for a person.
std::string_view text_of(Evidence evidence);

struct Correlation {
  std::vector<SymbolId> to_orig;     // by patched symbol id; no_symbol: new, or a special static
  std::vector<SymbolId> to_patched;  // by original symbol id; no_symbol: gone
  std::vector<Evidence> evidence;    // by patched symbol id; none: it has no twin
  // Patched symbols that have several possible twins and no evidence for one: usable only as new code, never as data.
  std::vector<bool> ambiguous;

  SymbolId orig(SymbolId patched) const { return to_orig[index(patched)]; }
  SymbolId patched(SymbolId orig) const { return to_patched[index(orig)]; }
};

Correlation correlate(const Object& orig, const Object& patched);

// For each symbol the function it is a part of (`f` for `f.cold`, `f.part.0`), or no_symbol.
std::vector<SymbolId> find_parents(const Object& object);

// Which static locals and functions are used by which functions or objects, by symbol id: the stems of the users'
// outermost names, sorted, each once ("f" for code in f, f.cold and f.isra.0.part.1). globals: of those too.
std::vector<std::vector<std::string>> find_users(const Object& object, bool globals = false);

}  // namespace kpatch
