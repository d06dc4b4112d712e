// The compiler decides what a source function becomes, and only its object tells
//
//     DW_TAG_subprogram show                 code of its own, in which
//       DW_TAG_inlined_subroutine helper       a copy of helper stands: who changes helper replaces show
//       DW_TAG_variable count  location .bss+8   = the symbol count.3
//     symbol probe.isra.0                    probe has code, but with other arguments: its callers are replaced instead
//
// A symbol of the object is found in the shipped file by its name and, if it is local, by its FILE group. Where several
// sources are called core.c, the group that has most of this object's local names is it, if there is one such.
#include "from-source/object-facts.h"

#include <dwarf.h>
#include <fmt/core.h>

#include <algorithm>

#include "elf/elf.h"
#include "support/error.h"
#include "support/files.h"

namespace kpatch {
namespace {

using std::string;
using std::string_view;

// By itself or by the entry that it is a copy of.
Dwarf_Attribute* attribute_of(Dwarf_Die* die, unsigned name, Dwarf_Attribute* value) {
  return dwarf_attr_integrate(die, name, value);
}

string name_of(Dwarf_Die* die) {
  Dwarf_Attribute value;
  const char* name = dwarf_formstring(attribute_of(die, DW_AT_name, &value));
  return name == nullptr ? "" : name;
}

template <typename Visit>
void each_child(Dwarf_Die* die, Visit visit) {
  Dwarf_Die child;
  if (dwarf_child(die, &child) != 0) return;
  do visit(&child);
  while (dwarf_siblingof(&child, &child) == 0);
}

class DebugReader {
 public:
  DebugReader(Dwfl_Module* module, std::map<string, std::set<string>>& inlined,
              std::map<std::pair<string, string>, std::vector<LocalVariable>>& locals)
      : module_(module), inlined_(inlined), locals_(locals) {}

  // owner: the function with code of its own around the entry; source: the one in whose text it stands.
  void read(Dwarf_Die* die, const string& owner, const string& source) {
    each_child(die, [&](Dwarf_Die* child) {
      switch (dwarf_tag(child)) {
        case DW_TAG_subprogram: {
          const string name = name_of(child);
          Dwarf_Addr address;
          const bool code = dwarf_lowpc(child, &address) == 0 || dwarf_hasattr(child, DW_AT_ranges) != 0;
          return read(child, code ? name : string(), name);
        }
        case DW_TAG_inlined_subroutine: {
          const string name = name_of(child);
          if (!owner.empty()) inlined_[owner].insert(name);
          return read(child, owner, name);
        }
        case DW_TAG_lexical_block:
          return read(child, owner, source);
        case DW_TAG_variable:
          return read_variable(child, source);
        default:
          return;
      }
    });
  }

 private:
  void read_variable(Dwarf_Die* die, const string& source) {
    Dwarf_Attribute value;
    Dwarf_Op* operations = nullptr;
    size_t count = 0;
    if (source.empty() || attribute_of(die, DW_AT_location, &value) == nullptr) return;
    if (dwarf_getlocation(&value, &operations, &count) != 0 || count != 1 || operations[0].atom != DW_OP_addr) return;
    GElf_Sym symbol;
    GElf_Off offset = 0;
    const char* name = dwfl_module_addrinfo(module_, operations[0].number, &offset, &symbol, nullptr, nullptr, nullptr);
    if (name == nullptr || offset != 0) return;
    Dwarf_Word line = 0;
    Dwarf_Attribute line_value;
    dwarf_formudata(attribute_of(die, DW_AT_decl_line, &line_value), &line);
    std::vector<LocalVariable>& known = locals_[{source, name_of(die)}];
    const bool again = std::ranges::any_of(known, [&](const LocalVariable& other) { return other.symbol == name; });
    if (!again) known.push_back({static_cast<int>(line), name});
  }

  Dwfl_Module* module_;
  std::map<string, std::set<string>>& inlined_;
  std::map<std::pair<string, string>, std::vector<LocalVariable>>& locals_;
};

bool is_clone_of(string_view symbol, string_view function) {
  if (!symbol.starts_with(function)) return false;
  const string_view rest = symbol.substr(function.size());
  return rest.starts_with(".isra.") || rest.starts_with(".constprop.") || rest.starts_with(".part.");
}

}  // namespace

ObjectFacts::ObjectFacts(const std::filesystem::path& object) : object_(Binary::open(object)) {
  for (uint32_t i = 0; i < object_.symbols().size(); ++i) {
    const BinarySymbol& symbol = object_.symbols()[i];
    if (!symbol.defined()) continue;
    if (symbol.type == SymbolType::function) functions_.emplace(symbol.name, i);
    if (symbol.type == SymbolType::object) variables_.emplace(symbol.name, i);
    const bool named = symbol.type == SymbolType::function || symbol.type == SymbolType::object;
    if (named && symbol.binding == SymbolBinding::local) local_names_.insert(symbol.name);
  }
  read_debug_info(object);
}

void ObjectFacts::read_debug_info(const std::filesystem::path& object) {
  const string bytes = read_file(object);
  const DwarfSession session(std::as_bytes(std::span(bytes)), object.filename().string());
  if (session.dwarf() == nullptr || session.module() == nullptr) return;
  // As libdwfl has laid out and relocated it: its addresses are what the symbols have there.
  Dwarf_Addr bias = 0;
  Dwarf_Die* unit = nullptr;
  while ((unit = dwfl_module_nextcu(session.module(), unit, &bias)) != nullptr) {
    has_debug_info_ = true;
    DebugReader(session.module(), inlined_, locals_).read(unit, {}, {});
  }
  for (auto& [key, variables] : locals_) std::ranges::stable_sort(variables, {}, &LocalVariable::line);
}

const BinarySymbol* ObjectFacts::function(string_view symbol) const {
  const auto found = functions_.find(symbol);
  return found == functions_.end() ? nullptr : &object_.symbols()[found->second];
}

const BinarySymbol* ObjectFacts::variable(string_view symbol) const {
  const auto found = variables_.find(symbol);
  return found == variables_.end() ? nullptr : &object_.symbols()[found->second];
}

bool ObjectFacts::inlines(const string& caller, const string& function) const {
  const auto found = inlined_.find(caller);
  return found != inlined_.end() && found->second.contains(function);
}

std::vector<string> ObjectFacts::inlined_into(const string& function) const {
  std::vector<string> callers;
  for (const auto& [caller, inlined] : inlined_)
    if (caller != function && inlined.contains(function)) callers.push_back(caller);
  return callers;
}

std::vector<string> ObjectFacts::users_of_clones(const string& function, bool itself) const {
  const auto wanted = [&](string_view name) { return is_clone_of(name, function) || (itself && name == function); };
  std::set<string> users;
  for (uint32_t section = 0; section < object_.sections().size(); ++section) {
    bool uses = false;
    if (!object_.section_name(section).starts_with(".text")) continue;
    for (const BinaryRelocation& relocation : object_.relocations(section)) {
      const BinarySymbol& target = object_.symbols()[relocation.symbol];
      uses |= wanted(target.name);
      // A local function may be referred to by its section.
      if (target.type == SymbolType::section)
        for (const auto& [name, index] : functions_)
          uses |= wanted(name) && object_.symbols()[index].section == target.section;
    }
    if (!uses) continue;
    for (const auto& [name, index] : functions_) {
      const BinarySymbol& user = object_.symbols()[index];
      if (user.section == section && !is_clone_of(name, function)) users.emplace(name.substr(0, name.find('.')));
    }
  }
  users.erase(function);
  return {users.begin(), users.end()};
}

std::vector<LocalVariable> ObjectFacts::locals(const string& function, const string& name) const {
  const auto found = locals_.find({function, name});
  return found == locals_.end() ? std::vector<LocalVariable>() : found->second;
}

uint32_t shipped_symbol(const Binary& shipped, const ObjectFacts& facts, const BinarySymbol& symbol,
                        string_view file_name, string_view owner) {
  std::vector<uint32_t> candidates;
  const bool local = symbol.binding == SymbolBinding::local;
  size_t best = 0;
  for (const uint32_t index : shipped.named(symbol.name)) {
    const BinarySymbol& other = shipped.symbols()[index];
    if ((other.binding == SymbolBinding::local) != local) continue;
    if (!local) {
      candidates.push_back(index);
      continue;
    }
    // A module without debug information says no files: one symbol of the name has to do.
    if (shipped.files().empty()) {
      candidates.push_back(index);
      continue;
    }
    if (other.file == BinarySymbol::no_file || shipped.files()[other.file].name != file_name) continue;
    const FileGroup& group = shipped.files()[other.file];
    size_t shared = 0;
    for (uint32_t i = group.first; i < group.first + group.count; ++i)
      shared += facts.local_names().contains(shipped.symbols()[i].name) ? 1 : 0;
    if (shared > best) candidates.clear();
    if (shared < best) continue;
    best = shared;
    candidates.push_back(index);
  }
  if (candidates.empty())
    throw Error(fmt::format("{}: {} has no such symbol of {}, so the source isn't the one it was built from",
                            symbol.name, owner, file_name));
  if (candidates.size() > 1)
    throw Error(
        fmt::format("{}: {} has {} symbols of this name in files called {}, and it can't be told which is meant",
                    symbol.name, owner, candidates.size(), file_name));
  return candidates.front();
}

}  // namespace kpatch
