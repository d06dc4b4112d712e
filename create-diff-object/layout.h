// Which table entries and which pieces of shared sections belong to which code. Computed once an object.
//
// A special section is a table: its entries refer to code by their first relocation. Shared code sections without
// symbols (.altinstr_replacement, .fixup …) consist of pieces: each begins where something refers to, and ends where
// the next one begins.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "create-diff-object/object.h"
#include "support/finding.h"

namespace kpatch {

struct TableEntry {
  SectionId table;
  uint64_t begin = 0, end = 0;  // in the table
  SectionId code_section;       // where the entry's first relocation points
  uint64_t code_offset = 0;
};

// Entry size by struct name; nothing when it is not known.
using StructSizes = std::function<std::optional<uint64_t>(std::string_view)>;

class Layout {
 public:
  // Refuses (diagnostics, rule "special-section") a table whose size its entry size does not divide, whose entries
  // have no relocation, or whose struct size is unknown and cannot be told from the relocations.
  Layout(const Object& object, const StructSizes& sizes, Diagnostics& diagnostics);

  // Entries that refer to code in [begin, end) of the section, by table, then place in the code.
  std::span<const TableEntry> entries(SectionId code_section, uint64_t begin, uint64_t end) const;

  // The entry of a table that covers the offset; null when none that refers to code of this object does.
  const TableEntry* entry_at(SectionId table, uint64_t offset) const;

  // Whether the reference at that place of a table leads to code of no length (TableFacts::length_offset).
  bool leads_nowhere(SectionId table, uint64_t offset) const { return nowhere_.contains({table, offset}); }

  // The piece of a section that covers `offset` (of .toc: the slot). For sections that are not split: the whole
  // section.
  Object::Extent piece(SectionId section, uint64_t offset) const;

 private:
  void add_table(const Object& object, SectionId id, const StructSizes& sizes, Diagnostics& diagnostics);
  void find_pieces(const Object& object);

  const Object& object_;
  std::vector<TableEntry> entries_;                        // by code section, code offset
  std::vector<uint32_t> by_table_;                         // their indices, by table and begin
  std::map<SectionId, std::vector<uint64_t>> boundaries_;  // of sections that are split
  std::set<std::pair<SectionId, uint64_t>> nowhere_;
};

}  // namespace kpatch
