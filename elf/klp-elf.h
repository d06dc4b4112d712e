// A relocatable ELF file in memory, for post-link and audit: every section's bytes, with symbols and relocations read.
#pragma once

#include <gelf.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kpatch {

struct KlpRelocation {
  uint64_t offset = 0;  // in the section that it changes
  uint32_t type = 0;    // R_*
  uint32_t symbol = 0;  // index into KlpElf::symbols
  int64_t addend = 0;
};

struct KlpSection {
  std::string name;
  GElf_Shdr header{};                      // sh_name, sh_offset and sh_size are set anew on writing
  std::vector<std::byte> bytes;            // as in the file; empty for SHT_NOBITS, SHT_RELA, SHT_SYMTAB
  std::vector<KlpRelocation> relocations;  // of SHT_RELA, in file order

  bool allocated() const { return (header.sh_flags & SHF_ALLOC) != 0; }
  bool has_section_in_info() const { return header.sh_type == SHT_RELA || (header.sh_flags & SHF_INFO_LINK) != 0; }
};

struct KlpSymbol {
  std::string name;
  GElf_Sym entry{};  // st_name is set anew on writing

  bool local() const { return GELF_ST_BIND(entry.st_info) == STB_LOCAL; }
  uint8_t type() const { return GELF_ST_TYPE(entry.st_info); }
  bool in_section() const { return entry.st_shndx != SHN_UNDEF && entry.st_shndx < SHN_LORESERVE; }
};

// A place in the module: section index and offset.
struct KlpPlace {
  uint32_t section = 0;
  uint64_t offset = 0;
  auto operator<=>(const KlpPlace&) const = default;  // NOLINT(modernize-use-nullptr): the 0 it is compared with
};

struct KlpElf {
  std::filesystem::path path;  // for messages
  GElf_Ehdr header{};
  std::vector<KlpSection> sections;  // by section index; 0 is the null section
  std::vector<KlpSymbol> symbols;    // by symbol index; 0 is the null symbol
  uint32_t symtab = 0;               // section indices
  uint32_t strtab = 0;
  uint32_t shstrtab = 0;

  // Reads a 64-bit relocatable file of either byte order. Throws Error naming the file when it is none, is damaged
  // (tables or names that reach beyond the file, indices of nothing), or has more sections than the kernel's module
  // loader can count. Without a symbol table `symtab` is 0, and there are no symbols and no relocations.
  static KlpElf read(const std::filesystem::path& path);

  // Writes the file anew: string tables, file layout, counts; sections and symbols as they stand, locals first.
  // The file appears whole or not at all. Throws Error when it can't be written.
  void write(const std::filesystem::path& target) const;

  bool big_endian() const { return header.e_ident[EI_DATA] == ELFDATA2MSB; }
  // A number in the file's byte order. Throw Error, naming file and place, where the section ends before it.
  uint64_t u64_at(const KlpSection& section, uint64_t offset) const;
  uint32_t u32_at(const KlpSection& section, uint64_t offset) const;

  std::optional<uint32_t> find_section(std::string_view name) const;  // the first of that name

  // Where symbol + addend lies; nothing when the symbol is in no section of the file.
  std::optional<KlpPlace> place_of(uint32_t symbol, int64_t addend) const;

  // The NUL-terminated string at a place, nothing when it isn't inside a section's bytes.
  std::optional<std::string_view> string_at(KlpPlace place) const;

  // ".text.show+0x1a", for messages.
  std::string describe(KlpPlace place) const;
};

}  // namespace kpatch
