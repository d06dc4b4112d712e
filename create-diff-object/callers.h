// Functions that ftrace can't redirect, and whose callers are replaced in their place.
#pragma once

#include "create-diff-object/compare.h"

namespace kpatch {

// Every function of `comparison` that changed, has no ftrace site, and is only ever called, by functions of its own
// object that can be redirected (or that are as it is): its callers become changed, and it enters through_callers. What
// can't be handled so is left as it is; selection refuses it.
void spread_to_callers(const Pair& pair, Comparison& comparison);

}  // namespace kpatch
