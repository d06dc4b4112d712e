// The ledger of a pair of objects, and its types: an Error, or a sorted list in which what is refused has a finding.
#include "create-diff-object/account.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <set>

#include "create-diff-object/compare.h"
#include "create-diff-object/correlate.h"
#include "create-diff-object/data-layout.h"
#include "create-diff-object/layout.h"
#include "create-diff-object/object.h"
#include "create-diff-object/select.h"
#include "fuzz/mutate-pair.h"
#include "support/error.h"

namespace {

using namespace kpatch;

std::vector<AccountEntry> entries(const Object& orig, const Object& patched, Diagnostics& diagnostics) {
  const StructSizes sizes = [](std::string_view name) {
    return std::optional<uint64_t>(name == "jump_entry" ? 16 : name == "alt_instr" ? 14 : 12);
  };
  const Layout orig_layout(orig, sizes, diagnostics), patched_layout(patched, sizes, diagnostics);
  const Correlation twins = correlate(orig, patched);
  const Pair pair{orig, patched, orig_layout, patched_layout, twins};
  const Comparison comparison = compare(pair, diagnostics);
  const std::set<std::string> none;
  const Selection selection = select(pair, comparison, {none, none, none}, diagnostics);
  check_data_layout(pair, selection, {}, {}, diagnostics);
  return account(pair, comparison, selection, {}, diagnostics);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto [orig, patched] = split_pair(data, size);
  try {
    const auto read = [](const Bytes& file) {
      return Object::read(std::as_bytes(std::span{file.data, file.size}), "input");
    };
    const Object before = read(orig), after = read(patched);
    if (&before.arch() != &after.arch()) return 0;  // run_differ() refuses it
    Diagnostics diagnostics;
    const std::vector<AccountEntry> all = entries(before, after, diagnostics);
    if (!std::is_sorted(all.begin(), all.end())) std::abort();
    const bool refused = std::ranges::any_of(all, [](const AccountEntry& e) { return e.fate == Fate::refused; });
    if (refused && !diagnostics.refused()) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
