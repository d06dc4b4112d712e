// What each command of kpatch does and prints.
#pragma once

#include "kpatch/options.h"
#include "kpatch/system.h"

namespace kpatch {

// Prints to stdout (what was asked for) and stderr (errors, progress); the exit code. Throws Error.
int run_command(const TargetOptions& options, System& system);

}  // namespace kpatch
