// Reads the symbol table of a vmlinux, a module or an object.
//
// Everything is taken from where the file itself says it is: sections by their headers, never by a fixed order, and
// each offset is checked against the file's size, by libelf for what it converts (symbols, relocations) and here for
// what is viewed in place (names, contents). The file's own byte order holds: libelf converts records, get_u64 and
// get_u32 of elf-facts.cc convert tables.
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
#include <libelf.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include <fmt/format.h>

#include "elf/elf.h"
#include "lookup/binary-data.h"
#include "support/error.h"

namespace kpatch {

namespace {

void append_relocations(const BinaryData& data, Elf* elf, Elf_Scn* scn, std::vector<BinaryRelocation>& relocations) {
  GElf_Shdr header;
  gelf_getshdr(scn, &header);
  Elf_Data* table = elf_getdata(scn, nullptr);
  size_t entry = gelf_fsize(elf, ELF_T_RELA, 1, EV_CURRENT);
  bool sound = table != nullptr && header.sh_entsize == entry;
  for (size_t i = 0; sound && i < header.sh_size / entry; ++i) {
    GElf_Rela raw;
    sound = gelf_getrela(table, i, &raw) != nullptr;
    if (!sound) break;
    uint32_t symbol = GELF_R_SYM(raw.r_info);
    // .rela.dyn counts in .dynsym, which says nothing about .symtab; what matters there has no symbol.
    if (!data.relocatable && symbol != 0) continue;
    sound = symbol < data.symbols.size();
    relocations.push_back(
        {header.sh_info, raw.r_offset, symbol, raw.r_addend, static_cast<uint32_t>(GELF_R_TYPE(raw.r_info))});
  }
  if (!sound) throw Error(fmt::format("'{}': a damaged ELF file (relocations)", data.path.string()));
}

class ElfReader {
 public:
  explicit ElfReader(BinaryData& data) : data_(data), bytes_(data.file.bytes()) {}

  void run() {
    open();
    read_sections();
    read_symbols();
    read_code_relocations();
    set_code_facts(data_, relocations_);
    read_banner();
    read_build_id();
    data_.is_elf = true;
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(fmt::format("'{}': {}", data_.path.string(), what));
  }

  void open() {
    if (bytes_.size() < EI_NIDENT || std::memcmp(bytes_.data(), ELFMAG, SELFMAG) != 0)
      fail("neither an ELF file nor the output of readelf -s --wide nor an index");
    if (static_cast<uint8_t>(bytes_[EI_CLASS]) == ELFCLASS32) fail("32-bit ELF files are not supported");
    elf_ = open_elf(bytes_);
    GElf_Ehdr header;
    if (!elf_ || elf_kind(elf_.get()) != ELF_K_ELF || gelf_getehdr(elf_.get(), &header) == nullptr)
      fail("a damaged or truncated ELF file");
    data_.machine = header.e_machine;
    data_.big_endian = header.e_ident[EI_DATA] == ELFDATA2MSB;
    data_.relocatable = header.e_type == ET_REL;
    if (!data_.relocatable && header.e_type != ET_EXEC && header.e_type != ET_DYN)
      fail("an ELF file, but neither a kernel nor an object");
    // Section headers stand at the end of what compilers and linkers write: without them the file was cut off.
    if (header.e_shoff == 0) fail("an ELF file without section headers");
    if (header.e_shoff > bytes_.size()) fail("a truncated ELF file");
  }

  void read_sections() {
    size_t count = 0;
    size_t names = 0;
    if (elf_getshdrnum(elf_.get(), &count) != 0 || elf_getshdrstrndx(elf_.get(), &names) != 0)
      fail("a damaged or truncated ELF file");
    for (size_t i = 0; i < count; ++i) {
      GElf_Shdr header;
      Elf_Scn* scn = elf_getscn(elf_.get(), i);
      if (scn == nullptr || gelf_getshdr(scn, &header) == nullptr) fail("a truncated ELF file (section headers)");
      BinarySection section;
      const char* name = elf_strptr(elf_.get(), names, header.sh_name);
      if (name == nullptr && i != 0) fail("a damaged or truncated ELF file (section names)");
      section.name = name == nullptr ? "" : name;
      section.address = header.sh_addr;
      section.size = header.sh_size;
      section.flags = header.sh_flags;
      section.entry_size = header.sh_entsize;
      if (i != 0 && header.sh_type != SHT_NOBITS && header.sh_type != SHT_NULL) {
        if (header.sh_offset > bytes_.size() || header.sh_size > bytes_.size() - header.sh_offset)
          fail(fmt::format("a truncated ELF file (section {} reaches beyond its end)", section.name));
        section.bytes = bytes_.subspan(header.sh_offset, header.sh_size);
      }
      data_.sections.push_back(section);
      if (header.sh_type == SHT_SYMTAB) symtab_ = scn;
      if (header.sh_type == SHT_SYMTAB_SHNDX) extended_ = scn;
    }
    if (symtab_ == nullptr) fail("it has no symbol table (a stripped file?)");
  }

  std::span<const std::byte> symbol_names(const GElf_Shdr& symtab) const {
    if (symtab.sh_link == 0 || symtab.sh_link >= data_.sections.size()) fail("a damaged ELF file (symbol names)");
    std::span<const std::byte> names = data_.sections[symtab.sh_link].bytes;
    if (names.empty() || names.back() != std::byte{0}) fail("a damaged ELF file (symbol names)");
    return names;
  }

  void read_symbols() {
    GElf_Shdr header;
    gelf_getshdr(symtab_, &header);
    std::span<const std::byte> names = symbol_names(header);
    Elf_Data* table = elf_getdata(symtab_, nullptr);
    Elf_Data* extended = extended_ == nullptr ? nullptr : elf_getdata(extended_, nullptr);
    if (table == nullptr || header.sh_entsize != gelf_fsize(elf_.get(), ELF_T_SYM, 1, EV_CURRENT))
      fail("a damaged or truncated ELF file (symbols)");
    size_t count = header.sh_size / header.sh_entsize;
    if (count <= 1) fail("its symbol table is empty (a stripped file?)");
    data_.symbols.reserve(count);
    uint32_t file = BinarySymbol::no_file;
    for (size_t i = 0; i < count; ++i) {
      GElf_Sym raw;
      Elf32_Word section = 0;
      if (gelf_getsymshndx(table, extended, i, &raw, &section) == nullptr || raw.st_name >= names.size())
        fail(fmt::format("a damaged ELF file (symbol {})", i));
      if (raw.st_shndx == SHN_XINDEX && extended == nullptr) fail("a damaged ELF file (no SHT_SYMTAB_SHNDX)");
      BinarySymbol symbol;
      symbol.name = reinterpret_cast<const char*>(names.data()) + raw.st_name;
      symbol.value = raw.st_value;
      symbol.size = raw.st_size;
      symbol.section = raw.st_shndx == SHN_XINDEX      ? section
                       : raw.st_shndx >= SHN_LORESERVE ? reserved_section(raw.st_shndx)
                                                       : raw.st_shndx;
      symbol.type = symbol_type(raw);
      symbol.binding = symbol_binding(raw);
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
    for (size_t i = 1; i < data_.sections.size(); ++i) {
      GElf_Shdr header;
      Elf_Scn* scn = elf_getscn(elf_.get(), i);
      if (gelf_getshdr(scn, &header) == nullptr || header.sh_type != SHT_RELA) continue;
      bool dynamic = !data_.relocatable && (header.sh_flags & SHF_ALLOC) != 0;
      bool wanted = data_.relocatable && header.sh_info < data_.sections.size() &&
                    has_code_facts(data_, data_.sections[header.sh_info].name);
      if (dynamic || wanted) append_relocations(data_, elf_.get(), scn, relocations_);
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
    for (size_t i = 1; i < data_.sections.size() && data_.build_id.empty(); ++i) {
      GElf_Shdr header;
      Elf_Scn* scn = elf_getscn(elf_.get(), i);
      if (gelf_getshdr(scn, &header) == nullptr || header.sh_type != SHT_NOTE) continue;
      Elf_Data* notes = elf_getdata(scn, nullptr);
      if (notes == nullptr) continue;
      GElf_Nhdr note;
      size_t name = 0;
      size_t text = 0;
      for (size_t at = 0; (at = gelf_getnote(notes, at, &note, &name, &text)) > 0;) {
        const char* start = static_cast<const char*>(notes->d_buf);
        if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != 4 || std::memcmp(start + name, "GNU", 4) != 0) continue;
        for (size_t k = 0; k < note.n_descsz; ++k)
          data_.build_id += fmt::format("{:02x}", static_cast<uint8_t>(start[text + k]));
        break;
      }
    }
  }

  BinaryData& data_;
  std::span<const std::byte> bytes_;
  ElfHandle elf_;
  Elf_Scn* symtab_ = nullptr;
  Elf_Scn* extended_ = nullptr;
  std::vector<BinaryRelocation> relocations_;
};

}  // namespace

void read_elf(BinaryData& data) { ElfReader(data).run(); }

std::vector<BinaryRelocation> read_relocations(const BinaryData& data, uint32_t section) {
  std::vector<BinaryRelocation> relocations;
  ElfHandle elf = open_elf(data.file.bytes());
  for (Elf_Scn* scn = elf_nextscn(elf.get(), nullptr); scn != nullptr; scn = elf_nextscn(elf.get(), scn)) {
    GElf_Shdr header;
    if (gelf_getshdr(scn, &header) != nullptr && header.sh_type == SHT_RELA && header.sh_info == section)
      append_relocations(data, elf.get(), scn, relocations);
  }
  auto before = [](const BinaryRelocation& a, const BinaryRelocation& b) { return a.offset < b.offset; };
  if (!std::is_sorted(relocations.begin(), relocations.end(), before))
    std::stable_sort(relocations.begin(), relocations.end(), before);
  return relocations;
}

}  // namespace kpatch
