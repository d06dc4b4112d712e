// Which of the units that may include a changed header can be changed by it at all.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kbuild/includes.h"

namespace kpatch {

struct HeaderChange {
  std::string path;                // relative to the source, in both trees
  std::filesystem::path original;  // its texts
  std::filesystem::path patched;
};

struct Mentions {
  std::vector<size_t> units;       // indices, sorted: those that may differ. Never too few
  std::vector<std::string> names;  // sorted: what changes, and what stands for it in other headers
  std::vector<std::string> whole;  // sorted: files of which every includer may differ
};

// graph: made of the units, asked about the changed headers. Reads every file of it, and again what may mention
// something; runs nothing.
Mentions units_that_mention(const IncludeGraph& graph, std::span<const CompileCommand> units,
                            std::span<const HeaderChange> changes);

// Whether the code of a unit can differ. original, patched: what the preprocessor makes of it. It can't where all that
// differs is declarations, macros aside, of which none is used: an inline function that nobody calls.
bool code_may_differ(std::string_view original, std::string_view patched);

// The same, of the patched text alone, where names are those of all that changes in it, and no macro is among them.
bool code_uses(std::string_view text, std::span<const std::string> names);

// What a change of a header can reach by name.
struct ChangedNames {
  bool everything = false;           // the header as a whole: nobody can tell
  std::vector<std::string> names;    // sorted
  bool macros = false;               // some are macros, of which a preprocessed text shows nothing
  std::vector<std::string> defined;  // of these: macros that one of the texts doesn't define
};
ChangedNames changed_names(std::string_view original, std::string_view patched);

}  // namespace kpatch
