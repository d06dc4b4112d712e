// Which objects of the kernel a patch may change.
#pragma once

#include <optional>
#include <string>
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
// units. targets: --target, empty for all. Findings: refusals ("assembly", "removed", "moved", "needs-full"), touched
// sources that the config leaves out ("not-built": nothing is missed by leaving them out, but when they are all there is
// the patch is for another kernel), touched files that are no part of a kernel ("ignored"), objects that are left out
// ("dropped"), and why each other one is there ("affected").
Result<std::vector<AffectedObject>> find_affected(const Base& base, const AppliedPatches& patches, PatchedView& view,
                                                  const std::vector<std::string>& targets, Executor& executor,
                                                  const std::filesystem::path& scratch);

// Why a unit is affected by an include, in words. chain: as IncludeGraph::chains() gives it.
std::string include_reason(const std::vector<std::string>& chain);

// What a touched path is, by its name alone.
enum class PathKind { source, assembly, header, makefile, kconfig, ignored, unknown };
PathKind path_kind(std::string_view path);

}  // namespace kpatch
