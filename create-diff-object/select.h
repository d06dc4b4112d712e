// What goes into the diff object: changed functions, what is new, and what those need.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "create-diff-object/compare.h"
#include "support/finding.h"

namespace kpatch {

// A run of bytes of a patched section that is copied to the output.
struct Chunk {
  SectionId section;
  uint64_t begin = 0, end = 0;
  SymbolId symbol = no_symbol;  // whose extent it is, where it is one
  std::string reason;           // why it is included
  SymbolId user = no_symbol;    // a slot of .toc: the first function that refers through it

  // The name that messages give it: of its symbol, of the function behind a slot, else of its section.
  std::string name(const Object& object) const;
  // The same as a place, for findings. offset: of the instruction or datum in the section, where it is one.
  Location place(const Object& object, std::optional<uint64_t> offset) const;
};

struct Callback {
  std::string kind;   // "pre_patch", "post_patch", "pre_unpatch", "post_unpatch"
  SectionId section;  // the marker section that holds the entry
  uint64_t offset = 0;
};

struct Selection {
  std::vector<Chunk> chunks;         // sorted by section and begin, disjoint
  std::vector<SymbolId> functions;   // patched ids that get a patch entry, sorted by name
  std::vector<SymbolId> added;       // new functions included, sorted by name
  std::vector<SymbolId> handed_out;  // new variables included because other objects of the patch refer to them
  std::vector<SymbolId> lines_only;  // differ in line numbers alone: not patched
  std::vector<Callback> callbacks;
  std::set<SymbolId> ignored;  // changed, but the patch says that they are to be ignored
  // Changed, but not to be patched, and why: init code and data, helpers of Rust.
  std::map<SymbolId, std::string> left_out;

  // The chunk that covers the place, or nullptr.
  const Chunk* chunk_at(SectionId section, uint64_t offset) const;
  bool nothing_to_do() const { return functions.empty() && added.empty() && handed_out.empty() && callbacks.empty(); }
};

// What else is known, by names.
struct SelectionFacts {
  const std::set<std::string>& needed;        // new variables that other objects of the patch refer to
  const std::set<std::string>& unused;        // functions of the parent that nothing in it refers to
  const std::set<std::string>& acknowledged;  // --ack: of "init-code" and "rust-helper" what can't be done is left out
};

Selection select(const Pair& pair, const Comparison& comparison, const SelectionFacts& facts, Diagnostics& diagnostics);

}  // namespace kpatch
