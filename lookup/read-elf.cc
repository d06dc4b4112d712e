// Reads the symbol table of a vmlinux, a module or an object.
//
// Everything is taken from where the file itself says it is: sections by their headers, never by a fixed order. The
// file's own byte order holds: ElfFile converts records, get_u64 and get_u32 of elf-facts.cc convert tables.
//
// A FILE symbol opens a group that lasts to the next one or to the first global:
//
//    32: 0000000000000000     0 FILE    LOCAL  DEFAULT  ABS xt_comment.c
//    33: 0000000000000010    19 FUNC    LOCAL  DEFAULT    1 comment_mt
//    47: 0000000000000000     0 FILE    LOCAL  DEFAULT  ABS xt_comment.mod.c
//
// Linkers write symbols of their own behind a FILE symbol with an empty name: that is a group too.
// Symbol types and bindings that mean nothing here (TLS, IFUNC, OS-specific ones) are kept, and count as symbols.
#include <gelf.h>

#include <algorithm>

#include <fmt/format.h>

#include "elf/elf.h"
#include "lookup/binary-data.h"
#include "support/error.h"

namespace kpatch {

namespace {

// Messages call the file by its path.
ElfFile open(const BinaryData& data) { return {data.file.bytes(), fmt::format("'{}'", data.path.string())}; }

void append_relocations(const BinaryData& data, const ElfFile& elf, uint32_t section,
                        std::vector<BinaryRelocation>& relocations) {
  const GElf_Shdr& header = elf.sections()[section].header;
  if (data.relocatable && header.sh_link != elf.symbol_table())
    elf.fail(fmt::format("section {}: relocations against another symbol table", elf.sections()[section].name));
  const ElfFile::Relocations table = elf.relocations(section);
  for (size_t i = 0; i < table.size(); ++i) {
    const ElfRelocation raw = table[i];
    // .rela.dyn counts in .dynsym, which says nothing about .symtab; what matters there has no symbol.
    if (!data.relocatable && raw.symbol != 0) continue;
    relocations.push_back({header.sh_info, raw.offset, raw.symbol, raw.addend, raw.type});
  }
}

class ElfReader {
 public:
  explicit ElfReader(BinaryData& data) : data_(data), elf_(open(data)) {}

  void run() {
    read_header();
    read_sections();
    read_symbols();
    read_code_relocations();
    set_code_facts(data_, relocations_);
    read_banner();
    read_build_id();
    data_.is_elf = true;
  }

 private:
  void read_header() {
    const GElf_Ehdr& header = elf_.header();
    data_.machine = header.e_machine;
    data_.big_endian = elf_.big_endian();
    data_.relocatable = header.e_type == ET_REL;
    if (!data_.relocatable && header.e_type != ET_EXEC && header.e_type != ET_DYN)
      elf_.fail("an ELF file, but neither a kernel nor an object");
  }

  void read_sections() {
    data_.sections.reserve(elf_.sections().size());
    for (const ElfSection& from : elf_.sections()) {
      BinarySection section;
      section.name = from.name;
      section.address = from.header.sh_addr;
      section.size = from.header.sh_size;
      section.flags = from.header.sh_flags;
      section.entry_size = from.header.sh_entsize;
      section.bytes = from.contents;
      data_.sections.push_back(section);
    }
  }

  void read_symbols() {
    if (elf_.symbol_table() == 0) elf_.fail("it has no symbol table (a stripped file?)");
    const size_t count = elf_.symbol_count();
    if (count <= 1) elf_.fail("its symbol table is empty (a stripped file?)");
    data_.symbols.reserve(count);
    uint32_t file = BinarySymbol::no_file;
    for (size_t i = 0; i < count; ++i) {
      const ElfSymbol raw = elf_.symbol(i);
      BinarySymbol symbol;
      symbol.name = raw.name;
      symbol.value = raw.entry.st_value;
      symbol.size = raw.entry.st_size;
      symbol.section = raw.reserved ? reserved_section(raw.entry.st_shndx) : raw.section;
      symbol.type = symbol_type(raw.entry);
      symbol.binding = symbol_binding(raw.entry);
      if (symbol.type == SymbolType::file && symbol.binding == SymbolBinding::local) {
        file = data_.files.size();
        data_.files.push_back({symbol.name, static_cast<uint32_t>(i + 1), 0});
      } else if (symbol.binding != SymbolBinding::local) {
        file = BinarySymbol::no_file;
      } else if (file != BinarySymbol::no_file) {
        symbol.file = file;
        ++data_.files[file].count;
      }
      data_.symbols.push_back(symbol);
    }
  }

  // Of an object those of the few tables that tell something of its functions; of vmlinux all, they are few (arm64's
  // .rela.dyn, where the table in the file may hold zeros).
  void read_code_relocations() {
    for (uint32_t i = 1; i < elf_.sections().size(); ++i) {
      const GElf_Shdr& header = elf_.sections()[i].header;
      if (header.sh_type != SHT_RELA) continue;
      bool dynamic = !data_.relocatable && (header.sh_flags & SHF_ALLOC) != 0;
      bool wanted = data_.relocatable && header.sh_info < data_.sections.size() &&
                    has_code_facts(data_, data_.sections[header.sh_info].name);
      if (dynamic || wanted) append_relocations(data_, elf_, i, relocations_);
    }
  }

  void read_banner() {
    for (const BinarySymbol& symbol : data_.symbols) {
      if (symbol.name != "linux_banner" || symbol.section == 0 || symbol.section >= data_.sections.size()) continue;
      const BinarySection& section = data_.sections[symbol.section];
      uint64_t offset = symbol.value - (data_.relocatable ? 0 : section.address);
      if (offset > section.bytes.size() || symbol.size > section.bytes.size() - offset) continue;
      std::string_view text(reinterpret_cast<const char*>(section.bytes.data()) + offset, symbol.size);
      data_.banner = text.substr(0, text.find_first_of(std::string_view("\n\0", 2)));
    }
  }

  void read_build_id() {
    for (const std::byte byte : elf_.note("GNU", NT_GNU_BUILD_ID))
      data_.build_id += fmt::format("{:02x}", static_cast<uint8_t>(byte));
  }

  BinaryData& data_;
  ElfFile elf_;
  std::vector<BinaryRelocation> relocations_;
};

}  // namespace

void read_elf(BinaryData& data) {
  if (!ElfFile::is_elf(data.file.bytes()))
    throw Error(
        fmt::format("'{}': neither an ELF file nor the output of readelf -s --wide nor an index", data.path.string()));
  ElfReader(data).run();
}

std::vector<BinaryRelocation> read_relocations(const BinaryData& data, uint32_t section) {
  std::vector<BinaryRelocation> relocations;
  const ElfFile elf = open(data);
  for (uint32_t i = 1; i < elf.sections().size(); ++i) {
    const GElf_Shdr& header = elf.sections()[i].header;
    if (header.sh_type == SHT_RELA && header.sh_info == section) append_relocations(data, elf, i, relocations);
  }
  auto before = [](const BinaryRelocation& a, const BinaryRelocation& b) { return a.offset < b.offset; };
  if (!std::is_sorted(relocations.begin(), relocations.end(), before))
    std::stable_sort(relocations.begin(), relocations.end(), before);
  return relocations;
}

}  // namespace kpatch
