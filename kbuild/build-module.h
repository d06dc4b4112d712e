// From diff objects to a module: link, and the base's own kbuild.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/kernel.h"
#include "support/executor.h"
#include "support/result.h"

namespace kpatch {

struct ModuleInput {
  std::vector<std::filesystem::path> diff_objects;
  std::vector<std::filesystem::path> patched_objects;  // as compiled, for what objtool must see in full
  std::string name;                                    // module name
  unsigned jobs = 1;
  bool replace = true;
  bool accept_objtool = false;  // objtool's findings become warnings
  // modinfo fields: key and value, in this order.
  std::vector<std::pair<std::string, std::string>> info;
  std::vector<std::string> fixes;  // what the loaded module tells of itself (doc/formats.md)
};

// Builds in `directory` (made here) and gives the .ko, before post-link. Findings: warnings of kbuild and modpost, and
// what objtool reports that would make the module unsafe to unwind, load or patch ("objtool"): errors, or warnings where
// that is accepted. Throws Error when kbuild fails.
Result<std::filesystem::path> build_module(const ModuleInput& input, const Base& base,
                                           const std::filesystem::path& directory, Executor& executor);

// What build_module gave becomes the module that is delivered, `linked`: post-link, and the shipped code of what it replaces
// (doc/formats.md, .note.kpatch.code). Throws Error when a shipped file is damaged.
void finish_module(const std::filesystem::path& built, const std::filesystem::path& linked, const Base& base,
                   ShippedBinaries& shipped);

// For the module's Kbuild where objtool_sees_single_files(): kbuild's objtool runs over what is linked, and not over its parts.
std::string objtool_behind_link(std::string_view module);

}  // namespace kpatch
