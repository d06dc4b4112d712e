#include "create-diff-object/shared-code.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "create-diff-object/places.h"

namespace kpatch {
namespace {

// Functions of one code: names of the source (__attribute__((alias))), or what the compiler found to be the same.
std::vector<SymbolId> names_of_place(const Object& object, SymbolId id) {
  std::vector<SymbolId> names;
  const Symbol& s = object.symbol(id);
  if (!s.function() || s.section == no_section) return names;
  for (SymbolId other : object.section(s.section).symbols)
    if (object.symbol(other).function() && object.symbol(other).value == s.value) names.push_back(other);
  return names;
}

bool same_place(const Object& object, SymbolId one, SymbolId other) {
  const Symbol &a = object.symbol(one), &b = object.symbol(other);
  return a.section == b.section && a.value == b.value;
}

}  // namespace

// One name for each place of the kernel: it must not be given two patch entries for the same code. Two places of it
// that have become one need an entry each, and what is new at that place is nobody's entry:
//
//   kernel:   udp_destruct_sock           patched: udp_destruct_sock = udp_destroy_now (new, the same code)
bool is_alias(const Pair& pair, SymbolId id) {
  const SymbolId twin = pair.twins.orig(id);
  const std::vector<SymbolId> names = names_of_place(pair.patched, id);
  if (names.size() < 2) return false;
  const SymbolId owner = pair.patched.section(pair.patched.symbol(id).section).owner;
  if (id == owner) return false;
  return std::ranges::any_of(names, [&](SymbolId other) {
    if (other == id || (other != owner && !(other < id))) return false;
    const SymbolId other_twin = pair.twins.orig(other);
    return twin == no_symbol || (other_twin != no_symbol && same_place(pair.orig, twin, other_twin));
  });
}

// The kernel's code of a changed function may be another function's too, which the patch leaves as it is, or changes in
// another way: whoever redirects the one redirects the other. And what the patch makes of it may be another function's
// too: a pointer that is made there is the kernel's for the one, and the module's own for the other.
void check_shared_code(const Pair& pair, SymbolId id, Diagnostics& diagnostics) {
  // module_exit(f) makes cleanup_module another name of f. None of it is redirected, see the rule init-code.
  if (pair.patched.section(pair.patched.symbol(id).section).kind == SectionKind::init) return;
  const SymbolId twin = pair.twins.orig(id);
  for (SymbolId other : names_of_place(pair.patched, id)) {
    const SymbolId its_twin = pair.twins.orig(other);
    if (other == id || (its_twin != no_symbol && same_place(pair.orig, twin, its_twin))) continue;
    diagnostics.refuse(
        "shared-code", place_of(pair.patched, id),
        fmt::format("is one code with {} in the patch, since the compiler finds both to be the same: a pointer to the "
                    "one can't be told from a pointer to the other",
                    pair.patched.symbol(other).name),
        "use the one for both, or give the new one __attribute__((no_icf))");
    return;
  }
  for (SymbolId other : names_of_place(pair.orig, twin)) {
    const SymbolId its_twin = pair.twins.patched(other);
    if (other == twin || its_twin == no_symbol || same_place(pair.patched, id, its_twin)) continue;
    diagnostics.refuse(
        "shared-code", place_of(pair.patched, id),
        fmt::format("is one code with {} in the kernel that runs, since the compiler found both to be the same, and "
                    "the patch makes them differ: redirecting the one would redirect the other",
                    pair.orig.symbol(other).name),
        "leave the function as it is, write the new code as a function of its own, and let the callers use that");
    return;
  }
}

}  // namespace kpatch
