// The types and prototypes of an object, as its DWARF has them.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "create-diff-object/source-lines.h"

namespace kpatch {

struct TypeMember {
  uint64_t bits = 0;  // where it begins, from the type's start
  uint64_t size = 0;  // in bits; 0 of a flexible array
  std::string shape;  // how its bytes are read: "4-byte number", "pointer to struct inode", "struct mutex", "char [16]"
  std::string bare;   // the shape without structs and unions of one member: of an atomic_t "4-byte number"
};

// A struct, union or enum of one object.
struct TypeLayout {
  std::string keyword;                        // "struct", "union", "enum"
  uint64_t size = 0;                          // bytes
  uint64_t alignment = 0;                     // bytes, where the source asks for one; else 0
  std::map<std::string, TypeMember> members;  // of anonymous members too, by their own names
  std::map<std::string, int64_t> values;      // of an enum
  std::set<std::string> embeds;               // "struct mutex": types that it holds by value
  std::set<std::string> points_to;            // types that its members point to
  SourcePlace place{};                        // where it is defined; empty: unknown
  bool own_file = false;                      // defined in the .c file itself: no other file knows it
};

struct Types {
  std::map<std::string, TypeLayout> layouts;      // "struct pipe_inode_info"; typedefs of nameless ones by their name
  std::map<std::string, std::string> prototypes;  // of functions that are not static, "void (int, struct inode *)"
  std::map<std::string, std::string> own_prototypes;           // of static functions, of those that are defined
  std::map<std::string, std::vector<std::string>> parameters;  // names, of all functions that are defined
  // What each type is used for, by value or through pointers: variables that aren't on a stack, and functions that are
  // not static.
  std::map<std::string, std::set<std::string>> variables, functions;
  // The variables that aren't on a stack, those of functions as "f: x"; of an array its element's shape.
  std::map<std::string, TypeMember> variable_shapes;
};

// The enumerators of all enums without a name are one entry.
inline constexpr const char* nameless_enums = "enum without a name";

// What the DWARF of an object tells; empty without DWARF.
Types read_types(const SourceLines& lines);

}  // namespace kpatch
