// What of the livepatch goes to somebody who keeps it.
#pragma once

#include "create-diff-object/select.h"
#include "lookup/lookup.h"
#include "support/finding.h"

namespace kpatch {

// Warns (handed-out) where something would be read or called after the livepatch is unloaded: the address of a new function,
// of a new variable that leads to functions or is linked into lists, and names that the callee keeps.
// parent: the kernel's binary that the object is a part of.
void warn_of_handed_out(const Pair& pair, const Selection& selection, const Binary& parent, Diagnostics& diagnostics);

}  // namespace kpatch
