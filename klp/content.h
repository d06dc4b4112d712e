// What a livepatch has in it, in names that two of them can be compared by.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "klp/patch-tables.h"

namespace kpatch {

// Lines of a patch that stand together: removed ones, then added ones. Each is kept as its sign and eight hex digits, so that
// a module can tell what was in its patches without holding them.
struct PatchPlace {
  std::string file;                  // relative to the source
  unsigned line = 0;                 // in the patched file
  std::vector<std::string> lines{};  // "-1a2b3c4d", "+5e6f7081"
  std::string function{};            // "@0a1b2c3d": what they stand in, where the patch tells

  // "fs/proc/meminfo.c:34 @0a1b2c3d -1a2b3c4d +5e6f7081", as .modinfo has it.
  std::string text() const;
  // The reverse; nothing when it is none.
  static std::optional<PatchPlace> of(std::string_view text);
};

struct ContentFunction {
  std::string object, name;
  uint64_t sympos = 0;
  std::string code{};  // a digest: functions of one code have the same, others may

  auto operator<=>(const ContentFunction&) const = default;
};

struct LivepatchContent {
  std::string release{};  // "" where it is of none
  std::string maker{};    // name_of(PatchForm), or what else it is
  std::vector<ContentFunction> functions{};
  std::set<std::pair<std::string, std::string>> callbacks{};  // object, kind
  bool has_shadow_variables = false;
  bool has_states = false;             // struct klp_state
  std::set<std::string> shadow_ids{};  // as the patches write them
  std::set<std::string> fixes{};
  std::vector<PatchPlace> places{};
  bool knows_functions = false;  // and callbacks
  bool knows_patches = false;    // places, ids, fixes
};

// Throws Error when the module has no tables that are known.
LivepatchContent content_of(const KlpElf& elf);

nlohmann::json to_json(const LivepatchContent& content);
// Throws Error when it is none.
LivepatchContent livepatch_content_of(const nlohmann::json& json);

}  // namespace kpatch
