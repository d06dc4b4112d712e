// Types and prototypes that other code of the running kernel was compiled with, and that the patch changes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "create-diff-object/select.h"
#include "create-diff-object/source-lines.h"
#include "support/finding.h"

namespace kpatch {

struct TypeMember {
  uint64_t bits = 0;  // where it begins, from the type's start
  uint64_t size = 0;  // in bits
};

// A struct, union or enum of one object.
struct TypeLayout {
  std::string keyword;                        // "struct", "union", "enum"
  uint64_t size = 0;                          // bytes
  std::map<std::string, TypeMember> members;  // of anonymous members too, by their own names
  std::map<std::string, int64_t> values;      // of an enum
  std::set<std::string> embeds;               // "struct mutex": types that it holds by value
};

struct Types {
  std::map<std::string, TypeLayout> layouts;      // "struct pipe_inode_info"; typedefs of nameless ones by their name
  std::map<std::string, std::string> prototypes;  // of functions that are not static, "void (int, struct inode *)"
};

// What the DWARF of an object tells; empty without DWARF.
Types read_types(const SourceLines& lines);

// "grows from 160 to 168 bytes; head moves from 96 to 104, …"; nothing when code that was compiled with the one reads the
// other rightly: new members in a hole, new values of an enum.
std::optional<std::string> layout_change(const TypeLayout& before, const TypeLayout& after);

// Refuses each type whose layout changes (rule "data-layout"), and each export whose prototype does (rule "export").
// Nothing without DWARF. acknowledged: rules that the author takes upon himself: a warning then.
void check_data_layout(const Pair& pair, const Selection& selection, const std::set<std::string>& acknowledged,
                       Diagnostics& diagnostics);

}  // namespace kpatch
