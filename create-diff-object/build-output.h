// From a selection to the diff object: copies chunks, rewrites relocations, adds the tables that the module template
// and the post-link step read (doc/formats.md).
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "create-diff-object/differ.h"
#include "create-diff-object/resolve.h"
#include "create-diff-object/select.h"
#include "elf/elf.h"
#include "support/finding.h"

namespace kpatch {

// Where a chunk lies in the output.
struct OutputPlace {
  uint32_t section = UINT32_MAX;
  uint64_t offset = 0;
};

struct OutputReport {
  std::vector<OutputPlace> places;          // by chunk of the selection
  std::vector<ReferenceReport> references;  // how each reference to something outside is resolved; sorted, each once
  std::vector<std::string> globals;         // sorted: new symbols that other objects of the patch may refer to
};

// Refuses what no relocation can express; the result is then of no use. parent_needs: see DifferInput.
OutputObject build_output(const Pair& pair, const Selection& selection, Resolver& resolver, const Binary& parent,
                          const std::set<std::string>& parent_needs, Diagnostics& diagnostics, OutputReport& report);

}  // namespace kpatch
