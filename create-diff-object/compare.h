// Decides for each symbol of the patched object whether it differs from its twin, and how.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "arch/arch.h"
#include "create-diff-object/correlate.h"
#include "create-diff-object/layout.h"
#include "create-diff-object/object.h"
#include "support/finding.h"

namespace kpatch {

// The first place at which a function and its twin differ: its instruction in each section.
struct CodeDifference {
  CodeRange orig, patched;
};

enum class Status : uint8_t {
  absent,  // undefined, a label, or of no interest
  same,
  lines_only,  // functions: nothing but line numbers differ
  changed,
  added,  // no twin
};

struct Comparison {
  std::vector<Status> status;               // by patched symbol id
  std::map<SymbolId, std::string> reasons;  // of those that differ (patched ids): the first difference, see reason()
  std::map<SymbolId, CodeDifference> difference;  // of changed functions whose code differs, by patched id
  std::vector<SymbolId> parents;                  // by patched symbol id: see find_parents()
  // Changed constants (patched ids) that code alone reads: a fresh copy serves, and every function that reads one has
  // changed with it.
  std::set<SymbolId> fresh_constants;
  // Changed constants of which a copy doesn't serve, with the reason: "f may keep its address".
  std::map<SymbolId, std::string> kept_constants;
  // Changed functions (patched ids) without an ftrace site, all of whose callers have changed: see spread_to_callers().
  std::set<SymbolId> through_callers;

  Status of(SymbolId id) const { return status[index(id)]; }
  // In what the symbol differs, for a person; empty where it doesn't.
  std::string reason(SymbolId id) const {
    const auto found = reasons.find(id);
    return found == reasons.end() ? std::string{} : found->second;
  }
};

// Both objects, what is known of them, and their twins.
struct Pair {
  const Object& orig;
  const Object& patched;
  const Layout& orig_layout;
  const Layout& patched_layout;
  const Correlation& twins;
};

Comparison compare(const Pair& pair, Diagnostics& diagnostics);

// True when the function has an ftrace site: an entry of the ftrace table, or a call of an ftrace symbol at its start.
bool has_ftrace_site(const Object& object, const Layout& layout, SymbolId function);

}  // namespace kpatch
