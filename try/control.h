// The livepatch that does nothing: what the author's test has to fail with.
#pragma once

#include "elf/elf.h"

namespace kpatch {

// Redirects nothing in it, and leaves everything else: it is loaded as the original is, runs its init code, and its
// transition ends. False, and nothing is changed, when the module's tables aren't known.
bool redirect_nothing(KlpElf& module);

}  // namespace kpatch
