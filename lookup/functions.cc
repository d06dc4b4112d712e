//     DW_TAG_subprogram   DW_AT_name meminfo_proc_show   DW_AT_decl_file fs/proc/meminfo.c   DW_AT_decl_line 35
//                         DW_AT_type -> int
//     DW_TAG_subprogram   DW_AT_abstract_origin -> …     the code of one that is inlined elsewhere as well
//
// A declaration has DW_AT_declaration. The type is followed through typedefs and const to what it is made of, while its
// name stays the one that the source uses.
#include "lookup/functions.h"

#include <fmt/format.h>

#include <algorithm>

#include "elf/elf.h"
#include "lookup/dwarf-units.h"

namespace kpatch {

namespace {

bool type_of(Dwarf_Die& entry, Dwarf_Die& type) {
  Dwarf_Attribute attribute;
  return dwarf_attr_integrate(&entry, DW_AT_type, &attribute) != nullptr &&
         dwarf_formref_die(&attribute, &type) != nullptr;
}

std::string name_of(Dwarf_Die& entry) {
  const char* name = dwarf_diename(&entry);
  return name == nullptr ? std::string() : name;
}

// As C writes it, nearly: of functions nothing but that they are.
std::string written(Dwarf_Die type) {
  const int tag = dwarf_tag(&type);
  Dwarf_Die inner;
  const std::string below = type_of(type, inner) && tag != DW_TAG_typedef ? written(inner) : "void";
  switch (tag) {
    case DW_TAG_pointer_type:
      return below.ends_with('*') ? below + "*" : below + " *";
    case DW_TAG_const_type:
      return below.ends_with('*') ? below + "const" : "const " + below;
    case DW_TAG_volatile_type:
      return "volatile " + below;
    case DW_TAG_restrict_type:
      return below;
    case DW_TAG_subroutine_type:
      return "function";
    case DW_TAG_structure_type:
      return "struct " + name_of(type);
    case DW_TAG_union_type:
      return "union " + name_of(type);
    case DW_TAG_enumeration_type:
      return "enum " + name_of(type);
    default:
      return name_of(type);
  }
}

std::vector<std::pair<std::string, int64_t>> enumerators_of(Dwarf_Die& type) {
  std::vector<std::pair<std::string, int64_t>> all;
  Dwarf_Die child;
  if (dwarf_child(&type, &child) != 0) return all;
  do {
    Dwarf_Attribute attribute;
    Dwarf_Sword value = 0;
    if (dwarf_tag(&child) == DW_TAG_enumerator && dwarf_attr(&child, DW_AT_const_value, &attribute) != nullptr &&
        dwarf_formsdata(&attribute, &value) == 0)
      all.emplace_back(name_of(child), value);
  } while (dwarf_siblingof(&child, &child) == 0);
  return all;
}

ReturnType return_type(Dwarf_Die& function) {
  ReturnType result;
  Dwarf_Die type, plain;
  if (!type_of(function, type)) return result;
  result.name = written(type);
  if (dwarf_peel_type(&type, &plain) != 0) plain = type;
  const int size = dwarf_bytesize(&plain);
  result.bytes = size < 0 ? 0 : static_cast<uint64_t>(size);
  result.kind = ReturnKind::other;
  Dwarf_Attribute attribute;
  Dwarf_Word encoding = 0;
  switch (dwarf_tag(&plain)) {
    case DW_TAG_pointer_type:
      result.kind = ReturnKind::pointer;
      break;
    case DW_TAG_enumeration_type:
      result.kind = ReturnKind::enumeration;
      result.enumerators = enumerators_of(plain);
      break;
    case DW_TAG_base_type:
      if (dwarf_formudata(dwarf_attr(&plain, DW_AT_encoding, &attribute), &encoding) != 0) break;
      result.is_signed = encoding == DW_ATE_signed || encoding == DW_ATE_signed_char;
      if (encoding == DW_ATE_boolean)
        result.kind = ReturnKind::boolean;
      else if (result.is_signed || encoding == DW_ATE_unsigned || encoding == DW_ATE_unsigned_char)
        result.kind = result.bytes <= 8 ? ReturnKind::integer : ReturnKind::other;
      break;
    default:
      break;
  }
  return result;
}

}  // namespace

std::vector<DefinedFunction> defined_functions(const std::filesystem::path& file, const std::string& name) {
  std::vector<DefinedFunction> found;
  const FileBytes bytes = FileBytes::read(file);
  const DwarfSession session(bytes.bytes(), fmt::format("'{}'", file.string()));
  if (session.dwarf() == nullptr) return found;
  for_each_unit(session.dwarf(), [&](Dwarf_Die& unit) {
    Dwarf_Die entry;
    if (dwarf_child(&unit, &entry) != 0) return true;
    do {
      Dwarf_Attribute attribute;
      if (dwarf_tag(&entry) != DW_TAG_subprogram || dwarf_hasattr(&entry, DW_AT_declaration) != 0 ||
          dwarf_attr(&entry, DW_AT_name, &attribute) == nullptr || name_of(entry) != name)
        continue;
      const char* defined_in = dwarf_decl_file(&entry);
      int line = 0;
      if (defined_in == nullptr || dwarf_decl_line(&entry, &line) != 0) continue;
      found.push_back({name, std::filesystem::path(defined_in).lexically_normal().string(), line, return_type(entry),
                       dwarf_hasattr_integrate(&entry, DW_AT_noreturn) != 0});
    } while (dwarf_siblingof(&entry, &entry) == 0);
    return true;
  });
  std::sort(found.begin(), found.end());
  const auto same_place = [](const DefinedFunction& a, const DefinedFunction& b) {
    return a.file == b.file && a.line == b.line;
  };
  found.erase(std::unique(found.begin(), found.end(), same_place), found.end());
  return found;
}

}  // namespace kpatch
