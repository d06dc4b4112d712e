// The checked view of ELF files: what it reads in either byte order, and one message for each way to be damaged.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "elf/elf.h"
#include "support/error.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

// An object made by hand: .text (4 bytes), a symbol table of four, one relocation, a build id.
class Image {
 public:
  enum : uint32_t { text = 1, symtab, rela, strtab, shstrtab, shndx, note, sections };

  explicit Image(bool big_endian = false) : big_endian_(big_endian) {
    bytes_.resize(sizeof(Elf64_Ehdr));
    std::memcpy(bytes_.data(), ELFMAG, SELFMAG);
    bytes_[EI_CLASS] = std::byte{ELFCLASS64};
    bytes_[EI_DATA] = std::byte{big_endian ? uint8_t{ELFDATA2MSB} : uint8_t{ELFDATA2LSB}};
    bytes_[EI_VERSION] = std::byte{EV_CURRENT};
    add(text, 1, SHT_PROGBITS, std::string("\x11\x22\x33\x44"));
    add(symtab, 7, SHT_SYMTAB, std::string(4 * sizeof(Elf64_Sym), '\0'), strtab, sizeof(Elf64_Sym));
    add(rela, 15, SHT_RELA, std::string(sizeof(Elf64_Rela), '\0'), symtab, sizeof(Elf64_Rela), text);
    add(strtab, 26, SHT_STRTAB, std::string("\0f\0g\0h\0", 7));
    add(shstrtab, 34, SHT_STRTAB, std::string("\0.text\0.symtab\0.rela.text\0.strtab\0.shstrtab\0.shndx\0.note\0", 57));
    add(shndx, 44, SHT_SYMTAB_SHNDX, std::string(16, '\0'), symtab, 4);
    std::string id(16, '\0');
    add(note, 51, SHT_NOTE, id + std::string("ab\0\0", 4));
    put(at(note), 4, 4);
    put(at(note) + 4, 2, 4);
    put(at(note) + 8, NT_GNU_BUILD_ID, 4);
    std::memcpy(&bytes_[at(note) + 12], "GNU", 4);
    symbol(1, 1, text, 2);
    symbol(2, 3, SHN_ABS, 7);
    symbol(3, 5, SHN_XINDEX, 1);
    put(at(shndx) + 12, text, 4);
    put(at(rela), 2, 8);
    put(at(rela) + 8, ELF64_R_INFO(uint64_t{1}, 42), 8);
    put(at(rela) + 16, static_cast<uint64_t>(-4), 8);
    headers_ = bytes_.size();
    bytes_.resize(headers_ + sections * sizeof(Elf64_Shdr));
    for (uint32_t i = 1; i < sections; ++i) {
      header(i, offsetof(Elf64_Shdr, sh_name), list_[i].sh_name, 4);
      header(i, offsetof(Elf64_Shdr, sh_type), list_[i].sh_type, 4);
      header(i, offsetof(Elf64_Shdr, sh_offset), list_[i].sh_offset, 8);
      header(i, offsetof(Elf64_Shdr, sh_size), list_[i].sh_size, 8);
      header(i, offsetof(Elf64_Shdr, sh_link), list_[i].sh_link, 4);
      header(i, offsetof(Elf64_Shdr, sh_info), list_[i].sh_info, 4);
      header(i, offsetof(Elf64_Shdr, sh_entsize), list_[i].sh_entsize, 8);
    }
    put(offsetof(Elf64_Ehdr, e_type), ET_REL, 2);
    put(offsetof(Elf64_Ehdr, e_machine), EM_X86_64, 2);
    put(offsetof(Elf64_Ehdr, e_version), EV_CURRENT, 4);
    put(offsetof(Elf64_Ehdr, e_shoff), headers_, 8);
    put(offsetof(Elf64_Ehdr, e_ehsize), sizeof(Elf64_Ehdr), 2);
    put(offsetof(Elf64_Ehdr, e_shentsize), sizeof(Elf64_Shdr), 2);
    put(offsetof(Elf64_Ehdr, e_shnum), sections, 2);
    put(offsetof(Elf64_Ehdr, e_shstrndx), shstrtab, 2);
  }

  void put(size_t offset, uint64_t value, size_t width) {
    for (size_t i = 0; i < width; ++i)
      bytes_[offset + i] = static_cast<std::byte>(value >> 8 * (big_endian_ ? width - 1 - i : i));
  }
  void header(uint32_t section, size_t field, uint64_t value, size_t width) {
    put(headers_ + section * sizeof(Elf64_Shdr) + field, value, width);
  }
  void symbol(uint32_t index, uint32_t name, uint16_t section, uint64_t value) {
    const size_t place = at(symtab) + index * sizeof(Elf64_Sym);
    put(place, name, 4);
    put(place + 6, section, 2);
    put(place + 8, value, 8);
  }
  size_t at(uint32_t section) const { return list_[section].sh_offset; }
  std::vector<std::byte>& bytes() { return bytes_; }

 private:
  void add(uint32_t index, uint32_t name, uint32_t type, const std::string& contents, uint32_t link = 0,
           uint64_t entry = 0, uint32_t info = 0) {
    bytes_.resize((bytes_.size() + 7) / 8 * 8);
    list_[index] = {name, type, 0, 0, bytes_.size(), contents.size(), link, info, 1, entry};
    for (const char c : contents) bytes_.push_back(static_cast<std::byte>(c));
    if (index == shndx || index == note) return;
    bytes_.resize((bytes_.size() + 7) / 8 * 8);
  }

  bool big_endian_;
  std::vector<std::byte> bytes_;
  Elf64_Shdr list_[sections] = {};
  size_t headers_ = 0;
};

class ElfFileOrder : public testing::TestWithParam<bool> {};

TEST_P(ElfFileOrder, ReadsEverything) {
  Image image(GetParam());
  const ElfFile file(image.bytes(), "it");
  EXPECT_EQ(file.big_endian(), GetParam());
  EXPECT_EQ(file.header().e_machine, EM_X86_64);
  ASSERT_EQ(file.sections().size(), Image::sections);
  EXPECT_EQ(file.sections()[0].name, "");
  EXPECT_EQ(file.sections()[Image::rela].name, ".rela.text");
  EXPECT_EQ(file.sections()[Image::rela].header.sh_info, Image::text);
  EXPECT_EQ(file.sections()[Image::text].contents.data(), image.bytes().data() + image.at(Image::text));
  EXPECT_EQ(file.sections()[Image::text].contents.size(), 4U);
  EXPECT_EQ(file.section_names(), Image::shstrtab);
  EXPECT_EQ(file.symbol_table(), Image::symtab);
  ASSERT_EQ(file.symbol_count(), 4U);
  EXPECT_EQ(file.symbol(0).name, "");
  EXPECT_EQ(file.symbol(1).name, "f");
  EXPECT_EQ(file.symbol(1).section, Image::text);
  EXPECT_EQ(file.symbol(1).entry.st_value, 2U);
  EXPECT_FALSE(file.symbol(1).reserved);
  EXPECT_TRUE(file.symbol(2).reserved);
  EXPECT_EQ(file.symbol(2).section, SHN_ABS);
  EXPECT_EQ(file.symbol(3).section, Image::text);  // by its extended number
  EXPECT_FALSE(file.symbol(3).reserved);
  const ElfFile::Relocations relocations = file.relocations(Image::rela);
  ASSERT_EQ(relocations.size(), 1U);
  EXPECT_EQ(relocations[0].offset, 2U);
  EXPECT_EQ(relocations[0].type, 42U);
  EXPECT_EQ(relocations[0].symbol, 1U);
  EXPECT_EQ(relocations[0].addend, -4);
  const std::span<const std::byte> id = file.note("GNU", NT_GNU_BUILD_ID);
  ASSERT_EQ(id.size(), 2U);
  EXPECT_EQ(id[1], std::byte{'b'});
  EXPECT_TRUE(file.note("GNU", NT_GNU_ABI_TAG).empty());
  EXPECT_TRUE(file.note("GNO", NT_GNU_BUILD_ID).empty());
}

INSTANTIATE_TEST_SUITE_P(, ElfFileOrder, testing::Bool(),
                         [](const auto& info) { return info.param ? "big_endian" : "little_endian"; });

struct Damage {
  const char* name;
  std::function<void(Image&)> act;
  const char* message;
};

class ElfFileDamage : public testing::TestWithParam<Damage> {};

TEST_P(ElfFileDamage, IsNamed) {
  Image image;
  GetParam().act(image);
  EXPECT_EQ(message_of<Error>([&] {
              const ElfFile file(image.bytes(), "it");
              for (size_t i = 0; i < file.symbol_count(); ++i) file.symbol(i);
              const ElfFile::Relocations relocations = file.relocations(Image::rela);
              for (size_t i = 0; i < relocations.size(); ++i) relocations[i];
            }),
            GetParam().message);
}

constexpr size_t type_of = offsetof(Elf64_Shdr, sh_type), offset_of = offsetof(Elf64_Shdr, sh_offset);
constexpr size_t size_of = offsetof(Elf64_Shdr, sh_size), link_of = offsetof(Elf64_Shdr, sh_link);
constexpr size_t name_of = offsetof(Elf64_Shdr, sh_name), entry_of = offsetof(Elf64_Shdr, sh_entsize);
constexpr size_t flags_of = offsetof(Elf64_Shdr, sh_flags);

INSTANTIATE_TEST_SUITE_P(
    , ElfFileDamage,
    testing::Values(
        Damage{"none", [](Image&) {}, ""},
        Damage{"no_elf_file", [](Image& i) { i.bytes()[0] = std::byte{'!'}; }, "it: not an ELF file"},
        Damage{"nothing", [](Image& i) { i.bytes().clear(); }, "it: not an ELF file"},
        Damage{"of_32_bits", [](Image& i) { i.bytes()[EI_CLASS] = std::byte{ELFCLASS32}; },
               "it: 32-bit ELF files are not supported"},
        Damage{"cut_in_its_header", [](Image& i) { i.bytes().resize(40); },
               "it: a damaged or truncated ELF file (header)"},
        Damage{"without_headers", [](Image& i) { i.put(offsetof(Elf64_Ehdr, e_shoff), 0, 8); },
               "it: an ELF file without section headers"},
        Damage{"headers_beyond_the_end", [](Image& i) { i.put(offsetof(Elf64_Ehdr, e_shoff), 1 << 20, 8); },
               "it: a truncated ELF file (section headers)"},
        Damage{"cut_in_its_headers", [](Image& i) { i.bytes().resize(i.bytes().size() - 1); },
               "it: a truncated ELF file (section headers)"},
        Damage{"section_names_beyond", [](Image& i) { i.header(Image::shstrtab, offset_of, 1 << 20, 8); },
               "it: a truncated ELF file (section 5 reaches beyond its end)"},
        Damage{"section_names_in_code", [](Image& i) { i.header(Image::shstrtab, type_of, SHT_PROGBITS, 4); },
               "it: section 5 is no table of names"},
        Damage{"section_names_compressed", [](Image& i) { i.header(Image::shstrtab, flags_of, SHF_COMPRESSED, 8); },
               "it: section 5 is no table of names"},
        Damage{"section_names_do_not_end", [](Image& i) { i.header(Image::shstrtab, size_of, 56, 8); },
               "it: the table of names in section 5 is damaged"},
        Damage{"a_name_beyond_the_names", [](Image& i) { i.header(Image::rela, name_of, 57, 4); },
               "it: a damaged ELF file (name of section 3)"},
        Damage{"contents_beyond_the_end", [](Image& i) { i.header(Image::text, size_of, 1 << 20, 8); },
               "it: a truncated ELF file (section .text reaches beyond its end)"},
        Damage{"an_offset_that_wraps", [](Image& i) { i.header(Image::text, offset_of, ~uint64_t{0}, 8); },
               "it: a truncated ELF file (section .text reaches beyond its end)"},
        Damage{"two_symbol_tables", [](Image& i) { i.header(Image::note, type_of, SHT_SYMTAB, 4); },
               "it: more than one symbol table"},
        Damage{"symbol_names_nowhere", [](Image& i) { i.header(Image::symtab, link_of, 99, 4); },
               "it: section 99 is no table of names"},
        Damage{"symbol_names_compressed", [](Image& i) { i.header(Image::strtab, flags_of, SHF_COMPRESSED, 8); },
               "it: section .strtab is compressed"},
        Damage{"symbols_of_another_size", [](Image& i) { i.header(Image::symtab, entry_of, 16, 8); },
               "it: a damaged ELF file (the records of section .symtab)"},
        Damage{"half_a_symbol", [](Image& i) { i.header(Image::symtab, size_of, 36, 8); },
               "it: a damaged ELF file (the records of section .symtab)"},
        Damage{"a_symbol_without_name", [](Image& i) { i.symbol(1, 7, Image::text, 2); },
               "it: a damaged ELF file (symbol 1)"},
        Damage{"a_symbol_in_no_section", [](Image& i) { i.symbol(1, 1, 77, 2); },
               "it: symbol f: section 77 does not exist"},
        Damage{"an_extended_number_of_nothing", [](Image& i) { i.put(i.at(Image::shndx) + 12, 78, 4); },
               "it: symbol h: section 78 does not exist"},
        Damage{"no_extended_numbers", [](Image& i) { i.header(Image::shndx, type_of, SHT_PROGBITS, 4); },
               "it: has no table of section numbers (SHT_SYMTAB_SHNDX)"},
        Damage{"too_few_extended_numbers", [](Image& i) { i.header(Image::shndx, size_of, 8, 8); },
               "it: a damaged ELF file (symbol 2)"},
        Damage{"relocations_of_another_size", [](Image& i) { i.header(Image::rela, entry_of, 16, 8); },
               "it: a damaged ELF file (the records of section .rela.text)"},
        Damage{"a_relocation_to_no_symbol",
               [](Image& i) { i.put(i.at(Image::rela) + 8, ELF64_R_INFO(uint64_t{4}, 1), 8); },
               "it: relocation 0 of .rela.text: symbol 4 does not exist"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace kpatch
