#include "kpatch-build/test-module.h"

#include <fmt/format.h>

#include "arch/arch.h"
#include "support/error.h"
#include "support/files.h"
#include "try/try.h"

namespace kpatch {

namespace fs = std::filesystem;

void require_testable(const Base& base) {
  if (base.image.empty())
    throw Error(
        fmt::format("--test: the image of {} isn't among its files; build without it, and name the image to "
                    "kpatch-try --kernel",
                    base.release));
  require_trial_tools(base.arch->elf.machine);
}

std::vector<Finding> test_module(const Build& build, const Base& base, const fs::path& module) {
  const fs::path kept = build.options.output / (build.module + ".console.log");
  TrialInput input{.module = module,
                   .kernel = {.release = base.release, .image = base.image, .modules = base.modules},
                   .test = build.options.test_script,
                   .console = build.scratch / "console"};
  const fs::path scratch = build.scratch / "try";
  fs::create_directories(scratch);
  TryVerdict verdict =
      judge_trial(input, run_trial(input, scratch, build.cache.root() / "accelerator", build.executor, build.console),
                  expected_functions(module));
  if (verdict.good()) return {};
  // Nothing can be said of a module whose test proves nothing, so that is an error as well.
  for (Finding& finding : verdict.findings) finding.severity = Severity::error;
  write_file(kept, read_file(input.console), Flush::no);
  build.console.info(fmt::format("the kernel's messages: {}", kept.string()));
  return std::move(verdict.findings);
}

}  // namespace kpatch
