// What the author of a patch should know, though the kernel would load it.
#pragma once

#include "create-diff-object/select.h"
#include "lookup/lookup.h"
#include "support/finding.h"

namespace kpatch {

// Warnings:
//   stall       a replaced function that a kernel thread runs as its main loop: the thread never leaves it, and the
//               transition waits for it
//   ro-after-init  new code writes to a variable that is read-only since the init of the kernel, of its module, or of the
//               livepatch: an instruction of the function itself that writes to it, which the original hasn't
// parent: the kernel's binary that the object is a part of.
void lint(const Pair& pair, const Selection& selection, const Binary& parent, Diagnostics& diagnostics);

}  // namespace kpatch
