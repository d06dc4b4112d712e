// Which objects of the kernel a patch may change.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernel/kernel.h"
#include "patch/patch.h"
#include "support/executor.h"

namespace kpatch {

struct AffectedObject {
  CompileCommand command;                  // in the patched tree, with the source tree's paths
  std::optional<CompileCommand> original;  // in the original tree; empty when the patch adds the object
  bool certain = true;                     // its own source is touched; else it only may include what is
};

struct NotBuilt {
  std::string path;
  std::string why;
};

struct Affected {
  std::vector<AffectedObject> objects;  // sorted by object
  std::vector<std::string> ignored;     // touched files that are no part of a kernel: documentation, tools
  std::vector<NotBuilt> not_built;      // touched sources that the config leaves out
  std::vector<std::string> refusals;    // why the change can't be patched; each a whole message
  std::vector<std::string> needs_full;  // touched files that only two full builds can judge
};

// Asks kbuild (with the base's cache) and, for headers, scans the configured units. targets: --target, empty for all.
Affected find_affected(const Base& base, const AppliedPatches& patches, PatchedView& view,
                       const std::vector<std::string>& targets, Executor& executor,
                       const std::filesystem::path& scratch);

// What a touched path is, by its name alone.
enum class PathKind { source, assembly, header, makefile, kconfig, ignored, unknown };
PathKind path_kind(std::string_view path);

}  // namespace kpatch
