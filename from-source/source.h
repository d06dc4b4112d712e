// What of one source goes into the livepatch.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "extract/extract.h"
#include "from-source/bindings.h"
#include "from-source/object-facts.h"
#include "from-source/workshop.h"
#include "support/finding.h"

namespace kpatch {

struct ReplacedFunction {
  std::string name;
  unsigned position = 0;  // sympos
};

// The two texts of a source, original and patched, and how the kernel compiles it.
struct SourcePair {
  CompileCommand command;
  std::string owner;  // "vmlinux", or the module's name as the kernel spells it
  SourceUnit original, patched;
};
// patched: of the whole patch. Throws Error when a text can't be preprocessed.
SourcePair read_pair(Workshop& workshop, const CompileCommand& command, const AppliedPatches& patches);
// The same with a view of the patched source that is there already.
SourcePair read_pair(Workshop& workshop, const CompileCommand& command, PatchedView& view);
std::string owner_of(const CompileCommand& command);

// What speaks against the changes of a unit as a whole.
std::vector<Finding> judge_changes(const UnitChanges& changes, const std::string& source);

struct LivepatchSource {
  std::string text;       // empty: refused
  std::string heading{};  // its first comment
  std::vector<ReplacedFunction> replaced;
  std::vector<std::string> copied;               // other functions and variables whose text is in it, sorted
  std::set<std::string> shared{};                // names that it leaves to another source of the livepatch
  std::map<std::string, std::string> climbed{};  // a replaced function, and the one that it is replaced for
  std::vector<Finding> findings{};
};
// functions: that are asked for; those that the texts say are changed are taken as well. stem: of the source's name in the
// livepatch, without ".c". copy: functions that are copied even where the kernel's could be called.
LivepatchSource make_source(Workshop& workshop, const SourcePair& pair, const std::vector<std::string>& functions,
                            const std::string& stem, Bindings& bindings, const std::set<std::string>& copy = {});

// The words that compile a livepatch's source, as the kernel compiles the file that it was taken from.
std::vector<std::string> livepatch_words(const CompileCommand& command, const std::filesystem::path& file);

}  // namespace kpatch
