// The way back of a patch.
#pragma once

#include "patch/read.h"

namespace kpatch {

// A patch that takes back what this one does, without what is no part of a change (its description). Throws Error as parse_patch() does.
PatchText reversed(const PatchText& patch);

}  // namespace kpatch
