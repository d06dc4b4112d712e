// A relocatable file in pieces that travel as a whole
//
//   .text.f                 f          [0x10, 0x3d)   functions and variables: their symbols say how far they reach
//   .rodata.f.str1.1        "%d\n"     [0x20, 0x24)   a string up to its NUL
//   .altinstr_replacement              [0x05, 0x0a)   up to where the next one begins that something refers to
//   .rodata.f                          [0x00, 0x40)   without a symbol (a table of a switch): the gap between symbols
#include "klp/delivery-image.h"
#include "support/bytes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace kpatch {

std::string without_numbers(std::string_view name) {
  std::string stem;
  constexpr std::string_view unique = "__UNIQUE_ID_";
  for (size_t at = 0; at < name.size();) {
    const size_t next = std::min(name.find('.', at + 1), name.size());
    const std::string_view part = name.substr(at, next - at);
    const bool number = part.size() > 1 && part[0] == '.' &&
                        std::all_of(part.begin() + 1, part.end(), [](unsigned char c) { return std::isdigit(c); });
    if (!number || at == 0) stem += part;
    at = next;
  }
  if (stem.find(unique) != std::string::npos)
    while (!stem.empty() && std::isdigit(static_cast<unsigned char>(stem.back()))) stem.pop_back();
  return stem;
}

Image::Image(KlpElf file, const Arch& a, const Binary& vmlinux)
    : elf(std::move(file)),
      arch(a),
      kinds_(elf.sections.size()),
      relocations_(elf.sections.size()),
      symbols_(elf.sections.size()),
      boundaries_(elf.sections.size()) {
  for (size_t i = 0; i < kinds_.size(); ++i) {
    const KlpSection& s = elf.sections[i];
    kinds_[i] = classify_section({s.name, s.header.sh_type, s.header.sh_flags, s.header.sh_entsize},
                                 arch.table(s.name) != nullptr);
  }
  read_symbols();
  read_relocations();
  read_entries(vmlinux);
}

void Image::read_symbols() {
  files_.resize(elf.symbols.size());
  uint32_t file = 0;
  for (uint32_t i = 1; i < elf.symbols.size(); ++i) {
    const KlpSymbol& s = elf.symbols[i];
    if (s.type() == STT_FILE) file = i;
    if (s.local()) files_[i] = file;
    if (s.in_section() && s.type() != STT_SECTION && s.type() != STT_FILE && !s.name.empty())
      symbols_[s.entry.st_shndx].push_back(i);
  }
  for (auto& list : symbols_)
    std::stable_sort(list.begin(), list.end(), [&](uint32_t a, uint32_t b) {
      return elf.symbols[a].entry.st_value < elf.symbols[b].entry.st_value;
    });
}

void Image::read_relocations() {
  for (uint32_t i = 1; i < elf.sections.size(); ++i) {
    const KlpSection& section = elf.sections[i];
    if (section.header.sh_type != SHT_RELA || !elf.sections[section.header.sh_info].allocated()) continue;
    for (const KlpRelocation& r : section.relocations)
      if (r.type != 0) relocations_[section.header.sh_info].push_back({r.offset, r.type, r.symbol, r.addend, 0, i});
  }
  for (uint32_t i = 1; i < relocations_.size(); ++i) {
    auto& list = relocations_[i];
    std::stable_sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
    if (code(i) && !list.empty()) {
      std::vector<Relocation> raw;
      for (const ImageRelocation& r : list) raw.push_back({r.offset, r.type, SymbolId{r.symbol}, r.addend, r.addend});
      arch.code.find_targets({elf.sections[i].bytes, true}, raw);
      for (size_t k = 0; k < raw.size(); ++k) list[k].behind = raw[k].target_offset - raw[k].addend;
    }
    if (const TableFacts* facts = arch.table(elf.sections[i].name); facts != nullptr && facts->once_from_entry)
      count_from_entries(list);
    for (const ImageRelocation& r : list) {
      const auto to = target(r);
      if (to && kinds_[to->section] == SectionKind::out_of_line_code) boundaries_[to->section].push_back(to->offset);
    }
  }
  for (auto& list : boundaries_) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
  }
}

void Image::count_from_entries(std::vector<ImageRelocation>& list) const {
  std::vector<uint64_t> offsets;
  for (const ImageRelocation& r : list) offsets.push_back(r.offset);
  const std::vector<uint64_t> distances = from_entries(offsets, [&](size_t i, uint64_t back) {
    const auto to = elf.place_of(list[i].symbol, list[i].addend - static_cast<int64_t>(back));
    if (!to || to->section >= elf.sections.size()) return Landmark::other;
    if (code(to->section)) return Landmark::code;
    const std::span<const std::byte> bytes = elf.sections[to->section].bytes;
    if (kinds_[to->section] != SectionKind::strings || to->offset >= bytes.size()) return Landmark::other;
    return string_begin(bytes, to->offset, width_of_characters(to->section)) == to->offset ? Landmark::string_start
                                                                                           : Landmark::string_middle;
  });
  for (size_t i = 0; i < list.size(); ++i) list[i].behind -= static_cast<int64_t>(distances[i]);
}

void Image::read_entries(const Binary& vmlinux) {
  for (uint32_t i = 1; i < elf.sections.size(); ++i) {
    const TableFacts* facts = arch.table(elf.sections[i].name);
    if (facts == nullptr || relocations_[i].empty()) continue;
    const auto& list = relocations_[i];
    uint64_t size = facts->fixed_size;
    if (!facts->struct_name.empty()) size = vmlinux.struct_size(facts->struct_name).value_or(0);
    if (size == 0) {  // one reference an entry
      size = list.size() > 1 ? list[1].offset - list[0].offset : this->size(i);
      if (size == 0) continue;
    }
    for (uint64_t at = 0; at < elf.sections[i].bytes.size(); at += size) {
      const auto own = relocations(i, at, at + size);
      const auto code = own.empty() ? std::nullopt : target(own.front());
      if (code)
        entries_.push_back({arch.ftrace.lists_sites(elf.sections[i].name) ? function_behind(*code) : *code, i, at,
                            std::min(at + size, this->size(i))});
      boundaries_[i].push_back(at);
    }
  }
  std::stable_sort(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) { return a.code < b.code; });
}

// An ftrace site may be the first of some NOPs before its function, which belong to no symbol.
KlpPlace Image::function_behind(KlpPlace site) const {
  for (uint32_t symbol : symbols_[site.section]) {
    const KlpSymbol& s = elf.symbols[symbol];
    if (s.type() != STT_FUNC) continue;
    const uint64_t start = s.entry.st_value;
    if (start <= site.offset && site.offset < start + std::max<uint64_t>(s.entry.st_size, 1)) return site;
    if (start > site.offset)
      return start - site.offset <= arch.code.max_function_offset ? KlpPlace{site.section, start} : site;
  }
  return site;
}

bool Image::mergeable(uint32_t section) const {
  return kinds_[section] == SectionKind::strings || kinds_[section] == SectionKind::constants;
}

uint64_t Image::width_of_characters(uint32_t section) const {
  return std::max<uint64_t>(elf.sections[section].header.sh_entsize, 1);
}

std::span<const ImageRelocation> Image::relocations(uint32_t section, uint64_t begin, uint64_t end) const {
  const auto& list = relocations_[section];
  const auto below = [](const ImageRelocation& r, uint64_t at) { return r.offset < at; };
  const auto first = std::lower_bound(list.begin(), list.end(), begin, below);
  return {first, std::lower_bound(first, list.end(), end, below)};
}

std::optional<KlpPlace> Image::target(const ImageRelocation& r) const {
  return elf.place_of(r.symbol, r.addend + r.behind);
}

Atom Image::atom_at(KlpPlace place, uint32_t symbol) const {
  const uint32_t section = place.section;
  const uint64_t size = this->size(section);
  const bool named = symbol != 0 && elf.symbols[symbol].type() != STT_SECTION && !mergeable(section);
  const uint64_t at = named ? elf.symbols[symbol].entry.st_value
                            : std::min<uint64_t>(static_cast<int64_t>(place.offset) < 0 ? 0 : place.offset, size);
  if (kinds_[section] == SectionKind::strings) {
    const std::span<const std::byte> bytes = elf.sections[section].bytes;
    const uint64_t width = width_of_characters(section);
    const uint64_t begin = string_begin(bytes, std::min<uint64_t>(at, bytes.size()), width);
    return {section, begin, std::min<uint64_t>(begin + string_length(bytes, begin, width) + width, bytes.size())};
  }
  if (kinds_[section] == SectionKind::constants) {
    const uint64_t step = std::max<uint64_t>(elf.sections[section].header.sh_entsize, 1);
    return {section, at / step * step, std::min(at / step * step + step, size)};
  }
  if (kinds_[section] == SectionKind::out_of_line_code ||
      (kinds_[section] == SectionKind::table && !boundaries_[section].empty())) {
    const auto& list = boundaries_[section];
    const auto next = std::upper_bound(list.begin(), list.end(), at);
    return {section, next == list.begin() ? 0 : *(next - 1), next == list.end() ? size : *next};
  }
  Atom gap{section, 0, size};
  for (uint32_t id : symbols_[section]) {
    const GElf_Sym& s = elf.symbols[id].entry;
    const uint8_t type = elf.symbols[id].type();
    if (s.st_size == 0 || (type != STT_FUNC && type != STT_OBJECT) || elf.symbols[id].name.starts_with("__pfx_"))
      continue;
    const uint64_t end = std::min(s.st_value + s.st_size, size);
    if (at >= s.st_value && at < end) return {section, s.st_value, end, id};
    if (end <= at) gap.begin = std::max(gap.begin, end);
    if (s.st_value > at) gap.end = std::min<uint64_t>(gap.end, s.st_value);
  }
  return gap;
}

std::optional<Atom> Image::atom_before(KlpPlace place) const {
  std::vector<Atom> objects, ending;
  for (const uint32_t id : symbols_[place.section]) {
    const GElf_Sym& s = elf.symbols[id].entry;
    if (elf.symbols[id].type() != STT_OBJECT) continue;
    objects.push_back({place.section, s.st_value, s.st_value + s.st_size, id});
    if (objects.back().end == place.offset) ending.push_back(objects.back());
  }
  if (!ending.empty()) return ending.size() == 1 ? std::optional(ending[0]) : std::nullopt;
  // A loop over members counts to the end and a member's offset: in a section of its own there is nothing else to mean.
  const bool behind = objects.size() == 1 && place.offset > objects[0].end && static_cast<int64_t>(place.offset) > 0;
  return behind ? std::optional(objects[0]) : std::nullopt;
}

std::vector<uint32_t> Image::symbols_at(KlpPlace place) const {
  std::vector<uint32_t> found;
  const auto& list = symbols_[place.section];
  auto it = std::lower_bound(list.begin(), list.end(), place.offset,
                             [&](uint32_t id, uint64_t at) { return elf.symbols[id].entry.st_value < at; });
  for (; it != list.end() && elf.symbols[*it].entry.st_value == place.offset; ++it) found.push_back(*it);
  return found;
}

std::vector<ImageEntry> Image::entries(uint32_t section, uint64_t begin, uint64_t end) const {
  const auto below = [](const ImageEntry& e, const KlpPlace& at) { return e.code < at; };
  const auto first = std::lower_bound(entries_.begin(), entries_.end(), KlpPlace{section, begin}, below);
  const auto last = std::lower_bound(first, entries_.end(), KlpPlace{section, end}, below);
  std::vector<ImageEntry> found(first, last);
  std::stable_sort(found.begin(), found.end(), [&](const auto& a, const auto& b) {
    return elf.sections[a.table].name < elf.sections[b.table].name;
  });
  return found;
}

std::string_view Image::file_of(uint32_t symbol) const {
  return files_[symbol] == 0 ? std::string_view{} : std::string_view(elf.symbols[files_[symbol]].name);
}

std::string Image::name_of(const Atom& atom) const {
  return atom.symbol != 0 ? elf.symbols[atom.symbol].name : elf.describe({atom.section, atom.begin});
}

std::string_view Image::bytes(const Atom& atom) const {
  const auto& bytes = elf.sections[atom.section].bytes;
  const uint64_t begin = std::min<uint64_t>(atom.begin, bytes.size());
  return {reinterpret_cast<const char*>(bytes.data()) + begin, std::min<uint64_t>(atom.end, bytes.size()) - begin};
}

}  // namespace kpatch
