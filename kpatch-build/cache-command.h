// kpatch-build --cache.
#pragma once

#include "kpatch-build/options.h"
#include "support/console.h"

namespace kpatch {

// Does what --cache asks for. Throws Error as Cache does.
void tend_cache(const Options& options, Console& console);
// Prunes behind a build, where a limit is set; what it can't do is a warning.
void keep_within_limits(const Options& options, Cache& cache, Console& console);

}  // namespace kpatch
