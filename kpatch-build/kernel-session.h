// A kernel to work with, for programs that aren't kpatch-build: its files, prepared and kept in the cache.
#pragma once

#include <filesystem>

#include "kernel/kernel.h"
#include "kpatch-build/options.h"
#include "support/console.h"
#include "support/executor.h"

namespace kpatch {

class KernelSession {
 public:
  // kernel: the options of kpatch-build that say which; its commands run in the sandbox from here on. Throws Error when
  // there is no such kernel.
  KernelSession(Options kernel, unsigned verbosity);

  const Base& base() const { return base_; }
  Cache& cache() { return cache_; }
  Executor& executor() { return executor_; }
  Console& console() { return console_; }
  const std::filesystem::path& scratch() const { return scratch_.path(); }  // removed at the end

 private:
  Console console_;
  Cache cache_;
  Executor executor_;
  ScratchDirectory scratch_;
  Options options_;
  Base base_;
};

}  // namespace kpatch
