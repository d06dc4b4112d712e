// Writing the diff object through libelf, which brings tables into the target's byte order, whatever the host's.
//
// Order of the file: the sections, a relocation section behind each that needs one, then symbol and string tables.
// Locals stand before globals (ELF gABI: sh_info of the symbol table is the first global).
//
// Section numbers are 16 bits wide in symbols and in the ELF header, and 256 of them mean something else (SHN_ABS …).
// A file whose functions have a section each may need more, and then writes them elsewhere (ELF gABI, SHN_XINDEX):
//
//   e_shnum 0, e_shstrndx 0xffff     →  sh_size and sh_link of section 0
//   st_shndx 0xffff                  →  the symbol's entry of .symtab_shndx, a table as long as the symbol table

#include <elf.h>
#include <fmt/format.h>
#include <gelf.h>
#include <libelf.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>

#include "elf/output-object.h"
#include "support/bytes.h"
#include "support/error.h"
#include "support/files.h"

namespace kpatch {
namespace {

class StringTable {
 public:
  uint32_t add(const std::string& text) {
    if (text.empty()) return 0;
    const auto at = static_cast<uint32_t>(bytes_.size());
    bytes_ += text;
    bytes_ += '\0';
    return at;
  }
  std::string& bytes() { return bytes_; }

 private:
  std::string bytes_ = std::string(1, '\0');
};

class OutputWriter {
 public:
  OutputWriter(const OutputObject& object, const std::filesystem::path& path)
      : object_(object), path_(path), file_(path, Flush::no) {}

  void run() {
    elf_version(EV_CURRENT);
    elf_ = elf_begin(file_.fd(), ELF_C_WRITE, nullptr);
    check(elf_ != nullptr);
    begin();
    order_symbols();
    add_sections();
    add_tables();
    check(elf_update(elf_, ELF_C_WRITE) >= 0);
    elf_end(elf_);
    elf_ = nullptr;
    file_.commit();
  }

  ~OutputWriter() {
    if (elf_ != nullptr) elf_end(elf_);
  }

 private:
  void check(bool ok) const {
    if (!ok) throw Error(fmt::format("can't write {}: {}", path_.string(), elf_errmsg(-1)));
  }

  void begin() {
    check(gelf_newehdr(elf_, ELFCLASS64) != nullptr);
    GElf_Ehdr header;
    check(gelf_getehdr(elf_, &header) != nullptr);
    header.e_ident[EI_DATA] = object_.big_endian ? ELFDATA2MSB : ELFDATA2LSB;
    header.e_type = ET_REL;
    header.e_machine = object_.machine;
    header.e_version = EV_CURRENT;
    header.e_flags = object_.flags;
    check(gelf_update_ehdr(elf_, &header) != 0);
  }

  void order_symbols() {
    order_.resize(object_.symbols.size());
    std::iota(order_.begin(), order_.end(), 0);
    auto rank = [&](uint32_t i) {
      const unsigned info = object_.symbols[i].info;
      if (GELF_ST_BIND(info) != STB_LOCAL) return 2;
      return GELF_ST_TYPE(info) == STT_FILE ? 0 : 1;
    };
    std::stable_sort(order_.begin(), order_.end(), [&](uint32_t a, uint32_t b) { return rank(a) < rank(b); });
    place_.resize(order_.size());
    for (uint32_t i = 0; i < order_.size(); ++i) place_[order_[i]] = i + 1;  // 0 is the NULL symbol
    first_global_ = 1 + static_cast<uint32_t>(
                            std::count_if(order_.begin(), order_.end(), [&](uint32_t i) { return rank(i) != 2; }));
  }

  // Numbers first, because relocation sections and symbols refer to sections by number.
  void add_sections() {
    uint32_t next = 1;
    for (const OutputSection& section : object_.sections) {
      numbers_.push_back(next);
      next += section.relocations.empty() ? 1 : 2;
    }
    symtab_ = next;
    extended_ = next + 3 >= SHN_LORESERVE;  // .symtab, .strtab and .shstrtab follow
    for (const OutputSection& section : object_.sections) {
      add(section);
      if (!section.relocations.empty()) add_relocations(section);
    }
  }

  GElf_Shdr& header(Elf_Scn* scn, GElf_Shdr& header) const {
    check(gelf_getshdr(scn, &header) != nullptr);
    return header;
  }

  Elf_Data* data(Elf_Scn* scn, Elf_Type type, void* bytes, size_t size, uint64_t alignment) const {
    Elf_Data* data = elf_newdata(scn);
    check(data != nullptr);
    data->d_type = type;
    data->d_buf = bytes;
    data->d_size = size;
    data->d_align = alignment;
    data->d_version = EV_CURRENT;
    return data;
  }

  void add(const OutputSection& section) {
    Elf_Scn* scn = elf_newscn(elf_);
    check(scn != nullptr);
    GElf_Shdr storage;
    GElf_Shdr& shdr = header(scn, storage);
    shdr.sh_name = section_names_.add(section.name);
    shdr.sh_type = section.type;
    shdr.sh_flags = section.flags;
    shdr.sh_entsize = section.entry_size;
    shdr.sh_addralign = section.alignment;
    if (section.linked_to != undefined_section) shdr.sh_link = numbers_[section.linked_to];
    check(gelf_update_shdr(scn, &shdr) != 0);
    const bool no_bits = section.type == SHT_NOBITS;
    // libelf only reads the bytes
    void* bytes = no_bits ? nullptr : const_cast<std::byte*>(section.contents.data());
    data(scn, ELF_T_BYTE, bytes, section.size, section.alignment);
  }

  void add_relocations(const OutputSection& section) {
    const uint32_t number = numbers_[static_cast<size_t>(&section - object_.sections.data())];
    Elf_Scn* scn = elf_newscn(elf_);
    check(scn != nullptr);
    GElf_Shdr storage;
    GElf_Shdr& shdr = header(scn, storage);
    shdr.sh_name = section_names_.add(".rela" + section.name);
    shdr.sh_type = SHT_RELA;
    shdr.sh_flags = SHF_INFO_LINK;
    shdr.sh_entsize = sizeof(Elf64_Rela);
    shdr.sh_addralign = 8;
    shdr.sh_link = symtab_;
    shdr.sh_info = number;
    check(gelf_update_shdr(scn, &shdr) != 0);
    auto& table = tables_.emplace_back(std::make_unique<std::vector<Elf64_Rela>>());
    for (const OutputRelocation& r : section.relocations)
      table->push_back(
          {r.offset, ELF64_R_INFO(r.symbol == null_symbol ? uint64_t{0} : place_[r.symbol], r.type), r.addend});
    data(scn, ELF_T_RELA, table->data(), table->size() * sizeof(Elf64_Rela), 8);
  }

  void add_tables() {
    symbols_.push_back({});
    far_sections_.push_back(0);
    for (uint32_t i : order_) {
      const OutputSymbol& s = object_.symbols[i];
      const uint32_t section = s.section == undefined_section ? uint32_t{SHN_UNDEF} : numbers_[s.section];
      const bool file = GELF_ST_TYPE(s.info) == STT_FILE;
      const bool far = !file && section >= SHN_LORESERVE;
      Elf64_Sym raw{};
      raw.st_name = symbol_names_.add(s.name);
      raw.st_info = s.info;
      raw.st_other = s.other;
      raw.st_value = s.value;
      raw.st_size = s.size;
      raw.st_shndx = static_cast<uint16_t>(file ? SHN_ABS : far ? SHN_XINDEX : section);
      symbols_.push_back(raw);
      far_sections_.push_back(far ? section : 0);
    }
    Elf_Scn* scn = elf_newscn(elf_);
    check(scn != nullptr);
    GElf_Shdr storage;
    GElf_Shdr& shdr = header(scn, storage);
    shdr.sh_name = section_names_.add(".symtab");
    shdr.sh_type = SHT_SYMTAB;
    shdr.sh_entsize = sizeof(Elf64_Sym);
    shdr.sh_addralign = 8;
    shdr.sh_link = symtab_ + 1;
    shdr.sh_info = first_global_;
    check(gelf_update_shdr(scn, &shdr) != 0);
    data(scn, ELF_T_SYM, symbols_.data(), symbols_.size() * sizeof(Elf64_Sym), 8);
    add_strings(".strtab", symbol_names_);
    if (extended_) add_far_sections();
    add_strings(".shstrtab", section_names_);
    set_names_section(symtab_ + (extended_ ? 3 : 2));
  }

  void add_far_sections() {
    Elf_Scn* scn = elf_newscn(elf_);
    check(scn != nullptr);
    GElf_Shdr storage;
    GElf_Shdr& shdr = header(scn, storage);
    shdr.sh_name = section_names_.add(".symtab_shndx");
    shdr.sh_type = SHT_SYMTAB_SHNDX;
    shdr.sh_entsize = sizeof(Elf32_Word);
    shdr.sh_addralign = alignof(Elf32_Word);
    shdr.sh_link = symtab_;
    check(gelf_update_shdr(scn, &shdr) != 0);
    data(scn, ELF_T_WORD, far_sections_.data(), far_sections_.size() * sizeof(Elf32_Word), alignof(Elf32_Word));
  }

  // libelf moves the number of sections to section 0 by itself, but not this one.
  void set_names_section(uint32_t number) {
    GElf_Ehdr ehdr;
    check(gelf_getehdr(elf_, &ehdr) != nullptr);
    ehdr.e_shstrndx = static_cast<uint16_t>(number < SHN_LORESERVE ? number : SHN_XINDEX);
    check(gelf_update_ehdr(elf_, &ehdr) != 0);
    if (number < SHN_LORESERVE) return;
    Elf_Scn* null = elf_getscn(elf_, 0);
    check(null != nullptr);
    GElf_Shdr storage;
    GElf_Shdr& shdr = header(null, storage);
    shdr.sh_link = number;
    check(gelf_update_shdr(null, &shdr) != 0);
  }

  void add_strings(const char* name, StringTable& table) {
    Elf_Scn* scn = elf_newscn(elf_);
    check(scn != nullptr);
    GElf_Shdr storage;
    GElf_Shdr& shdr = header(scn, storage);
    shdr.sh_name = section_names_.add(name);
    shdr.sh_type = SHT_STRTAB;
    shdr.sh_addralign = 1;
    check(gelf_update_shdr(scn, &shdr) != 0);
    data(scn, ELF_T_BYTE, table.bytes().data(), table.bytes().size(), 1);
  }

  const OutputObject& object_;
  std::filesystem::path path_;
  AtomicFile file_;
  Elf* elf_ = nullptr;
  bool done_ = false, extended_ = false;
  std::vector<uint32_t> order_, place_, numbers_;
  uint32_t first_global_ = 0, symtab_ = 0;
  StringTable section_names_, symbol_names_;
  std::vector<Elf64_Sym> symbols_;
  std::vector<Elf32_Word> far_sections_;  // by symbol: its section, where 16 bits don't hold it
  std::vector<std::unique_ptr<std::vector<Elf64_Rela>>> tables_;
};

}  // namespace

uint32_t OutputObject::add_section(OutputSection section) {
  sections.push_back(std::move(section));
  return static_cast<uint32_t>(sections.size() - 1);
}

uint32_t OutputObject::add_symbol(OutputSymbol symbol) {
  symbols.push_back(std::move(symbol));
  return static_cast<uint32_t>(symbols.size() - 1);
}

void OutputObject::append_u64(OutputSection& section, uint64_t value) const {
  append_number(section.contents, value, 8, big_endian);
  section.size = section.contents.size();
}

void write_elf(const OutputObject& object, const std::filesystem::path& path) { OutputWriter(object, path).run(); }

}  // namespace kpatch
