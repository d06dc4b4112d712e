// A livepatch refers to symbols that the kernel does not export. The module loader resolves such references itself if
// they are klp relocations: relocations in sections of their own, against symbols whose names say where to look.
//
//   before, what objtool and modpost saw            after
//   .rela.text.show                                 .rela.text.show
//     15 PLT32 __fentry__ - 4                          15 PLT32 __fentry__ - 4
//     1f PLT32 seq_show.klp.vmlinux.2 - 4            .klp.rela.vmlinux..text.show
//                                                      1f PLT32 .klp.sym.vmlinux.seq_show,2 - 4
//
// create-diff-object decided for each place which object's symbol it means and recorded it in the side table, because
// names alone don't survive linking. Here the table is executed:
//
//  1. Each entry names a place and a placeholder (an undefined symbol). Exactly one relocation must be there, and refer
//     to that placeholder; it is moved. Anything else means that something between the differ and here changed the
//     code, and a guess would write a wrong address into the kernel: Error.
//  2. Objtool wrote tables of its own since, which may refer to placeholders as well: .static_call_sites names the key
//     of each static call. Such a relocation stands in no entry, but means the same symbol as all entries of its
//     placeholder do (an entry without a place is there for nothing else); if these disagree, Error.
//  3. Now nothing allocated refers to a placeholder any more. They leave the symbol table (the loader would refuse them
//  as
//     unknown symbols), as do the side table and relocation sections that became empty. What is stored by index is
//     renumbered.
//
// When are klp relocations applied? Those of .klp.rela.vmlinux.* while the livepatch itself is loaded, before the
// kernel looks at alternatives, jump labels, static calls and all other tables, so they may stand anywhere. Those of
// .klp.rela.MODULE.* when both that module and the livepatch are there, after all of that: they are refused where the
// kernel has read the place by then. A symbol of vmlinux always goes to the first kind, whichever object the code
// patches (kernel: klp_resolve_symbols() returns EINVAL for it in the second).
#include "klp/post-link.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>
#include <tuple>
#include <unordered_map>

#include <fmt/format.h>

#include "arch/arch.h"
#include "elf/elf.h"
#include "klp/loader-facts.h"
#include "support/bytes.h"
#include "support/error.h"

namespace kpatch {

namespace {

constexpr std::string_view table_name = ".comment.kpatch.relocs";
constexpr std::string_view signature = "~Module signature appended~\n";
constexpr uint32_t gone = UINT32_MAX;
constexpr uint32_t sht_llvm_addrsig = 0x6fff4c03;

// What a reference becomes.
struct Meaning {
  std::string patched;
  std::string owner;
  std::string name;
  uint64_t sympos = 0;

  // .klp.rela.GROUP.SECTION
  const std::string& group() const { return owner == "vmlinux" ? owner : patched; }
  std::string symbol() const { return fmt::format(".klp.sym.{}.{},{}", owner, name, sympos); }
};

struct Entry {
  KlpPlace place;
  uint32_t placeholder = 0;
  Meaning meaning;
  bool done = false;
};

class PostLink {
 public:
  explicit PostLink(const std::filesystem::path& in) : elf_(KlpElf::read(in)) {}

  void run(const std::filesystem::path& out) {
    if (elf_.symtab == 0) fail("it has no symbol table");
    if (auto table = elf_.find_section(table_name)) {
      read_table(*table);
      move_relocations();
      for (const Entry& entry : entries_)
        if (!entry.done) fail_at(entry, "no relocation is there");
      add_klp_sections();
      compact();
    }
    elf_.write(out);
  }

 private:
  struct Shared {
    const Meaning* meaning = nullptr;
    bool disputed = false;  // its entries disagree
  };

  [[noreturn]] void fail(std::string_view what) const {
    throw Error(fmt::format("'{}': {}", elf_.path.string(), what));
  }
  [[noreturn]] void fail_at(const Entry& entry, std::string_view what) const {
    fail_at(entry.place, entry.meaning, what);
  }
  [[noreturn]] void fail_at(KlpPlace place, const Meaning& meaning, std::string_view what) const {
    fail(fmt::format("{}: klp relocation against {} of {}: {}", elf_.describe(place), meaning.name, meaning.owner,
                     what));
  }

  // --- the side table ---

  void read_table(uint32_t index) {
    for (uint32_t i = index + 1; i < elf_.sections.size(); ++i)
      if (elf_.sections[i].name == table_name) fail(fmt::format("two sections {}", table_name));
    const KlpSection& table = elf_.sections[index];
    constexpr uint64_t size = 48;
    if (table.bytes.size() % size != 0)
      fail(fmt::format("{}: {} bytes are no whole number of entries", table_name, table.bytes.size()));
    std::vector<const KlpRelocation*> fields(table.bytes.size() / 8);
    for (const KlpSection& section : elf_.sections) {
      if (section.header.sh_type != SHT_RELA || section.header.sh_info != index) continue;
      for (const KlpRelocation& relocation : section.relocations) {
        if (relocation.offset % 8 != 0 || relocation.offset / 8 >= fields.size() || fields[relocation.offset / 8])
          fail(fmt::format("{}+0x{:x}: an unexpected relocation", table_name, relocation.offset));
        fields[relocation.offset / 8] = &relocation;
      }
    }
    for (uint64_t at = 0; at < table.bytes.size(); at += size) {
      if (fields[at / 8 + 5] != nullptr) fail(fmt::format("{}+0x{:x}: sympos has a relocation", table_name, at + 40));
      read_entry(at, {fields.data() + at / 8, 5}, elf_.u64_at(table, at + 40));
    }
    std::sort(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) { return a.place < b.place; });
    for (size_t i = 1; i < entries_.size(); ++i)
      if (entries_[i].place.section != 0 && entries_[i - 1].place == entries_[i].place)
        fail_at(entries_[i], "the side table has the place twice");
    for (const Entry& entry : entries_) share(entry);
  }

  void read_entry(uint64_t at, std::span<const KlpRelocation* const> fields, uint64_t sympos) {
    for (const KlpRelocation* field : fields.subspan(1))
      if (field == nullptr) fail(fmt::format("{}+0x{:x}: an entry lacks a relocation", table_name, at));
    auto text = [&](const KlpRelocation& field) {
      auto place = elf_.place_of(field.symbol, field.addend);
      auto string = place ? elf_.string_at(*place) : std::nullopt;
      if (!string || string->empty()) fail(fmt::format("{}+0x{:x}: points at no string", table_name, field.offset));
      return std::string(*string);
    };
    Entry entry;
    entry.meaning = {text(*fields[2]), text(*fields[3]), text(*fields[4]), sympos};
    if (fields[0] == nullptr) {
      entry.done = true;  // tells what the placeholder means, for tables that objtool makes
    } else {
      auto place = elf_.place_of(fields[0]->symbol, fields[0]->addend);
      if (!place) fail(fmt::format("{}+0x{:x}: the place of {} is in no section", table_name, at, entry.meaning.name));
      entry.place = *place;
    }
    entry.placeholder = fields[1]->symbol;
    const KlpSymbol& placeholder = elf_.symbols[entry.placeholder];
    if (placeholder.entry.st_shndx != SHN_UNDEF || placeholder.name.empty() || fields[1]->addend != 0)
      fail_at(entry, fmt::format("its placeholder '{}' is no undefined symbol", placeholder.name));
    check_names(entry);
    entries_.push_back(std::move(entry));
  }

  void check_names(const Entry& entry) const {
    const Meaning& meaning = entry.meaning;
    for (const std::string* object : {&meaning.patched, &meaning.owner}) {
      if (object->size() > max_object_name)
        fail_at(entry, fmt::format("object name '{}' is longer than {} characters", *object, max_object_name));
      if (object->find_first_of(".-") != std::string::npos)
        fail_at(entry, fmt::format("'{}' is no object name (no dot, '_' for '-')", *object));
    }
    if (meaning.name.size() > max_symbol_name)
      fail_at(entry, fmt::format("the name is longer than {} characters", max_symbol_name));
    if (meaning.name.find(',') != std::string::npos) fail_at(entry, "the kernel reads the name only up to the comma");
  }

  void share(const Entry& entry) {
    Shared& shared = shared_[entry.placeholder];
    if (shared.meaning == nullptr) {
      shared.meaning = &entry.meaning;
      return;
    }
    const Meaning& a = *shared.meaning;
    const Meaning& b = entry.meaning;
    if (std::tie(a.owner, a.name, a.sympos, a.group()) != std::tie(b.owner, b.name, b.sympos, b.group()))
      shared.disputed = true;
  }

  // --- relocations ---

  void move_relocations() {
    for (KlpSection& section : elf_.sections) {
      if (section.header.sh_type != SHT_RELA || (section.header.sh_flags & shf_rela_livepatch) != 0) continue;
      uint32_t target = section.header.sh_info;
      if (elf_.sections[target].name == table_name) continue;
      if (elf_.sections[target].allocated())
        move_allocated(section, target);
      else
        retarget(section);
    }
  }

  void move_allocated(KlpSection& section, uint32_t target) {
    std::vector<KlpRelocation> kept;
    for (const KlpRelocation& relocation : section.relocations) {
      const Meaning* meaning = meaning_of(relocation, {target, relocation.offset});
      if (meaning == nullptr) {
        kept.push_back(relocation);
        continue;
      }
      check_place(relocation, {target, relocation.offset}, *meaning);
      moved_[{meaning->group(), target}].push_back({relocation, meaning});
    }
    section.relocations = std::move(kept);
  }

  // What the relocation becomes; nullptr when it stays as it is.
  const Meaning* meaning_of(const KlpRelocation& relocation, KlpPlace place) {
    auto entry = std::lower_bound(entries_.begin(), entries_.end(), place,
                                  [](const Entry& e, const KlpPlace& p) { return e.place < p; });
    if (entry != entries_.end() && entry->place == place) {
      if (entry->done) fail_at(*entry, "several relocations are there");
      if (relocation.symbol != entry->placeholder)
        fail_at(*entry, fmt::format("the relocation there refers to '{}', not to the placeholder '{}'",
                                    symbol_name(relocation.symbol), symbol_name(entry->placeholder)));
      entry->done = true;
      return &entry->meaning;
    }
    auto shared = shared_.find(relocation.symbol);
    if (shared == shared_.end()) return nullptr;
    if (shared->second.disputed)
      fail_at(place, *shared->second.meaning,
              fmt::format("not in the side table, whose entries for '{}' differ", symbol_name(relocation.symbol)));
    return shared->second.meaning;
  }

  std::string symbol_name(uint32_t symbol) const {
    const KlpSymbol& s = elf_.symbols[symbol];
    return s.type() == STT_SECTION && s.in_section() ? elf_.sections[s.entry.st_shndx].name : s.name;
  }

  // Can the kernel apply it there? With RELA the field's old value means nothing.
  void check_place(const KlpRelocation& relocation, KlpPlace place, const Meaning& meaning) {
    KlpSection& section = elf_.sections[place.section];
    if (meaning.group() != "vmlinux" && section_row(section.name).early)
      fail_at(
          place, meaning,
          fmt::format("the kernel reads {} before it applies relocations of module {}", section.name, meaning.patched));
    const Arch* arch = find_arch(elf_.header.e_machine);
    if (arch == nullptr || arch->klp.field_size == nullptr) return;
    auto size = arch->klp.field_size(relocation.type);
    if (!size) fail_at(place, meaning, fmt::format("the kernel applies no relocation of type {}", relocation.type));
    if (section.header.sh_type == SHT_NOBITS || place.offset > section.bytes.size() ||
        section.bytes.size() - place.offset < *size)
      fail_at(place, meaning, "it reaches beyond its section");
    if (arch->klp.zero_fields)
      std::fill_n(section.bytes.begin() + static_cast<ptrdiff_t>(place.offset), *size, std::byte{0});
  }

  // Debug information may name a placeholder too. Nobody applies that, but the symbol it names must exist.
  void retarget(KlpSection& section) {
    for (KlpRelocation& relocation : section.relocations) {
      auto shared = shared_.find(relocation.symbol);
      if (shared != shared_.end()) relocation.symbol = klp_symbol(*shared->second.meaning);
    }
  }

  // --- the new sections and symbols ---

  uint32_t klp_symbol(const Meaning& meaning) {
    auto [entry, is_new] = klp_symbols_.try_emplace(meaning.symbol(), static_cast<uint32_t>(elf_.symbols.size()));
    if (is_new) {
      KlpSymbol symbol;
      symbol.name = entry->first;
      symbol.entry.st_info = GELF_ST_INFO(STB_GLOBAL, STT_NOTYPE);
      symbol.entry.st_shndx = shn_livepatch;
      elf_.symbols.push_back(std::move(symbol));
    }
    return entry->second;
  }

  // Before the symbol table and the string tables, by object and section.
  void add_klp_sections() {
    for (const auto& [key, relocations] : moved_) {
      KlpSection section;
      section.name = fmt::format(".klp.rela.{}.{}", key.first, elf_.sections[key.second].name);
      section.header.sh_type = SHT_RELA;
      section.header.sh_flags = SHF_ALLOC | SHF_INFO_LINK | shf_rela_livepatch;
      section.header.sh_link = elf_.symtab;
      section.header.sh_info = key.second;
      section.header.sh_addralign = 8;
      section.header.sh_entsize = sizeof(Elf64_Rela);
      for (const auto& [relocation, meaning] : relocations) {
        section.relocations.push_back(relocation);
        section.relocations.back().symbol = klp_symbol(*meaning);
      }
      added_.push_back(std::move(section));
    }
    position_ = std::min({elf_.symtab, elf_.strtab, elf_.shstrtab});
    if (elf_.sections.size() + added_.size() >= SHN_LORESERVE) fail("too many sections for the module loader");
  }

  // --- taking out and renumbering ---

  void compact() {
    number_sections();
    number_symbols();
    std::vector<KlpSection> sections;
    for (uint32_t i = 0; i < elf_.sections.size(); ++i) {
      if (i == position_)
        for (KlpSection& section : added_) sections.push_back(std::move(section));
      if (sections_[i] != gone) sections.push_back(std::move(elf_.sections[i]));
    }
    elf_.sections = std::move(sections);
    elf_.symtab = sections_[elf_.symtab];
    elf_.strtab = sections_[elf_.strtab];
    elf_.shstrtab = sections_[elf_.shstrtab];
    for (KlpSection& section : elf_.sections) renumber(section);
    std::vector<KlpSymbol> symbols;
    for (uint32_t i = 0; i < elf_.symbols.size(); ++i) {
      if (symbols_[i] == gone) continue;
      KlpSymbol& symbol = symbols.emplace_back(std::move(elf_.symbols[i]));
      if (symbol.in_section()) symbol.entry.st_shndx = static_cast<uint16_t>(sections_[symbol.entry.st_shndx]);
    }
    elf_.symbols = std::move(symbols);
  }

  void number_sections() {
    sections_.assign(elf_.sections.size(), gone);
    uint32_t next = 0;
    for (uint32_t i = 0; i < elf_.sections.size(); ++i) {
      if (i == position_) next += static_cast<uint32_t>(added_.size());
      if (!leaves(i)) sections_[i] = next++;
    }
  }

  bool leaves(uint32_t index) const {
    const KlpSection& section = elf_.sections[index];
    if (section.name == table_name) return true;
    if (section.header.sh_type == sht_llvm_addrsig) return true;  // symbol numbers for a linker that won't run
    if (section.header.sh_type != SHT_RELA) return false;
    return section.relocations.empty() || elf_.sections[section.header.sh_info].name == table_name;
  }

  void number_symbols() {
    symbols_.assign(elf_.symbols.size(), 0);
    for (const auto& [placeholder, shared] : shared_) symbols_[placeholder] = gone;
    uint32_t next = 0;
    for (uint32_t i = 0; i < elf_.symbols.size(); ++i) {
      const KlpSymbol& symbol = elf_.symbols[i];
      if (symbol.in_section() && sections_[symbol.entry.st_shndx] == gone) symbols_[i] = gone;
      if (symbols_[i] != gone) symbols_[i] = next++;
    }
  }

  void renumber(KlpSection& section) {
    GElf_Shdr& header = section.header;
    if (header.sh_link != 0) header.sh_link = kept(sections_, header.sh_link, section, "section");
    if (header.sh_type == SHT_GROUP) return renumber_group(section);
    if (section.has_section_in_info() && header.sh_info != 0)
      header.sh_info = kept(sections_, header.sh_info, section, "section");
    for (KlpRelocation& relocation : section.relocations)
      relocation.symbol = kept(symbols_, relocation.symbol, section, "symbol");
  }

  // A flag word, then section indices; sh_info is the symbol that names the group.
  void renumber_group(KlpSection& section) {
    if (section.header.sh_info >= symbols_.size() || section.bytes.size() % 4 != 0 || section.bytes.empty())
      fail(fmt::format("a damaged section group {}", section.name));
    section.header.sh_info = kept(symbols_, section.header.sh_info, section, "symbol");
    std::vector<std::byte> bytes(section.bytes.begin(), section.bytes.begin() + 4);
    for (uint64_t at = 4; at < section.bytes.size(); at += 4) {
      uint32_t member = elf_.u32_at(section, at);
      if (member >= sections_.size()) fail(fmt::format("a damaged section group {}", section.name));
      if (sections_[member] == gone) continue;
      append_number(bytes, sections_[member], 4, elf_.big_endian());
    }
    section.bytes = std::move(bytes);
  }

  uint32_t kept(const std::vector<uint32_t>& numbers, uint32_t old, const KlpSection& section,
                std::string_view what) const {
    if (numbers[old] == gone) fail(fmt::format("section {} refers to a {} that is taken out", section.name, what));
    return numbers[old];
  }

  KlpElf elf_;
  std::vector<Entry> entries_;                   // by place
  std::unordered_map<uint32_t, Shared> shared_;  // by placeholder
  std::map<std::pair<std::string, uint32_t>, std::vector<std::pair<KlpRelocation, const Meaning*>>> moved_;
  std::unordered_map<std::string, uint32_t> klp_symbols_;
  std::vector<KlpSection> added_;
  uint32_t position_ = 0;           // index before which added_ goes
  std::vector<uint32_t> sections_;  // old index to new
  std::vector<uint32_t> symbols_;
};

// A signature covers every byte before it, so the module must be signed after this, not before.
void refuse_signed(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  auto size = file.tellg();
  if (!file || size < static_cast<std::streamoff>(signature.size())) return;
  std::string tail(signature.size(), '\0');
  file.seekg(size - static_cast<std::streamoff>(signature.size()));
  file.read(tail.data(), static_cast<std::streamsize>(tail.size()));
  if (tail == signature)
    throw Error(fmt::format("'{}': it is signed already; changing it would break the signature", path.string()));
}

}  // namespace

void post_link(const std::filesystem::path& in, const std::filesystem::path& out) {
  refuse_signed(in);
  PostLink(in).run(out);
}

}  // namespace kpatch
