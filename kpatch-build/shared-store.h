// What a team shares, for a run's cache.
#pragma once

#include "kpatch-build/options.h"
#include "support/console.h"

namespace kpatch {

// From now on the cache asks the store that the options name, if they do. Throws Error when this program can't.
void use_store(Cache& cache, const Options& options, Console& console);

}  // namespace kpatch
