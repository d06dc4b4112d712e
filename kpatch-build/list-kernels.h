// kpatch-build --list-kernels.
#pragma once

#include "kpatch-build/options.h"
#include "support/console.h"

namespace kpatch {

// Prints a line a kernel, suite by suite: what can be given to -a, its version, and what of it the archive lacks. Gives the
// exit code: 1 when a suite can't be looked into, which standard error tells.
int list_kernels(const Options& options, Console& console);

}  // namespace kpatch
