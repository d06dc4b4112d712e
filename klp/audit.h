// A look at a finished livepatch, ours or anybody's: would the kernel that runs load it, and do what was meant?
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "lookup/lookup.h"
#include "support/finding.h"

namespace kpatch {

struct AuditInput {
  std::filesystem::path module;      // the final .ko, after post-link
  std::string name;                  // the module's name as it was asked for, '-' or '_'; empty: any
  std::string release;               // "6.12.117+deb12-cloud-amd64"
  const Binary* vmlinux = nullptr;   // an index will do; nullptr: what the file alone says is judged
  const Symvers* symvers = nullptr;  // vmlinux's and its modules'; nullptr: nothing is asked of exports
  // A shipped module by the name that the kernel gives it ("xt_comment"), opened as ELF; nullptr when there is none.
  std::function<const Binary*(std::string_view)> open_module;
  // Made by kpatch-build, and held to all that it promises. Else the same things are warnings where the kernel takes
  // them: a module that is depended on, sections of other makers.
  bool ours = true;
  std::string vermagic{};  // of the kernel, as its own modules have it; empty: its release alone is compared
};

// Returns one error (or warning, of what isn't ours) for each thing that is wrong, sorted by the module's layout, each with section and offset, the
// function and the symbol; nothing when the module may be delivered.
// Throws Error when the file is no ELF module at all, or a shipped module can't be read.
std::vector<Finding> audit(const AuditInput& input);

}  // namespace kpatch
