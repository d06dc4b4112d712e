// Which objects of the kernel a patch may change.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/kernel.h"
#include "patch/patch.h"
#include "support/executor.h"
#include "support/result.h"

namespace kpatch {

struct AffectedObject {
  CompileCommand command;                  // in the patched tree, with the source tree's paths
  std::optional<CompileCommand> original;  // in the original tree; empty when the patch adds the object
  bool certain = true;                     // its own source is touched; else it only may include what is
  std::string reason{};                    // why it is here
};

// The objects, sorted; there is at least one. Asks kbuild (with the base's cache) and, for headers, scans the configured
// units. targets: --target, empty for all. Each touched file ends as one of: the reason of objects ("affected"; "target"
// when --target leaves them out), without influence ("ignored"), left out by the config ("not-built": nothing is missed by
// that, but when it is all there is the patch is for another kernel), or a refusal ("assembly", "removed", "moved",
// "needs-full", "generated", "other-reader", "unknown-file").
Result<std::vector<AffectedObject>> find_affected(const Base& base, const AppliedPatches& patches, PatchedView& view,
                                                  const std::vector<std::string>& targets, Executor& executor,
                                                  const std::filesystem::path& scratch);

// What source and patch show without a kernel's config, of a file that is touched: it is refused whatever is built ("assembly",
// "generated", "needs-full"), or nothing of it reaches a kernel that runs. patched: the folder with what the patch made of
// it. arch: as for file_verdict(). built_here: of an own kernel.
std::optional<Finding> refused_file(const std::filesystem::path& source, const std::filesystem::path& patched,
                                    const std::string& path, std::string_view arch, bool built_here);
bool is_without_influence(const std::filesystem::path& source, const std::filesystem::path& patched,
                          const std::string& path, std::string_view arch);

// Why a unit is affected by an include, in words. chain: as IncludeGraph::chains() gives it.
std::string include_reason(const std::vector<std::string>& chain);

}  // namespace kpatch
