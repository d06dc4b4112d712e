// What a few of many objects show already.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kbuild/kbuild.h"
#include "kpatch-build/compile.h"
#include "kpatch-build/stages.h"
#include "patch/patch.h"

namespace kpatch {

// The names of the structs, unions and enums in whose definition, at the left margin, a line is new or changed; sorted.
// It is a guess of where to look: what it misses is found later.
std::vector<std::string> types_that_change(std::string_view original, std::string_view patched);

// Where a patch leads to a hundred objects and more, those few that name the changed types most are compared first: a
// layout that changes can't be patched, whatever the others show. Gives the refusals ("data-layout"), and a notice of
// what was not looked at ("early"); nothing when it takes all objects to tell.
std::vector<Finding> layouts_seen_early(const Build& build, const Base& base, const AppliedPatches& patches,
                                        const std::vector<AffectedObject>& objects, const CompileSettings& settings);

}  // namespace kpatch
