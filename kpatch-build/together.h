// What no pair of objects shows alone: whether the diff objects make one module.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "kpatch-build/diff-pairs.h"

namespace kpatch {

// Of a type whose layout changes ("data-layout") the first report that tells of it tells for all: with the names that any
// of them knows (who holds it, points to it, is given it), and the objects' sources. Others lose the finding.
void join_layout_findings(std::vector<PairReport>& reports);

// Adds refusals to the reports whose output can't be part of the module: a reference that nobody resolves ("missing"),
// two new symbols of one name ("duplicate"), two callbacks of one kind for one patched object ("callbacks"; struct
// klp_object has one of each), code of a module that somebody runs who can do without that module
// ("new-dependency"). needed_by: the modules that are there while a module is, by the kernel's names.
void check_together(std::vector<PairReport>& reports,
                    const std::function<const std::set<std::string>&(const std::string&)>& needed_by);

}  // namespace kpatch
