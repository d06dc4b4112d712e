// Compiles to run, and what they come to.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "kbuild/kbuild.h"
#include "kpatch-build/kept-originals.h"
#include "support/executor.h"

namespace kpatch {

class CompileJobs {
 public:
  CompileJobs(const CompileSettings& settings, Executor& executor);

  // A compile of objects[unit], with files of its own in the settings' directory.
  CompileJob job(size_t unit, Variant variant) const;

  // Runs the jobs, but for what was kept of an earlier run. Results in their order. progress (may be empty): how many are
  // done, of how many.
  std::vector<CommandResult> run(std::span<const AffectedObject> objects, std::span<const CompileJob> jobs,
                                 const std::function<void(size_t, size_t)>& progress);
  // The same, and once more with the complete view for what read past it. Throws Error when that reads past it as well.
  std::vector<CommandResult> run_proven(std::span<const AffectedObject> objects, const std::vector<CompileJob>& jobs,
                                        const std::function<void(size_t, size_t)>& progress);

  // Throws Error with the compiler's message, which names the patch's files.
  [[noreturn]] void fail(const AffectedObject& object, const CompileJob& job, const CommandResult& result) const;

 private:
  bool launched(Variant variant) const;
  std::vector<CommandResult> run_mended(std::span<const AffectedObject> objects, std::span<const CompileJob> jobs,
                                        std::span<const Command> commands,
                                        const std::function<void(size_t, size_t)>& progress);
  std::vector<size_t> mend(std::span<const AffectedObject> objects, std::span<const CompileJob> jobs,
                           std::span<const CommandResult> results);
  std::vector<CompileJob> leaked(std::span<const CompileJob> jobs, std::span<const CommandResult> results) const;
  void refuse_leak(const std::vector<CompileJob>& leaks, std::span<const CommandResult> results,
                   std::span<const CompileJob> jobs) const;

  const CompileSettings& settings_;
  Executor& executor_;
  GeneratedFiles generated_;
  KeptOriginals kept_;
  bool runtime_constants_;
};

}  // namespace kpatch
