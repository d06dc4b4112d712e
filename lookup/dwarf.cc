// What only DWARF knows: which translation units a binary was made of, by which compiler, and struct sizes where there
// is no BTF.
//
// Units. Of each unit the first entry alone is read ("DW_TAG_compile_unit, DW_AT_name fs/proc/meminfo.c"), and the next
// unit is found by the header's length: 2,400 of them cost milliseconds, although .debug_info is 200 MB.
//
// Struct sizes. The top-level entries of unit after unit are walked, siblings only, until the struct is found with a
// size. Whether it can be found at all is asked of .debug_str first: a name that is not in it would otherwise cost a
// walk over everything (names shorter than four letters can stand elsewhere, and no kernel struct of interest is as
// short).
//
// Inlined functions. A unit that has inlined a function has one entry that the copies refer to
// (DW_AT_abstract_origin), among its top-level ones:
//
//   DW_TAG_subprogram   DW_AT_name sk_add_backlog   DW_AT_decl_file include/net/sock.h   DW_AT_inline 3
//
// so that these tell, and the copies need not be looked for in every function.
#include <dwarf.h>
#include <elfutils/libdw.h>

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "elf/elf.h"
#include "lookup/binary-data.h"
#include "lookup/dwarf-units.h"
#include "lookup/inlined.h"

namespace kpatch {

namespace {

bool has_debug_info(const BinaryData& data) {
  return std::any_of(data.sections.begin(), data.sections.end(),
                     [](const BinarySection& section) { return section.name == ".debug_info"; });
}

DwarfSession open_dwarf(const BinaryData& data) { return {data.file.bytes(), fmt::format("'{}'", data.path.string())}; }

std::string_view text_attribute(Dwarf_Die& die, unsigned attribute) {
  Dwarf_Attribute value;
  const char* text = dwarf_formstring(dwarf_attr(&die, attribute, &value));
  return text == nullptr ? std::string_view() : text;
}

bool is_c(Dwarf_Die& unit) {
  switch (dwarf_srclang(&unit)) {
    case DW_LANG_C:
    case DW_LANG_C89:
    case DW_LANG_C99:
    case DW_LANG_C11:
      return true;
    default:
      return false;
  }
}

bool may_name(const BinaryData& data, std::string_view name) {
  if (name.size() < 4) return true;
  std::string terminated(name);
  terminated.push_back('\0');
  for (const BinarySection& section : data.sections) {
    if (section.name != ".debug_str") continue;
    if ((section.flags & SHF_COMPRESSED) != 0) return true;
    if (section.bytes.empty()) return false;
    return memmem(section.bytes.data(), section.bytes.size(), terminated.data(), terminated.size()) != nullptr;
  }
  return true;
}

}  // namespace

std::optional<uint64_t> dwarf_struct_size(const BinaryData& data, std::string_view name) {
  if (!has_debug_info(data) || !may_name(data, name)) return std::nullopt;
  const DwarfSession session = open_dwarf(data);
  if (session.dwarf() == nullptr) return std::nullopt;
  std::optional<uint64_t> size;
  for_each_unit(session.dwarf(), [&](Dwarf_Die& unit) {
    Dwarf_Die entry;
    if (dwarf_child(&unit, &entry) != 0) return true;
    do {
      if (dwarf_tag(&entry) != DW_TAG_structure_type) continue;
      const char* found = dwarf_diename(&entry);
      if (found == nullptr || name != found) continue;
      if (int bytes = dwarf_bytesize(&entry); bytes >= 0) size = bytes;
    } while (!size && dwarf_siblingof(&entry, &entry) == 0);
    return !size;
  });
  return size;
}

std::vector<InlinedFunction> inlined_functions(const std::filesystem::path& file, const std::set<std::string>& names) {
  std::vector<InlinedFunction> found;
  const FileBytes bytes = FileBytes::read(file);
  const DwarfSession session(bytes.bytes(), fmt::format("'{}'", file.string()));
  if (session.dwarf() == nullptr) return found;
  for_each_unit(session.dwarf(), [&](Dwarf_Die& unit) {
    Dwarf_Die entry;
    if (dwarf_child(&unit, &entry) != 0) return true;
    do {
      Dwarf_Attribute attribute;
      Dwarf_Word inlined = DW_INL_not_inlined;
      if (dwarf_tag(&entry) != DW_TAG_subprogram || dwarf_attr(&entry, DW_AT_inline, &attribute) == nullptr ||
          dwarf_formudata(&attribute, &inlined) != 0)
        continue;
      if (inlined != DW_INL_inlined && inlined != DW_INL_declared_inlined) continue;
      const char* name = dwarf_diename(&entry);
      if (name == nullptr || !names.contains(name)) continue;
      const char* defined_in = dwarf_decl_file(&entry);
      const auto normal = [](std::string_view path) { return std::filesystem::path(path).lexically_normal().string(); };
      found.push_back(
          {name, normal(defined_in == nullptr ? "" : defined_in), normal(text_attribute(unit, DW_AT_name))});
    } while (dwarf_siblingof(&entry, &entry) == 0);
    return true;
  });
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

UnitFacts dwarf_units(const BinaryData& data) {
  UnitFacts facts;
  if (!data.is_elf || !has_debug_info(data)) return facts;
  const DwarfSession session = open_dwarf(data);
  if (session.dwarf() == nullptr) return facts;
  std::vector<std::pair<size_t, size_t>> places;
  for_each_unit(session.dwarf(), [&](Dwarf_Die& unit) {
    std::string_view name = text_attribute(unit, DW_AT_name);
    if (facts.producer.empty() && is_c(unit)) facts.producer = text_attribute(unit, DW_AT_producer);
    if (name.empty()) return true;
    places.emplace_back(facts.arena.size(), name.size());
    facts.arena += name;
    return true;
  });
  // The arena no longer grows; but a moved short string moves its characters, so it must not be a short one.
  facts.arena.reserve(64);
  for (auto [offset, size] : places) facts.names.emplace_back(facts.arena.data() + offset, size);
  std::sort(facts.names.begin(), facts.names.end());
  return facts;
}

}  // namespace kpatch
