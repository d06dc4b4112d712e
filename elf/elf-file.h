// A checked view of a 64-bit ELF file in memory: what every reader of objects, modules and vmlinux stands on.
#pragma once

#include <gelf.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "elf/elf-handle.h"

namespace kpatch {

struct ElfSection {
  std::string_view name;
  GElf_Shdr header{};                   // in our byte order
  std::span<const std::byte> contents;  // as in the file; empty for SHT_NOBITS and SHT_NULL
};

struct ElfSymbol {
  std::string_view name;
  GElf_Sym entry{};       // in our byte order
  uint32_t section = 0;   // its section's index; SHN_ABS and the like where it is reserved
  bool reserved = false;  // in no section of the file, though not undefined
};

struct ElfRelocation {
  uint64_t offset = 0;
  uint32_t type = 0;    // R_*
  uint32_t symbol = 0;  // index
  int64_t addend = 0;
};

// Names and contents are views of the image, which must outlive them. All functions throw Error, "NAME: what is wrong",
// for what is damaged or cut off.
class ElfFile {
 public:
  // name: how messages call the file. Reads the headers: afterwards every section has a name, and lies in the file;
  // there is one symbol table or none, and its size is a number of symbols.
  ElfFile(std::span<const std::byte> image, std::string name);
  // Do the bytes begin as an ELF file does?
  static bool is_elf(std::span<const std::byte> image);

  [[noreturn]] void fail(std::string_view what) const;

  const GElf_Ehdr& header() const { return header_; }
  bool big_endian() const { return header_.e_ident[EI_DATA] == ELFDATA2MSB; }
  // By index, however many there are; 0 is the null section.
  std::span<const ElfSection> sections() const { return sections_; }
  uint32_t section_names() const { return section_names_; }  // the index of that section
  uint32_t symbol_table() const { return symbol_table_; }    // likewise; 0 when there is none

  // 0 is the null symbol. The section that a symbol names exists.
  size_t symbol_count() const { return symbol_count_; }
  ElfSymbol symbol(size_t i) const;

  // The entries of a SHT_RELA section. A symbol of theirs exists where they belong to the symbol table.
  class Relocations {
   public:
    size_t size() const { return count_; }
    ElfRelocation operator[](size_t i) const;

   private:
    friend class ElfFile;
    Relocations(const ElfFile& file, uint32_t section) : file_(file), section_(section) {}
    const ElfFile& file_;
    uint32_t section_;
    Elf_Data* data_ = nullptr;
    size_t count_ = 0;
    size_t symbols_ = 0;
  };
  Relocations relocations(uint32_t section) const;

  // The contents of the first note of that kind; empty when there is none.
  std::span<const std::byte> note(std::string_view owner, uint32_t type) const;

 private:
  void read_header();
  void read_sections();
  void read_contents(ElfSection& section) const;
  void find_symbols();
  std::string_view string_table(uint32_t section) const;
  // The data of a table, its records in our byte order; checks the size of the table and of an entry.
  Elf_Data* table(uint32_t section, Elf_Type type) const;

  std::span<const std::byte> image_;
  std::string name_;
  ElfHandle elf_;
  GElf_Ehdr header_{};
  std::vector<ElfSection> sections_;
  uint32_t section_names_ = 0;
  uint32_t symbol_table_ = 0;
  size_t symbol_count_ = 0;
  Elf_Data* symbols_ = nullptr;
  Elf_Data* extended_ = nullptr;  // section numbers of symbols where 16 bits are too few
  std::string_view symbol_names_;
};

}  // namespace kpatch
