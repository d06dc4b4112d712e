// The kernel is found as kpatch-build finds it: source, config and compiler come from the packages of a release, prepared
// once and kept in the cache.
#include "kpatch-build/kernel-session.h"

#include <string_view>
#include <utility>

#include "kpatch-build/delivery.h"
#include "kpatch-build/sandbox.h"
#include "kpatch-build/stages.h"

namespace kpatch {
namespace {

Base prepared(const Options& options, Console& console, Cache& cache, Executor& executor,
              const std::filesystem::path& scratch) {
  enter_sandbox(executor, writable_folders(cache.root()), scratch);
  const Build build{options, console, executor, cache, scratch, {}};
  Result<Base> base = prepare_base(build);
  for (const Finding& finding : base.findings)
    if (finding.severity != Severity::notice) console.warning(text_of(finding));
  return std::move(*base.value);
}

}  // namespace

KernelSession::KernelSession(Options kernel, unsigned verbosity)
    : console_(verbosity),
      cache_(Cache::default_root(), console_),
      executor_(new_log(cache_.root() / "logs"), [&](std::string_view line) { console_.command(line); }),
      scratch_(cache_.scratch()),
      options_(std::move(kernel)),
      base_(prepared(options_, console_, cache_, executor_, scratch_.path())) {}

}  // namespace kpatch
