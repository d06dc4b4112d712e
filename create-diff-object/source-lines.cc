// DWARF of a relocatable object holds addresses as relocations against its sections, which libdwfl applies after it has
// laid the sections out one behind the other:
//
//   .text.show at 0x1000     show + 0x1a  →  address 0x101a  →  fs/proc/meminfo.c:34
//                                                            →  DW_TAG_inlined_subroutine show_val_kb
//
// Reports show it, and a number that is its own line's (lines.h) is recognised by it. Whatever is missing (no -g, an
// unknown machine) is no error.

#include "create-diff-object/source-lines.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <gelf.h>

#include <climits>
#include <cstdlib>

#include "elf/elf.h"

namespace kpatch {

struct SourceLines::Data {
  explicit Data(const Object& object) : dwarf(object.image(), object.path()) {}
  DwarfSession dwarf;
  std::vector<std::optional<Dwarf_Addr>> section_addresses;
};

SourceLines::SourceLines(const Object& object) : data_(std::make_unique<Data>(object)) {
  if (data_->dwarf.module() == nullptr) return;
  GElf_Addr bias = 0;
  Elf* elf = dwfl_module_getelf(data_->dwarf.module(), &bias);
  size_t count = 0;
  if (elf == nullptr || elf_getshdrnum(elf, &count) != 0) return;
  data_->section_addresses.resize(count);
  for (size_t i = 1; i < count; ++i) {
    GElf_Shdr header;
    if (gelf_getshdr(elf_getscn(elf, i), &header) != nullptr && (header.sh_flags & SHF_ALLOC) != 0)
      data_->section_addresses[i] = header.sh_addr + bias;
  }
}

SourceLines::~SourceLines() = default;

// The row of the line table for a place, and its unit.
struct SourceLines::Row {
  Dwarf_Die* unit = nullptr;
  Dwarf_Addr address = 0;  // in the unit's own counting
  const char* file = nullptr;
  int line = 0;
};

std::optional<SourceLines::Row> SourceLines::row(SectionId section, uint64_t offset) const {
  if (index(section) >= data_->section_addresses.size() || !data_->section_addresses[index(section)])
    return std::nullopt;
  const Dwarf_Addr address = *data_->section_addresses[index(section)] + offset;
  Row row;
  Dwarf_Addr bias = 0;
  Dwarf_Line* line = nullptr;
  // An object has one unit, or few. (dwfl_module_addrdie() needs .debug_aranges, which clang doesn't write.)
  while (line == nullptr && (row.unit = dwfl_module_nextcu(data_->dwarf.module(), row.unit, &bias)) != nullptr) {
    row.address = address - bias;
    line = dwarf_getsrc_die(row.unit, row.address);
  }
  row.file = line == nullptr ? nullptr : dwarf_linesrc(line, nullptr, nullptr);
  if (row.file == nullptr || dwarf_lineno(line, &row.line) != 0 || row.line <= 0) return std::nullopt;
  return row;
}

void SourceLines::each_inlined(const Row& row, const std::function<void(Dwarf_Die&)>& act) {
  // Behind an inlined function dwarf_getscopes() goes on with what surrounds its definition; dwarf_getscopes_die() with
  // what it was inlined into.
  Dwarf_Die *scopes = nullptr, *around = nullptr;
  int count = dwarf_getscopes(row.unit, row.address, &scopes);
  if (count > 0) count = dwarf_getscopes_die(&scopes[0], &around);
  for (int i = 0; i < count; ++i) {
    if (dwarf_tag(&around[i]) == DW_TAG_subprogram) break;
    if (dwarf_tag(&around[i]) == DW_TAG_inlined_subroutine) act(around[i]);
  }
  std::free(around);
  std::free(scopes);
}

std::optional<SourcePlace> SourceLines::at(SectionId section, uint64_t offset) const {
  const std::optional<Row> row = this->row(section, offset);
  if (!row) return std::nullopt;
  SourcePlace place{row->file, row->line, {}};
  each_inlined(*row, [&](Dwarf_Die& die) {
    if (const char* name = dwarf_diename(&die); name != nullptr) place.inlined.emplace_back(name);
  });
  return place;
}

std::optional<SourcePlace> SourceLines::position(SectionId section, uint64_t offset) const {
  const std::optional<Row> row = this->row(section, offset);
  return row ? std::optional{SourcePlace{row->file, row->line, {}}} : std::nullopt;
}

std::optional<int> SourceLines::line(SectionId section, uint64_t offset) const {
  const std::optional<Row> row = this->row(section, offset);
  return row ? std::optional{row->line} : std::nullopt;
}

std::vector<int> SourceLines::call_lines(SectionId section, uint64_t offset) const {
  std::vector<int> lines;
  if (const std::optional<Row> row = this->row(section, offset))
    each_inlined(*row, [&](Dwarf_Die& die) {
      Dwarf_Attribute attribute;
      Dwarf_Word line = 0;
      const bool known = dwarf_formudata(dwarf_attr(&die, DW_AT_call_line, &attribute), &line) == 0;
      lines.push_back(known && line <= INT_MAX ? static_cast<int>(line) : 0);
    });
  return lines;
}

void SourceLines::each_unit(const std::function<void(Dwarf_Die&)>& act) const {
  if (data_->dwarf.module() == nullptr) return;
  Dwarf_Addr bias = 0;
  for (Dwarf_Die* unit = nullptr; (unit = dwfl_module_nextcu(data_->dwarf.module(), unit, &bias)) != nullptr;)
    act(*unit);
}

// Every variable with an address of its own, and the function in whose source it stands (nullptr: none).
void SourceLines::each_variable(const std::function<void(Dwarf_Die&, const char*, Dwarf_Addr)>& act) const {
  Dwarf_Addr bias = 0;
  // Functions within functions (their abstract instances, blocks) name themselves.
  const std::function<void(Dwarf_Die&, const char*)> walk = [&](Dwarf_Die& parent, const char* function) {
    Dwarf_Die die;
    if (dwarf_child(&parent, &die) != 0) return;
    do {
      const int tag = dwarf_tag(&die);
      if (tag == DW_TAG_subprogram) {
        walk(die, dwarf_diename(&die));
      } else if (tag == DW_TAG_lexical_block || tag == DW_TAG_inlined_subroutine) {
        walk(die, tag == DW_TAG_lexical_block ? function : dwarf_diename(&die));
      } else if (tag == DW_TAG_variable) {
        Dwarf_Attribute attribute;
        Dwarf_Op* location = nullptr;
        size_t count = 0;
        if (dwarf_getlocation(dwarf_attr(&die, DW_AT_location, &attribute), &location, &count) == 0 && count == 1 &&
            location->atom == DW_OP_addr)
          act(die, function, location->number + bias);
      }
    } while (dwarf_siblingof(&die, &die) == 0);
  };
  if (data_->dwarf.module() != nullptr)
    for (Dwarf_Die* unit = nullptr; (unit = dwfl_module_nextcu(data_->dwarf.module(), unit, &bias)) != nullptr;)
      walk(*unit, nullptr);
}

std::optional<SourcePlace> SourceLines::variable(SectionId section, uint64_t offset) const {
  std::optional<SourcePlace> place;
  if (index(section) >= data_->section_addresses.size() || !data_->section_addresses[index(section)]) return place;
  const Dwarf_Addr wanted = *data_->section_addresses[index(section)] + offset;
  each_variable([&](Dwarf_Die& die, const char*, Dwarf_Addr address) {
    int line = 0;
    const char* file = address == wanted && !place ? dwarf_decl_file(&die) : nullptr;
    if (file != nullptr && dwarf_decl_line(&die, &line) == 0 && line > 0) place = SourcePlace{file, line, {}};
  });
  return place;
}

std::map<std::pair<SectionId, uint64_t>, std::string> SourceLines::static_locals() const {
  std::map<Dwarf_Addr, std::string> by_address;
  each_variable([&](Dwarf_Die&, const char* function, Dwarf_Addr address) {
    if (function != nullptr) by_address.try_emplace(address, function);
  });

  std::map<std::pair<SectionId, uint64_t>, std::string> result;
  std::map<Dwarf_Addr, uint32_t> sections;
  for (uint32_t i = 0; i < data_->section_addresses.size(); ++i)
    if (const auto& address = data_->section_addresses[i]) sections[*address] = i;
  for (auto& [address, function] : by_address) {
    const auto after = sections.upper_bound(address);
    if (after == sections.begin()) continue;
    const auto& [start, section] = *std::prev(after);
    result.emplace(std::pair{SectionId{section}, address - start}, std::move(function));
  }
  return result;
}

}  // namespace kpatch
