// From a selection to the diff object: copies chunks, rewrites relocations, adds the tables that the module template
// and the post-link step read (doc/formats.md).
#pragma once

#include <string>

#include "create-diff-object/differ.h"
#include "create-diff-object/resolve.h"
#include "create-diff-object/select.h"
#include "elf/elf.h"
#include "support/finding.h"

namespace kpatch {

// Refuses what no relocation can express; the result is then of no use. references: how each reference to something
// outside the output is resolved, sorted, each once.
OutputObject build_output(const Pair& pair, const Selection& selection, Resolver& resolver, const Binary& parent,
                          Diagnostics& diagnostics, std::vector<ReferenceReport>& references);

}  // namespace kpatch
