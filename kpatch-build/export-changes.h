// Versions of the exports of compiled pairs, by the kernel's own generator.
#pragma once

#include <span>
#include <vector>

#include "kpatch-build/compile.h"
#include "support/executor.h"
#include "support/finding.h"

namespace kpatch {

// Enters in each pair that exports something what the patch changes of its exports' versions. The original's are the
// control: where they aren't those of the shipped Module.symvers, or can't be made, a warning ("export-versions") tells,
// and what the types say by DWARF has to do. Nothing without CONFIG_MODVERSIONS. Throws Error when a text can't be made.
std::vector<Finding> find_export_changes(std::span<ObjectPair> pairs, const CompileSettings& settings,
                                         Executor& executor);

}  // namespace kpatch
