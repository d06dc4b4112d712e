// The symbols of modules, out of a debug package that was kept.
#pragma once

#include <span>
#include <string>

#include "kernel/base.h"
#include "kernel/cache.h"
#include "support/console.h"
#include "support/executor.h"

namespace kpatch {

// Fills base.debug_modules with the files of these modules ("net/netfilter/xt_comment"; an empty one is vmlinux), where
// they aren't there yet. A module that the package doesn't hold stays missing. Waits while another run does the same.
// Throws Error when the package can't be read, or holds something else by that name.
void unpack_debug_modules(const Base& base, std::span<const std::string> modules, Cache& cache, Executor& executor,
                          Console& console);

}  // namespace kpatch
