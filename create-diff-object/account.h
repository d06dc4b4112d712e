// The ledger of a pair: what became of each symbol and each section that is new, gone, or different.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "create-diff-object/compare.h"
#include "create-diff-object/select.h"
#include "support/finding.h"

namespace kpatch {

enum class Fate : uint8_t {
  output,   // in the diff object
  rebuilt,  // made anew by the build that finishes the module
  idle,     // without influence on the kernel that runs; the entry says why
  refused,  // can't be patched; a finding says so
};

// "in the module", "made anew", "without influence", "refused".
std::string_view text_of(Fate fate);

struct AccountEntry {
  std::string what;    // "function", "variable", "label", or the section's name
  std::string name;    // of the symbol, or of what the entry of the section is about
  std::string change;  // "new", "gone", "changed"
  Fate fate = Fate::refused;
  std::string reason;  // for a person; empty where fate says it all

  auto operator<=>(const AccountEntry&) const = default;
};

// Both objects are looked at as a whole, by code that does not know what the selection followed: what differs and has
// no place in the output is either listed as idle, or refused here, unless a refusal names it already. acknowledged: --ack;
// what is read at boot, or when a module is loaded, is left out with a warning where its rule is one of these. Sorted.
std::vector<AccountEntry> account(const Pair& pair, const Comparison& comparison, const Selection& selection,
                                  const std::set<std::string>& acknowledged, Diagnostics& diagnostics);

}  // namespace kpatch
