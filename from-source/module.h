// The livepatch's sources become a module.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "from-source/source.h"
#include "from-source/syms.h"
#include "from-source/workshop.h"

namespace kpatch {

struct TableRow {
  std::string owner, name, replacement;
  unsigned position = 0;  // sympos
};
// The global name that a source called stem.c gives to its replacement of a function.
std::string replacement_name(const std::string& stem, const std::string& function);
// C that lists what is replaced. declare: the replacements are defined in other sources than that in which this stands.
std::string patch_table(const std::vector<TableRow>& functions, bool declare);

struct ModulePart {
  std::filesystem::path file;
  CompileCommand command;  // of the file that it was taken from
  std::string owner;
  bool table = false;  // the table of replaced functions, plain C; else it is preprocessed
};
struct ModulePlan {
  std::string name;
  std::vector<ModulePart> parts;
  std::string symbols_file;  // what the list of symbols is called, for messages
  std::vector<LivepatchSymbol> symbols;
  std::vector<std::pair<std::string, std::string>> info;  // further fields of modinfo
};
// The objects of a plan, as the kernel's build links them into a module: those of the parts, in their order, and where a
// symbol is bound, one that says to what. They are made in `folder`, which is there. Throws Error when a part can't be
// compiled, or leaves something open that nobody has.
std::vector<std::filesystem::path> compile_livepatch(Workshop& workshop, const ModulePlan& plan,
                                                     const std::filesystem::path& folder);
// The finished module, in the workshop's scratch folder. Throws Error: it can't be built, or the audit speaks against it.
std::filesystem::path build_livepatch(Workshop& workshop, const ModulePlan& plan);

}  // namespace kpatch
