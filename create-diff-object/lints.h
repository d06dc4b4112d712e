// What the author of a patch should know, though the kernel would load it.
#pragma once

#include "create-diff-object/select.h"
#include "support/finding.h"

namespace kpatch {

// Warnings:
//   handed-out  the address of a function that is new in the livepatch goes to code or data: whoever keeps it (a timer, a
//               work item, RCU, a notifier, a table of operations) calls freed memory when the livepatch is gone
//   stall       a replaced function that a kernel thread runs as its main loop: the thread never leaves it, and the
//               transition waits for it
void lint(const Pair& pair, const Selection& selection, Diagnostics& diagnostics);

}  // namespace kpatch
