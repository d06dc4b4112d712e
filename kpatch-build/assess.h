// --assess: what would become of a patch, for one kernel and more, before anything is built.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "kpatch-build/stages.h"

namespace kpatch {

enum class PatchVerdict : uint8_t {
  patchable,       // compiled and compared: nothing is refused
  likely,          // too much to compile here, and nothing that was looked at is refused
  already_there,   // it applies backwards
  not_built,       // the config builds none of what it touches
  no_change,       // no code differs
  refused,         // the findings say why
  does_not_apply,  // neither way
  failed           // it couldn't be found out
};
std::string_view name_of(PatchVerdict verdict);  // "already there"

struct Assessment {
  std::string release{};
  PatchVerdict verdict = PatchVerdict::failed;
  bool offset = false;    // it applies, elsewhere than its lines say
  bool compiled = false;  // and compared
  size_t objects = 0;     // that it may change
  double seconds = 0;
  std::string message{};  // does_not_apply, failed: why
  std::vector<Finding> findings{};
  std::vector<std::string> ways_out{};  // files that --way-out has written
};

// Of build.options.archversion, or what else says which kernel. A base that isn't in the cache is made. Only Interrupted
// is thrown: what else ends it is the verdict.
Assessment assess(const Build& build);

// The worst of all: 1 where one failed or doesn't apply, 2 where one is refused, 0 where one can be patched or may be, 3 where
// there is nothing to do.
int exit_code_of(const std::vector<Assessment>& all);
std::string table_of(const std::vector<Assessment>& all);
nlohmann::json to_json(const std::vector<Assessment>& all);

// A commit of the git repository that is the current folder, as a patch. Throws Error when there is none.
PatchText patch_of_commit(const std::string& commit);
// "5d1a0d3", "v6.12.3~2": no file, and of the letters that names of commits have.
bool may_be_commit(const std::filesystem::path& patch);

}  // namespace kpatch
