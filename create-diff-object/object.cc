// Reading a relocatable object into plain vectors.
//
// The differ looks at an object in many ways, so everything that needs a search is settled here once: which section
// owns which symbols, what section symbol stands for what, in which order relocations lie, and what a relocation
// against a section symbol means:
//
//   R_X86_64_PC32  .text.meminfo_proc_show + 0xc       →  meminfo_proc_show        (16 bytes of padding before it)
//   R_X86_64_32S   .rodata.str1.1 + 0x2f               →  the string "MemTotal: "
//
// Corrupt input throws Error; nothing behind the reader checks an index again.

#include "create-diff-object/object.h"

#include <fmt/format.h>
#include <gelf.h>

#include <algorithm>

#include "arch/arch.h"
#include "elf/elf.h"
#include "support/bytes.h"
#include "support/error.h"

namespace kpatch {
namespace {

// Labels stand for section and offset. `.LC5` and `.Lubsan_data7` do so too, unless they are objects with a size.
bool is_folded(const Symbol& s) {
  return is_local_label(s.name) && (!is_special_static(s.name) || s.type == SymbolType::none);
}

bool covers_behind_start(const Symbol& s) { return s.size != 0 && !is_folded(s); }

// Nothing in a kernel is aligned to more than a huge page; an output file would have to be as large as a greater one.
constexpr uint64_t greatest_alignment = 2 << 20;

}  // namespace

class ObjectReader {
 public:
  // The image stays where it is for as long as the object lives; libelf's descriptor, which needs as much memory as
  // a file of many sections has, goes with the reader.
  ObjectReader(std::span<const std::byte> image, const std::string& path) : elf_(image, path) {
    object_.path_ = path;
    object_.image_ = image;
  }

  Object run(std::shared_ptr<const void> keep) {
    read_header();
    read_sections();
    read_symbols();
    find_owners();
    read_relocations();
    find_entry_relative();
    find_prefixes();
    object_.file_ = std::move(keep);
    return std::move(object_);
  }

 private:
  [[noreturn]] void fail(std::string_view what) const { elf_.fail(what); }

  void read_header() {
    const GElf_Ehdr& header = elf_.header();
    if (header.e_type != ET_REL) fail("not a relocatable object (ET_REL)");
    if (header.e_phnum != 0) fail("has program headers: not a compiler's object");
    object_.arch_ = find_arch(header.e_machine);
    if (object_.arch_ == nullptr) fail(fmt::format("unsupported architecture (e_machine {})", header.e_machine));
    object_.flags_ = header.e_flags;
    object_.big_endian_ = elf_.big_endian();
    if (object_.big_endian_ != object_.arch_->elf.big_endian)
      fail(fmt::format("its byte order is not the one of {}", object_.arch_->elf.name));
  }

  void read_sections() {
    object_.sections_.resize(elf_.sections().size());
    for (size_t i = 1; i < object_.sections_.size(); ++i) read_section(elf_.sections()[i], object_.sections_[i]);
    object_.sections_[0].kind = SectionKind::null;
  }

  void read_section(const ElfSection& from, Section& section) {
    const GElf_Shdr& header = from.header;
    section.name = from.name;
    section.type = header.sh_type;
    section.flags = header.sh_flags;
    section.entry_size = header.sh_entsize;
    section.alignment = header.sh_addralign == 0 ? 1 : header.sh_addralign;
    if ((section.alignment & (section.alignment - 1)) != 0)
      fail(fmt::format("section {}: alignment {} is no power of two", section.name, section.alignment));
    if (section.alignment > greatest_alignment)
      fail(fmt::format("section {}: alignment {} is greater than a huge page", section.name, section.alignment));
    section.size = header.sh_size;
    if (section.size > max_size) fail(fmt::format("section {} has {} bytes", section.name, section.size));
    section.link = header.sh_link;
    section.info = header.sh_info;
    section.kind = classify_section({section.name, section.type, section.flags, section.entry_size},
                                    object_.arch_->table(section.name) != nullptr);
    if ((section.flags & SHF_COMPRESSED) != 0 && section.kind != SectionKind::debug)
      fail(fmt::format("section {} is compressed", section.name));
    if (section.size == 0) return;
    if (section.type == SHT_NOBITS || section.type == SHT_NULL) {
      const bool code = (section.flags & SHF_EXECINSTR) != 0 || section.kind == SectionKind::text ||
                        section.kind == SectionKind::shared_text;
      if (code)
        fail(fmt::format("section {} is code without contents; is this a file of debug information?", section.name));
      return;
    }
    if (section.kind == SectionKind::debug && (section.flags & SHF_ALLOC) == 0) return;  // never looked at
    section.contents = from.contents;
  }

  void read_symbols() {
    if (elf_.symbol_table() == 0) fail("no symbol table");
    if (elf_.symbol_count() == 0) fail("empty symbol table");
    object_.symbols_.resize(elf_.symbol_count());
    for (size_t i = 0; i < elf_.symbol_count(); ++i) add_symbol(i, elf_.symbol(i));
    order_symbols();
  }

  void order_symbols() {
    std::vector<SymbolId>& list = object_.symbols_of_sections_;
    auto place = [&](SymbolId id) { return std::pair{object_.symbol(id).section, object_.symbol(id).value}; };
    std::stable_sort(list.begin(), list.end(), [&](SymbolId a, SymbolId b) { return place(a) < place(b); });
    object_.sized_.resize(list.size());
    for (size_t begin = 0, end = 0; begin < list.size(); begin = end) {
      const SectionId home = object_.symbol(list[begin]).section;
      uint32_t last = 0;
      for (; end < list.size() && object_.symbol(list[end]).section == home; ++end) {
        if (covers_behind_start(object_.symbol(list[end]))) last = static_cast<uint32_t>(end - begin + 1);
        object_.sized_[end] = last;
      }
      Section& section = object_.sections_[index(home)];
      section.symbols = std::span{list}.subspan(begin, end - begin);
      section.sized = std::span{object_.sized_}.subspan(begin, end - begin);
    }
  }

  void add_symbol(size_t i, const ElfSymbol& from) {
    const std::string_view name = from.name;
    const GElf_Sym& raw = from.entry;
    Symbol& symbol = object_.symbols_[i];
    symbol.name = name;
    symbol.value = raw.st_value;
    symbol.size = raw.st_size;
    symbol.type = symbol_type(raw);
    symbol.binding = symbol_binding(raw);
    symbol.other = raw.st_other;
    if (symbol.type == SymbolType::file) {
      object_.files_.push_back(symbol.name);
      return;
    }
    symbol.file = symbol.global() ? 0 : static_cast<uint32_t>(object_.files_.size());
    if (from.reserved) {
      symbol.absolute = from.section == SHN_ABS;
      symbol.common = from.section == SHN_COMMON;
      if (!symbol.absolute && !symbol.common)
        fail(fmt::format("symbol {}: unknown section index {}", name, from.section));
      return;
    }
    symbol.section = SectionId{from.section};
    if (from.section == 0) return;
    Section& home = object_.sections_[from.section];
    if (symbol.type == SymbolType::section) {
      if (symbol.value != 0) fail(fmt::format("the section symbol of {} has a value", home.name));
      symbol.name = home.name;
      if (home.section_symbol == no_symbol) home.section_symbol = SymbolId{static_cast<uint32_t>(i)};
      return;
    }
    // Of debug information, which may be compressed, only the rough size is known.
    const uint64_t size = home.kind == SectionKind::debug ? max_size : home.size;
    if (symbol.value > size || symbol.size > size - symbol.value)
      fail(fmt::format("symbol {} lies outside its section {}", name, home.name));
    if (symbol.function() && home.size != 0 && home.contents.empty() && home.kind != SectionKind::debug)
      fail(fmt::format("function {} lies in section {}, which has no contents", name, home.name));
    object_.symbols_of_sections_.push_back(SymbolId{static_cast<uint32_t>(i)});
  }

  // With -ffunction-sections and -fdata-sections a section is named after what it holds. The owner starts at the
  // section's start, or behind the padding that precedes a function, and is the only one of its name.
  void find_owners() {
    for (Section& section : object_.sections_) {
      for (SymbolId id : section.symbols) {
        const Symbol& symbol = object_.symbol(id);
        const bool function = symbol.function();
        if (!function && symbol.type != SymbolType::object && symbol.type != SymbolType::none) continue;
        if (symbol.value > (function ? object_.arch_->code.max_function_offset : 0)) break;
        if (!section_belongs_to(section.name, symbol.name, function)) continue;
        section.owner = id;
        break;
      }
    }
  }

  void read_relocations() {
    // All lie in one list, which must not move once there are views of it.
    std::vector<size_t> tables;
    size_t total = 0;
    for (size_t i = 1; i < object_.sections_.size(); ++i) {
      const Section& table = object_.sections_[i];
      if (table.type == SHT_REL) fail("has SHT_REL relocations: not an object of a supported architecture");
      if (table.type != SHT_RELA) continue;
      if (table.info == 0 || table.info >= object_.sections_.size())
        fail(fmt::format("relocation section {} belongs to no section", table.name));
      if (object_.sections_[table.info].kind == SectionKind::debug) continue;
      if (table.link != elf_.symbol_table()) fail("relocations against another symbol table");
      tables.push_back(i);
      total += elf_.relocations(static_cast<uint32_t>(i)).size();
    }
    object_.relocations_.reserve(total);
    for (size_t i : tables) read_relocations(i, object_.sections_[object_.sections_[i].info]);
  }

  void read_relocations(size_t i, Section& section) {
    if (!section.relocations.empty()) fail(fmt::format("section {} has two relocation sections", section.name));
    const ElfFile::Relocations table = elf_.relocations(static_cast<uint32_t>(i));
    std::vector<Relocation>& list = object_.relocations_;
    const size_t first = list.size();
    for (size_t r = 0; r < table.size(); ++r) {
      const ElfRelocation raw = table[r];
      if (raw.offset >= section.size)
        fail(fmt::format("relocation {} of {} lies outside the section", r, section.name));
      if (raw.addend > static_cast<int64_t>(max_addend) || raw.addend < -static_cast<int64_t>(max_addend))
        fail(fmt::format("relocation {} of {} has addend {}", r, section.name, raw.addend));
      list.push_back({.offset = raw.offset, .type = raw.type, .symbol = SymbolId{raw.symbol}, .addend = raw.addend});
    }
    const std::span<Relocation> own = std::span{list}.subspan(first);
    auto by_offset = [](const Relocation& a, const Relocation& b) { return a.offset < b.offset; };
    if (!std::is_sorted(own.begin(), own.end(), by_offset)) std::stable_sort(own.begin(), own.end(), by_offset);
    object_.arch_->code.find_targets(section.code(), own);
    section.relocations = own;
  }

  void find_entry_relative() {
    for (Section& table : object_.sections_) {
      const TableFacts* facts = object_.arch_->table(table.name);
      if (facts == nullptr || !facts->once_from_entry || table.relocations.empty()) continue;
      const size_t first = static_cast<size_t>(table.relocations.data() - object_.relocations_.data());
      const std::span<Relocation> own = std::span{object_.relocations_}.subspan(first, table.relocations.size());
      std::vector<uint64_t> offsets;
      for (const Relocation& r : own) offsets.push_back(r.offset);
      const std::vector<uint64_t> distances =
          from_entries(offsets, [&](size_t i, uint64_t back) { return landmark(own[i], back); });
      for (size_t i = 0; i < own.size(); ++i) own[i].target_offset -= static_cast<int64_t>(distances[i]);
    }
  }

  Landmark landmark(const Relocation& r, uint64_t back) const {
    const Symbol& symbol = object_.symbol(r.symbol);
    if (symbol.section == no_section) return Landmark::other;
    const Section& section = object_.section(symbol.section);
    if (section.code().executable) return Landmark::code;
    const uint64_t at = symbol.value + static_cast<uint64_t>(r.addend) - back;
    if (section.kind != SectionKind::strings || at >= section.contents.size()) return Landmark::other;
    return string_begin(section.contents, at, section.entry_size) == at ? Landmark::string_start
                                                                        : Landmark::string_middle;
  }

  // A patchable entry that refers to a place before a function names the first of the NOPs that belong to it.
  void find_prefixes() {
    for (const Section& table : object_.sections_) {
      if (table.kind != SectionKind::table || table.name != "__patchable_function_entries") continue;
      for (const Relocation& r : table.relocations) {
        const Target target = object_.target(r);
        if (target.section == no_section) continue;
        const uint64_t base = target.symbol == no_symbol ? 0 : object_.symbol(target.symbol).value;
        const uint64_t place = base + static_cast<uint64_t>(target.offset);
        const SymbolId covering = object_.symbol_at(target.section, place);
        if (covering != no_symbol && object_.symbol(covering).function()) continue;  // inside, behind a landing pad
        const std::span<const SymbolId> symbols = object_.section(target.section).symbols;
        const auto at_or_behind = std::lower_bound(symbols.begin(), symbols.end(), place, [&](SymbolId s, uint64_t at) {
          return object_.symbol(s).value < at;
        });
        for (auto it = at_or_behind; it != symbols.end(); ++it) {
          Symbol& symbol = object_.symbols_[index(*it)];
          const uint64_t distance = symbol.value - place;
          if (distance > object_.arch_->code.max_function_offset) break;
          if (symbol.function()) symbol.prefix = distance;
        }
      }
    }
  }

  // No object comes near; sums of an addend and some sizes fit into 64 bits.
  static constexpr uint64_t max_size = uint64_t{1} << 60;
  static constexpr uint64_t max_addend = uint64_t{1} << 62;

  ElfFile elf_;
  Object object_;
};

Object Object::read(const std::filesystem::path& path) {
  const auto file = std::make_shared<FileBytes>(FileBytes::read(path));
  Object object = ObjectReader(file->bytes(), path.string()).run(file);
  file->require_unchanged();
  // Headers, symbols and relocations aren't looked at again.
  file->leave_memory();
  return object;
}

Object Object::read(std::span<const std::byte> image, std::string name) {
  const auto memory = std::make_shared<std::vector<std::byte>>(image.begin(), image.end());
  return ObjectReader(*memory, name).run(memory);
}

Object Object::empty(const Object& like) {
  Object object;
  object.path_ = "(no original)";
  object.arch_ = like.arch_;
  object.flags_ = like.flags_;
  object.big_endian_ = like.big_endian_;
  object.sections_.resize(1);
  object.sections_[0].kind = SectionKind::null;
  object.symbols_.resize(1);
  return object;
}

SymbolId Object::symbol_at(SectionId id, uint64_t offset) const {
  const std::span<const SymbolId> symbols = section(id).symbols;
  // The last symbol that starts at or before the offset and reaches it. Aliases start at one place: a function or
  // object is preferred to a label, the first in the file to later ones.
  const auto after = std::upper_bound(symbols.begin(), symbols.end(), offset,
                                      [&](uint64_t at, SymbolId s) { return at < symbol(s).value; });
  auto rank = [&](const Symbol& s) { return s.function() || s.type == SymbolType::object ? 2 : 1; };
  // Those that start where the one before `end` does, if they reach the offset.
  auto best_before = [&](size_t end) {
    SymbolId best = no_symbol;
    for (size_t i = end; i-- > 0 && symbol(symbols[i]).value == symbol(symbols[end - 1]).value;) {
      const Symbol& candidate = symbol(symbols[i]);
      if (is_folded(candidate) || (offset != candidate.value && offset - candidate.value >= candidate.size)) continue;
      if (best == no_symbol || rank(candidate) >= rank(symbol(best))) best = symbols[i];
    }
    return best;
  };
  const auto count = static_cast<size_t>(after - symbols.begin());
  if (count == 0) return no_symbol;
  if (symbol(symbols[count - 1]).value == offset)
    if (const SymbolId best = best_before(count); best != no_symbol) return best;
  // Labels without a size cover nothing behind their start.
  const uint32_t sized = section(id).sized[count - 1];
  return sized == 0 ? no_symbol : best_before(sized);
}

Target Object::target(const Relocation& r) const {
  const Symbol& s = symbol(r.symbol);
  Target target;
  target.section = s.section;
  const bool label = s.type == SymbolType::section || is_folded(s);
  if (s.section == no_section || (!label && section(s.section).kind != SectionKind::strings)) {
    target.symbol = r.symbol;
    target.offset = r.target_offset;
    return target;
  }
  const int64_t offset = r.target_offset + static_cast<int64_t>(s.value);
  const Section& home = section(s.section);
  if (home.kind == SectionKind::strings && offset >= 0 && static_cast<uint64_t>(offset) < home.contents.size()) {
    const char* text = reinterpret_cast<const char*>(home.contents.data()) + offset;
    target.is_string = true;
    target.offset = offset;
    target.string = {text, string_length(home.contents, static_cast<uint64_t>(offset), home.entry_size)};
    return target;
  }
  if (offset >= 0) target.symbol = symbol_at(s.section, static_cast<uint64_t>(offset));
  if (target.symbol == no_symbol) target.symbol = home.owner;
  target.offset = offset;
  if (target.symbol != no_symbol) target.offset -= static_cast<int64_t>(symbol(target.symbol).value);
  return target;
}

Target Object::meaning(const Relocation& r) const {
  const Target target = this->target(r);
  if (target.section == no_section || section(target.section).kind != SectionKind::toc || target.offset < 0)
    return target;
  uint64_t slot = static_cast<uint64_t>(target.offset);
  if (target.symbol != no_symbol) slot += symbol(target.symbol).value;
  const auto held = relocations(target.section, slot, slot + 8);
  // A slot without a relocation holds a number; one that refers to .toc would be no compiler's.
  if (held.size() != 1 || symbol(held.front().symbol).section == target.section) return target;
  return this->target(held.front());
}

uint64_t Object::number(std::span<const std::byte> bytes) const { return number_of(bytes, big_endian_); }

Object::Extent Object::extent(SymbolId id) const {
  const Symbol& s = symbol(id);
  if (s.section == no_section) return {};
  const Section& home = section(s.section);
  if (home.owner != no_symbol) return {0, home.size};
  return {s.value - s.prefix, s.value + s.size};
}

std::span<const Relocation> Object::relocations(SectionId id, uint64_t begin, uint64_t end) const {
  const std::span<const Relocation> all = section(id).relocations;
  auto below = [](const Relocation& r, uint64_t offset) { return r.offset < offset; };
  auto first = std::lower_bound(all.begin(), all.end(), begin, below);
  auto last = std::lower_bound(first, all.end(), end, below);
  return {first, last};
}

}  // namespace kpatch
