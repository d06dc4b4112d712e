// kpatch vex.
#pragma once

#include "kpatch/options.h"
#include "kpatch/store.h"
#include "kpatch/system.h"

namespace kpatch {

// Prints what is said of files and installed livepatches, or without names of what runs, in the format that the options name
// (OpenVEX, CSAF, SPDX); the exit code. Throws Error.
int print_statement(const TargetOptions& options, const System& system, const Store& store);

}  // namespace kpatch
