// Nothing in a file can be relied on: it may be cut off, or made to harm. Libelf converts records of either byte order
// and knows how section numbers above 65,279 are written; that what they say is true is checked here, once for all
// readers:
//
//     e_shoff, e_shnum              the headers of all sections lie in the file
//     sh_offset, sh_size            so do their contents
//     sh_name, st_name              an offset into a table that ends with a NUL, so that every name in it ends
//     sh_entsize                    the size of a record, and sh_size a multiple of it
//     st_shndx, SHT_SYMTAB_SHNDX    a section that there is
//
// A vmlinux has 200,000 symbols in 300 MB: nothing is copied, and nothing allocated for a symbol.
#include "elf/elf-file.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "support/error.h"

namespace kpatch {

ElfFile::ElfFile(std::span<const std::byte> image, std::string name) : image_(image), name_(std::move(name)) {
  read_header();
  read_sections();
  find_symbols();
}

bool ElfFile::is_elf(std::span<const std::byte> image) {
  return image.size() >= EI_NIDENT && std::memcmp(image.data(), ELFMAG, SELFMAG) == 0;
}

void ElfFile::fail(std::string_view what) const { throw Error(fmt::format("{}: {}", name_, what)); }

void ElfFile::read_header() {
  if (!is_elf(image_)) fail("not an ELF file");
  if (static_cast<uint8_t>(image_[EI_CLASS]) == ELFCLASS32) fail("32-bit ELF files are not supported");
  elf_ = open_elf(image_);
  if (!elf_ || elf_kind(elf_.get()) != ELF_K_ELF || gelf_getclass(elf_.get()) != ELFCLASS64 ||
      gelf_getehdr(elf_.get(), &header_) == nullptr)
    fail("a damaged or truncated ELF file (header)");
}

void ElfFile::read_sections() {
  // They stand at the end of what compilers and linkers write: without them the file was cut off.
  if (header_.e_shoff == 0) fail("an ELF file without section headers");
  size_t count = 0;
  size_t names = 0;
  if (header_.e_shoff > image_.size() || elf_getshdrnum(elf_.get(), &count) != 0 || count == 0 ||
      count > (image_.size() - header_.e_shoff) / sizeof(Elf64_Shdr))
    fail("a truncated ELF file (section headers)");
  if (elf_getshdrstrndx(elf_.get(), &names) != 0) fail("a damaged ELF file (section names)");
  sections_.resize(count);
  for (size_t i = 0; i < count; ++i) {
    Elf_Scn* section = elf_getscn(elf_.get(), i);
    if (section == nullptr || gelf_getshdr(section, &sections_[i].header) == nullptr)
      fail(fmt::format("a damaged ELF file (header of section {})", i));
  }
  section_names_ = static_cast<uint32_t>(names);
  const std::string_view text = string_table(section_names_);
  for (size_t i = 1; i < count; ++i) {
    ElfSection& section = sections_[i];
    if (section.header.sh_name >= text.size()) fail(fmt::format("a damaged ELF file (name of section {})", i));
    section.name = text.data() + section.header.sh_name;
    read_contents(section);
  }
}

void ElfFile::read_contents(ElfSection& section) const {
  const GElf_Shdr& header = section.header;
  if (header.sh_type == SHT_NOBITS || header.sh_type == SHT_NULL || header.sh_size == 0) return;
  if (header.sh_offset > image_.size() || header.sh_size > image_.size() - header.sh_offset)
    fail(fmt::format("a truncated ELF file (section {} reaches beyond its end)", section.name));
  section.contents = image_.subspan(header.sh_offset, header.sh_size);
}

std::string_view ElfFile::string_table(uint32_t section) const {
  // A compressed one would have to be unpacked into memory that lives as long as the names.
  const bool there = section != 0 && section < sections_.size();
  const bool compressed = there && (sections_[section].header.sh_flags & SHF_COMPRESSED) != 0;
  if (compressed && !sections_[section].name.empty())
    fail(fmt::format("section {} is compressed", sections_[section].name));
  if (!there || compressed || sections_[section].header.sh_type != SHT_STRTAB)
    fail(fmt::format("section {} is no table of names", section));
  ElfSection table = sections_[section];
  const std::string number = std::to_string(section);
  if (table.name.empty()) table.name = number;
  read_contents(table);
  if (table.contents.empty() || table.contents.back() != std::byte{0})
    fail(fmt::format("the table of names in section {} is damaged", section));
  return {reinterpret_cast<const char*>(table.contents.data()), table.contents.size()};
}

Elf_Data* ElfFile::table(uint32_t section, Elf_Type type) const {
  const ElfSection& records = sections_[section];
  const uint64_t entry = gelf_fsize(elf_.get(), type, 1, EV_CURRENT);
  Elf_Data* data = elf_getdata(elf_getscn(elf_.get(), section), nullptr);
  const bool empty = records.header.sh_size == 0;
  if (records.header.sh_entsize != entry || records.header.sh_size % entry != 0 ||
      (records.header.sh_flags & SHF_COMPRESSED) != 0 ||
      (!empty && (data == nullptr || data->d_size != records.header.sh_size)))
    fail(fmt::format("a damaged ELF file (the records of section {})", records.name));
  return data;
}

void ElfFile::find_symbols() {
  for (uint32_t i = 1; i < sections_.size(); ++i) {
    if (sections_[i].header.sh_type != SHT_SYMTAB) continue;
    if (symbol_table_ != 0) fail("more than one symbol table");
    symbol_table_ = i;
  }
  if (symbol_table_ == 0) return;
  const ElfSection& section = sections_[symbol_table_];
  symbol_names_ = string_table(section.header.sh_link);
  symbols_ = table(symbol_table_, ELF_T_SYM);
  symbol_count_ = section.header.sh_size / section.header.sh_entsize;
  for (uint32_t i = 1; i < sections_.size(); ++i)
    if (sections_[i].header.sh_type == SHT_SYMTAB_SHNDX && sections_[i].header.sh_link == symbol_table_)
      extended_ = table(i, ELF_T_WORD);
}

ElfSymbol ElfFile::symbol(size_t i) const {
  ElfSymbol symbol;
  Elf32_Word extended = 0;
  if (gelf_getsymshndx(symbols_, extended_, static_cast<int>(i), &symbol.entry, &extended) == nullptr ||
      symbol.entry.st_name >= symbol_names_.size())
    fail(fmt::format("a damaged ELF file (symbol {})", i));
  symbol.name = symbol_names_.data() + symbol.entry.st_name;
  symbol.section = symbol.entry.st_shndx;
  if (symbol.section == SHN_XINDEX) {
    if (extended_ == nullptr) fail("has no table of section numbers (SHT_SYMTAB_SHNDX)");
    symbol.section = extended;
  } else if (symbol.section >= SHN_LORESERVE) {
    symbol.reserved = true;
    return symbol;
  }
  if (symbol.section >= sections_.size())
    fail(fmt::format("symbol {}: section {} does not exist", symbol.name, symbol.section));
  return symbol;
}

ElfFile::Relocations ElfFile::relocations(uint32_t section) const {
  Relocations relocations(*this, section);
  const GElf_Shdr& header = sections_[section].header;
  relocations.data_ = table(section, ELF_T_RELA);
  relocations.count_ = header.sh_size / header.sh_entsize;
  relocations.symbols_ = header.sh_link == symbol_table_ ? symbol_count_ : SIZE_MAX;
  return relocations;
}

ElfRelocation ElfFile::Relocations::operator[](size_t i) const {
  GElf_Rela raw;
  if (gelf_getrela(data_, static_cast<int>(i), &raw) == nullptr)
    file_.fail(fmt::format("a damaged ELF file (relocation {} of {})", i, file_.sections_[section_].name));
  const uint64_t symbol = GELF_R_SYM(raw.r_info);
  if (symbol >= symbols_)
    file_.fail(fmt::format("relocation {} of {}: symbol {} does not exist", i, file_.sections_[section_].name, symbol));
  return {raw.r_offset, static_cast<uint32_t>(GELF_R_TYPE(raw.r_info)), static_cast<uint32_t>(symbol), raw.r_addend};
}

std::span<const std::byte> ElfFile::note(std::string_view owner, uint32_t type) const {
  for (uint32_t i = 1; i < sections_.size(); ++i) {
    if (sections_[i].header.sh_type != SHT_NOTE) continue;
    Elf_Data* notes = elf_getdata(elf_getscn(elf_.get(), i), nullptr);
    if (notes == nullptr) continue;
    GElf_Nhdr note;
    size_t name = 0;
    size_t text = 0;
    for (size_t at = 0; (at = gelf_getnote(notes, at, &note, &name, &text)) > 0;) {
      const auto* start = static_cast<const std::byte*>(notes->d_buf);
      if (note.n_type != type || note.n_namesz != owner.size() + 1) continue;
      if (std::memcmp(start + name, owner.data(), owner.size()) == 0 && start[name + owner.size()] == std::byte{0})
        return {start + text, note.n_descsz};
    }
  }
  return {};
}

}  // namespace kpatch
