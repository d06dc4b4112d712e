// Types and prototypes that other code of the running kernel was compiled with, and that the patch changes.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "create-diff-object/select.h"
#include "create-diff-object/types.h"
#include "lookup/lookup.h"
#include "support/finding.h"

namespace kpatch {

// "grows from 160 to 168 bytes; head moves from 96 to 104, …"; nothing when code that was compiled with the one reads the
// other rightly: new members in a hole, new values of an enum, other names and signs.
std::optional<std::string> layout_change(const TypeLayout& before, const TypeLayout& after);

// Refuses each type whose layout changes (rule "data-layout"), and each export whose prototype or version does (rule
// "export"). Without DWARF only the versions are known. acknowledged: rules that the author takes upon himself: a
// warning then. Returns the functions that are not static and whose prototype changes without that being refused; sorted.
std::vector<std::string> check_data_layout(const Pair& pair, const Selection& selection,
                                           const std::vector<ExportChange>& export_changes,
                                           const std::set<std::string>& acknowledged, Diagnostics& diagnostics);

}  // namespace kpatch
