// Section groups (SHT_GROUP): sections that a linker takes or leaves as one.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "create-diff-object/compare.h"
#include "create-diff-object/object.h"
#include "create-diff-object/select.h"
#include "support/finding.h"

namespace kpatch {

struct SectionGroup {
  std::string_view signature;  // the name of the symbol that identifies it
  uint32_t flags = 0;          // GRP_COMDAT
  std::vector<SectionId> members;
};

// Throws Error naming the group when it is damaged.
std::vector<SectionGroup> section_groups(const Object& object);

// Refuses (rule "section-group", naming the group) a selection with a section whose group the two objects disagree on.
void check_groups(const Pair& pair, const Selection& selection, Diagnostics& diagnostics);

}  // namespace kpatch
