// Reads a finished module into plain vectors and writes it again, so that post-link can take sections and symbols
// out, add others, and audit can ask questions.
//
// The kernel's loader wants little of a module file's layout: sections by name and header, each at its alignment,
// the section header table anywhere. What is stored by index must stay right when sections and symbols move:
//
//   [Nr] Name                          Type    ES Flg Lk Inf Al
//   [ 5] .rela.text.kp_test            RELA    18   I 48   4  8    Lk: the symbol table, Inf: the changed section
//   [23] __patchable_function_entries  PROGBITS   WAL  2   0  8    Lk: the code it describes (SHF_LINK_ORDER)
//   [48] .symtab                       SYMTAB  18     49  49  8    Lk: its names, Inf: the first global symbol
//
// Renumbering is the caller's work (it knows what left); here everything is kept that isn't a string table, a symbol
// table or a relocation table, byte for byte, and these three are rebuilt from the vectors. ElfFile reads records
// of either byte order. Names are stored once each, in the order of their first use, so equal modules give equal bytes.
#include "elf/klp-elf.h"

#include <libelf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <unordered_map>

#include <fmt/format.h>

#include "elf/elf-file.h"
#include "elf/elf-handle.h"
#include "elf/file-bytes.h"
#include "support/bytes.h"
#include "support/error.h"
#include "support/files.h"

namespace kpatch {

namespace {

class KlpElfReader {
 public:
  KlpElfReader(KlpElf& elf, std::span<const std::byte> bytes)
      : elf_(elf), size_(bytes.size()), file_(bytes, fmt::format("'{}'", elf.path.string())) {}

  void run() {
    elf_.header = file_.header();
    if (elf_.header.e_type != ET_REL) file_.fail("not a relocatable file (a module is one)");
    if (elf_.header.e_phnum != 0) file_.fail("a relocatable file with program headers");
    check_headers();
    read_sections();
    read_symbols();
    for (uint32_t i = 1; i < elf_.sections.size(); ++i)
      if (elf_.symtab != 0 && elf_.sections[i].header.sh_type == SHT_RELA) read_relocations(i);
  }

 private:
  // kernel: elf_validity_check() of kernel/module/main.c, elf_validity_cache_sechdrs() since 6.13. The gABI knows files
  // whose first header holds counts; the loader doesn't.
  void check_headers() {
    const GElf_Shdr& first = file_.sections()[0].header;
    if (first.sh_type != SHT_NULL || first.sh_size != 0 || first.sh_addr != 0)
      file_.fail("its first section header isn't empty, and the module loader refuses such a file");
    if (elf_.header.e_shentsize != sizeof(Elf64_Shdr))
      file_.fail(fmt::format("section headers of {} bytes, where the module loader knows {}", elf_.header.e_shentsize,
                             sizeof(Elf64_Shdr)));
    if (elf_.header.e_shstrndx != file_.section_names())
      file_.fail("the number of its section names isn't where the module loader looks for it");
  }

  // The loader asks it of empty sections too.
  void check_place(const ElfSection& section) const {
    const GElf_Shdr& header = section.header;
    if (header.sh_type == SHT_NOBITS || header.sh_type == SHT_NULL) return;
    if (header.sh_offset > size_ || header.sh_size > size_ - header.sh_offset)
      file_.fail(fmt::format("section {} begins behind the file's end", section.name));
  }

  void read_sections() {
    const size_t count = file_.sections().size();
    if (count >= SHN_LORESERVE)
      file_.fail(fmt::format("{} sections, more than the kernel's module loader can count", count));
    elf_.shstrtab = file_.section_names();
    elf_.symtab = file_.symbol_table();
    elf_.strtab = elf_.symtab == 0 ? 0 : file_.sections()[elf_.symtab].header.sh_link;
    elf_.sections.resize(count);
    for (size_t i = 1; i < count; ++i) read_section(file_.sections()[i], elf_.sections[i]);
  }

  void read_section(const ElfSection& from, KlpSection& section) {
    const GElf_Shdr& header = from.header;
    section.name = from.name;
    section.header = header;
    if (header.sh_link >= elf_.sections.size() ||
        (section.has_section_in_info() && header.sh_info >= elf_.sections.size()))
      file_.fail(fmt::format("section {} refers to a section that isn't there", section.name));
    constexpr uint64_t max_alignment = 65536;  // the largest page of any architecture
    if ((header.sh_addralign & (header.sh_addralign - 1)) != 0 || header.sh_addralign > max_alignment)
      file_.fail(fmt::format("section {} has alignment 0x{:x}", section.name, header.sh_addralign));
    check_place(from);
    if (header.sh_type == SHT_NULL && (header.sh_flags & SHF_ALLOC) != 0)
      file_.fail(fmt::format("section {} has no type, and the module loader would copy it", section.name));
    // The other fields of an inactive header mean nothing (gABI, chapter 4); libelf would write a file of its size.
    if (header.sh_type == SHT_NULL) section.header = {};
    if (header.sh_type == SHT_SYMTAB_SHNDX) file_.fail("extended section indices, which the module loader can't read");
    if (header.sh_type == SHT_RELA || header.sh_type == SHT_SYMTAB) return;
    section.bytes.assign(from.contents.begin(), from.contents.end());
  }

  void read_symbols() {
    elf_.symbols.resize(file_.symbol_count());
    for (size_t i = 0; i < elf_.symbols.size(); ++i) {
      const ElfSymbol from = file_.symbol(i);
      KlpSymbol& symbol = elf_.symbols[i];
      symbol.name = from.name;
      symbol.entry = from.entry;
      if (i > 1 && symbol.local() && !elf_.symbols[i - 1].local())
        file_.fail(fmt::format("local symbol {} stands behind global ones", symbol.name));
    }
  }

  void read_relocations(uint32_t index) {
    KlpSection& section = elf_.sections[index];
    if (section.header.sh_link != elf_.symtab || section.header.sh_info == 0)
      file_.fail(fmt::format("a damaged ELF file (relocations of section {})", section.name));
    const ElfFile::Relocations table = file_.relocations(index);
    section.relocations.resize(table.size());
    for (size_t i = 0; i < table.size(); ++i) {
      const ElfRelocation raw = table[i];
      section.relocations[i] = {raw.offset, raw.type, raw.symbol, raw.addend};
    }
  }

  KlpElf& elf_;
  uint64_t size_;  // bytes of the file
  ElfFile file_;
};

// A string table that holds each string once.
class Strings {
 public:
  uint32_t add(const std::string& text) {
    if (text.empty()) return 0;
    auto [entry, is_new] = offsets_.try_emplace(text, static_cast<uint32_t>(bytes_.size()));
    if (is_new) bytes_.append(text).push_back('\0');
    return entry->second;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_ = std::string(1, '\0');
  std::unordered_map<std::string, uint32_t> offsets_;
};

class KlpElfWriter {
 public:
  explicit KlpElfWriter(const KlpElf& elf) : elf_(elf), headers_(elf.sections.size()), contents_(elf.sections.size()) {}

  void run(const std::filesystem::path& target) {
    collect_names();
    for (uint32_t i = 1; i < elf_.sections.size(); ++i) convert(i);
    place();
    AtomicFile file(target);
    if (!update(file.fd())) throw Error(fmt::format("can't write {}: {}", target.string(), elf_errmsg(-1)));
    file.commit();
  }

 private:
  // Section names and symbol names share a table where they did in the input (clang).
  void collect_names() {
    Strings& symbol_names = elf_.strtab == elf_.shstrtab ? names_ : symbol_names_;
    for (uint32_t i = 0; i < elf_.sections.size(); ++i) {
      headers_[i] = elf_.sections[i].header;
      headers_[i].sh_name = names_.add(elf_.sections[i].name);
    }
    for (const KlpSymbol& symbol : elf_.symbols) symbol_offsets_.push_back(symbol_names.add(symbol.name));
    assign(elf_.shstrtab, names_.bytes());
    if (elf_.strtab != elf_.shstrtab && elf_.strtab != 0) assign(elf_.strtab, symbol_names_.bytes());
  }

  void assign(uint32_t section, std::string_view text) {
    auto* first = reinterpret_cast<const std::byte*>(text.data());
    contents_[section].assign(first, first + text.size());
  }

  void convert(uint32_t index) {
    const KlpSection& section = elf_.sections[index];
    GElf_Shdr& header = headers_[index];
    if (index == elf_.symtab) {
      std::vector<Elf64_Sym> symbols;
      for (size_t i = 0; i < elf_.symbols.size(); ++i) {
        symbols.push_back(elf_.symbols[i].entry);
        symbols.back().st_name = symbol_offsets_[i];
      }
      contents_[index] = to_file(std::span<const Elf64_Sym>(symbols), ELF_T_SYM);
      auto global = std::find_if(elf_.symbols.begin(), elf_.symbols.end(), [](const auto& s) { return !s.local(); });
      header.sh_info = static_cast<uint32_t>(global - elf_.symbols.begin());
    } else if (header.sh_type == SHT_RELA) {
      std::vector<Elf64_Rela> relocations;
      for (const KlpRelocation& relocation : section.relocations)
        relocations.push_back(
            {relocation.offset, GELF_R_INFO(uint64_t{relocation.symbol}, relocation.type), relocation.addend});
      contents_[index] = to_file(std::span<const Elf64_Rela>(relocations), ELF_T_RELA);
    } else if (index != elf_.strtab && index != elf_.shstrtab) {
      contents_[index] = section.bytes;
    }
    if (header.sh_type != SHT_NOBITS && header.sh_type != SHT_NULL) header.sh_size = contents_[index].size();
  }

  template <typename T>
  std::vector<std::byte> to_file(std::span<const T> records, Elf_Type type) const {
    std::vector<std::byte> bytes(records.size_bytes());
    if (bytes.empty()) return bytes;
    Elf_Data from{};
    from.d_buf = const_cast<T*>(records.data());
    from.d_type = type;
    from.d_version = EV_CURRENT;
    from.d_size = records.size_bytes();
    Elf_Data to = from;
    to.d_buf = bytes.data();
    KPATCH_ASSERT(elf64_xlatetof(&to, &from, elf_.header.e_ident[EI_DATA]) != nullptr);
    return bytes;
  }

  void place() {
    uint64_t at = sizeof(Elf64_Ehdr);
    for (uint32_t i = 1; i < headers_.size(); ++i) {
      uint64_t alignment = std::max<uint64_t>(headers_[i].sh_addralign, 1);
      at = (at + alignment - 1) / alignment * alignment;
      headers_[i].sh_offset = at;
      at += contents_[i].size();
    }
    section_headers_ = (at + 7) / 8 * 8;
  }

  // Contents are in the file's byte order already: libelf writes them as bytes.
  bool update(int fd) {
    ElfHandle out(elf_begin(fd, ELF_C_WRITE, nullptr));
    if (!out || gelf_newehdr(out.get(), ELFCLASS64) == nullptr) return false;
    elf_flagelf(out.get(), ELF_C_SET, ELF_F_LAYOUT);
    GElf_Ehdr header = elf_.header;
    header.e_shoff = section_headers_;
    header.e_shnum = static_cast<uint16_t>(headers_.size());
    header.e_shstrndx = static_cast<uint16_t>(elf_.shstrtab);
    if (gelf_update_ehdr(out.get(), &header) == 0) return false;
    for (uint32_t i = 1; i < headers_.size(); ++i) {
      Elf_Scn* scn = elf_newscn(out.get());
      Elf_Data* data = scn == nullptr ? nullptr : elf_newdata(scn);
      if (data == nullptr) return false;
      bool has_bytes = headers_[i].sh_type != SHT_NOBITS && headers_[i].sh_type != SHT_NULL;
      data->d_buf = has_bytes ? contents_[i].data() : nullptr;
      data->d_size = headers_[i].sh_size;
      data->d_type = ELF_T_BYTE;
      data->d_align = 1;
      if (gelf_update_shdr(scn, &headers_[i]) == 0) return false;
    }
    return elf_update(out.get(), ELF_C_WRITE) >= 0;
  }

  const KlpElf& elf_;
  std::vector<GElf_Shdr> headers_;
  std::vector<std::vector<std::byte>> contents_;
  std::vector<uint32_t> symbol_offsets_;
  Strings names_;
  Strings symbol_names_;
  uint64_t section_headers_ = 0;
};

template <typename T>
T number_at(const KlpElf& elf, const KlpSection& section, uint64_t offset) {
  if (offset > section.bytes.size() || section.bytes.size() - offset < sizeof(T))
    throw Error(fmt::format("'{}': {}+0x{:x}: the section ends before a number of {} bytes", elf.path.string(),
                            section.name, offset, sizeof(T)));
  return static_cast<T>(number_of(std::span(section.bytes).subspan(offset, sizeof(T)), elf.big_endian()));
}

}  // namespace

KlpElf KlpElf::read(const std::filesystem::path& path) {
  KlpElf elf;
  elf.path = path;
  FileBytes file = FileBytes::read(path);
  KlpElfReader(elf, file.bytes()).run();
  file.require_unchanged();
  return elf;
}

void KlpElf::write(const std::filesystem::path& target) const { KlpElfWriter(*this).run(target); }

uint64_t KlpElf::u64_at(const KlpSection& section, uint64_t offset) const {
  return number_at<uint64_t>(*this, section, offset);
}

uint32_t KlpElf::u32_at(const KlpSection& section, uint64_t offset) const {
  return number_at<uint32_t>(*this, section, offset);
}

std::optional<uint32_t> KlpElf::find_section(std::string_view name) const {
  for (uint32_t i = 1; i < sections.size(); ++i)
    if (sections[i].name == name) return i;
  return std::nullopt;
}

std::optional<KlpPlace> KlpElf::place_of(uint32_t symbol, int64_t addend) const {
  const KlpSymbol& target = symbols[symbol];
  if (!target.in_section()) return std::nullopt;
  return KlpPlace{target.entry.st_shndx, target.entry.st_value + static_cast<uint64_t>(addend)};
}

std::optional<std::string_view> KlpElf::string_at(KlpPlace place) const {
  if (place.section >= sections.size()) return std::nullopt;
  const std::vector<std::byte>& bytes = sections[place.section].bytes;
  if (place.offset >= bytes.size()) return std::nullopt;
  auto start = bytes.begin() + static_cast<ptrdiff_t>(place.offset);
  auto end = std::find(start, bytes.end(), std::byte{0});
  if (end == bytes.end()) return std::nullopt;
  return std::string_view(reinterpret_cast<const char*>(&*start), static_cast<size_t>(end - start));
}

std::string KlpElf::describe(KlpPlace place) const {
  std::string_view section = place.section < sections.size() ? std::string_view(sections[place.section].name) : "?";
  return fmt::format("{}+0x{:x}", section, place.offset);
}

}  // namespace kpatch
