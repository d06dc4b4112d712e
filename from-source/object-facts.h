// What the compiler made of a unit: which functions have code of their own, where the others went, what variables are
// called.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "lookup/lookup.h"

namespace kpatch {

struct LocalVariable {
  int line = 0;
  std::string symbol;  // "count.3"
};

class ObjectFacts {
 public:
  // An object of the original source, compiled with -ffunction-sections and with DWARF.
  explicit ObjectFacts(const std::filesystem::path& object);

  const BinarySymbol* function(std::string_view symbol) const;  // with code of its own under just this name
  const BinarySymbol* variable(std::string_view symbol) const;
  std::string_view section_of(const BinarySymbol& symbol) const { return object_.section_name(symbol.section); }
  // Functions whose code holds a copy of this one's, sorted.
  std::vector<std::string> inlined_into(const std::string& function) const;
  // Those that call or point to the code that is the function's under another name: f.isra.0, f.constprop.0; sorted.
  // itself: those of the code under its own name too.
  std::vector<std::string> users_of_clones(const std::string& function, bool itself) const;
  bool inlines(const std::string& caller, const std::string& function) const;
  // Of that name in that function, in the order of the source.
  std::vector<LocalVariable> locals(const std::string& function, const std::string& name) const;
  // Names of local functions and variables, for telling the unit in the shipped binary.
  const std::set<std::string_view>& local_names() const { return local_names_; }
  bool has_debug_info() const { return has_debug_info_; }

 private:
  void read_debug_info(const std::filesystem::path& object);

  Binary object_;
  std::map<std::string_view, uint32_t> functions_, variables_;
  std::set<std::string_view> local_names_;
  std::map<std::string, std::set<std::string>> inlined_;  // by the function that has the copies
  std::map<std::pair<std::string, std::string>, std::vector<LocalVariable>> locals_;
  bool has_debug_info_ = false;
};

// Which symbol of the shipped binary a symbol of the object is. file_name: of the source, as a FILE symbol has it.
// Throws Error where there is none, or it can't be told which of several.
uint32_t shipped_symbol(const Binary& shipped, const ObjectFacts& facts, const BinarySymbol& symbol,
                        std::string_view file_name, std::string_view owner);

}  // namespace kpatch
