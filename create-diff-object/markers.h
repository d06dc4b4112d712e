// The author macros of kmod-template/kpatch-macros.h, as they stand in an object: sections named .kpatch.*.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "create-diff-object/object.h"

namespace kpatch {

struct Markers {
  std::set<std::string> ignored_sections;
  std::set<SymbolId> ignored_functions;
  std::set<SymbolId> forced;
  struct Entry {
    SectionId section;
    uint64_t offset = 0;  // of the entry in the section
    std::string kind;
  };
  std::vector<Entry> callbacks;
};

Markers read_markers(const Object& object);

}  // namespace kpatch
