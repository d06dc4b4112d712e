// Debug information of what was copied.
#pragma once

#include "create-diff-object/build-output.h"

namespace kpatch {

// Adds the patched object's sections with DWARF to the output that build_output() made of it, whose places say where each
// chunk lies. What the output doesn't have lies nowhere in it, as linkers write that.
void add_debug_info(const Object& patched, const Selection& selection, const std::vector<OutputPlace>& places,
                    OutputObject& output);

}  // namespace kpatch
