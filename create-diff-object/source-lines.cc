// DWARF of a relocatable object holds addresses as relocations against its sections, which libdwfl applies after it has
// laid the sections out one behind the other:
//
//   .text.show at 0x1000     show + 0x1a  →  address 0x101a  →  fs/proc/meminfo.c:34
//                                                            →  DW_TAG_inlined_subroutine show_val_kb
//
// A person reads these; nothing is decided by them. So whatever is missing (no -g, an unknown machine) is no error.

#include "create-diff-object/source-lines.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <gelf.h>

#include <cstdlib>

namespace kpatch {

struct SourceLines::Data {
  Dwfl_Callbacks callbacks{};
  Dwfl* session = nullptr;
  Dwfl_Module* module = nullptr;
  std::vector<std::optional<Dwarf_Addr>> section_addresses;

  ~Data() {
    if (session != nullptr) dwfl_end(session);
  }
};

SourceLines::SourceLines(const std::filesystem::path& object) : data_(std::make_unique<Data>()) {
  data_->callbacks.find_elf = dwfl_build_id_find_elf;
  data_->callbacks.find_debuginfo = dwfl_standard_find_debuginfo;
  data_->callbacks.section_address = dwfl_offline_section_address;
  data_->session = dwfl_begin(&data_->callbacks);
  if (data_->session == nullptr) return;
  data_->module = dwfl_report_offline(data_->session, "object", object.c_str(), -1);
  dwfl_report_end(data_->session, nullptr, nullptr);
  if (data_->module == nullptr) return;
  GElf_Addr bias = 0;
  Elf* elf = dwfl_module_getelf(data_->module, &bias);
  size_t count = 0;
  if (elf == nullptr || elf_getshdrnum(elf, &count) != 0) return;
  data_->section_addresses.resize(count);
  for (size_t i = 1; i < count; ++i) {
    GElf_Shdr header;
    if (gelf_getshdr(elf_getscn(elf, i), &header) != nullptr && (header.sh_flags & SHF_EXECINSTR) != 0)
      data_->section_addresses[i] = header.sh_addr + bias;
  }
}

SourceLines::~SourceLines() = default;

std::optional<SourcePlace> SourceLines::at(SectionId section, uint64_t offset) const {
  if (index(section) >= data_->section_addresses.size() || !data_->section_addresses[index(section)])
    return std::nullopt;
  const Dwarf_Addr address = *data_->section_addresses[index(section)] + offset;
  SourcePlace place;
  Dwarf_Addr bias = 0;
  Dwarf_Die* unit = nullptr;
  Dwarf_Line* line = nullptr;
  // An object has one unit, or few. (dwfl_module_addrdie() needs .debug_aranges, which clang doesn't write.)
  while (line == nullptr && (unit = dwfl_module_nextcu(data_->module, unit, &bias)) != nullptr)
    line = dwarf_getsrc_die(unit, address - bias);
  const char* file = line == nullptr ? nullptr : dwarf_linesrc(line, nullptr, nullptr);
  if (file == nullptr || dwarf_lineno(line, &place.line) != 0 || place.line <= 0) return std::nullopt;
  place.file = file;
  Dwarf_Die* scopes = nullptr;
  const int count = dwarf_getscopes(unit, address - bias, &scopes);
  for (int i = 0; i < count; ++i) {
    if (dwarf_tag(&scopes[i]) == DW_TAG_subprogram) break;
    if (dwarf_tag(&scopes[i]) != DW_TAG_inlined_subroutine) continue;
    if (const char* name = dwarf_diename(&scopes[i]); name != nullptr) place.inlined.emplace_back(name);
  }
  std::free(scopes);
  return place;
}

}  // namespace kpatch
