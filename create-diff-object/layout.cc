// Special sections, as the assembler left them:
//
//   __bug_table, entries of 12 bytes                     .altinstr_replacement
//     0: .text.f + 0x1a   .rodata.str1.1 + 0x0   line      0: e8 … call clear_page_erms    ← .altinstructions entry 0
//    12: .text.g + 0x30   .rodata.str1.1 + 0x0   line      5: e8 … call clear_page_orig    ← entry 1
//
// The entry size comes from the kernel's DWARF or BTF and is checked against the distance between the entries; it is
// never guessed. Where a table has one relocation an entry (.discard.*), that distance is the entry size.

#include "create-diff-object/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "arch/arch.h"

namespace kpatch {
namespace {

using Place = std::pair<SectionId, uint64_t>;  // in code

Place place(const TableEntry& entry) { return {entry.code_section, entry.code_offset}; }

bool is_split(const Section& section) { return section.kind == SectionKind::out_of_line_code; }

// Whether every run of `size` bytes has relocations of the same types at the same places. The last entry may lack its
// padding. Two entries taken for one have more references than their struct has pointers (`most`, 0 when not known).
bool is_entry_size(const Section& section, uint64_t size, uint32_t most = 0) {
  const std::span<const Relocation> list = section.relocations;
  size_t count = 0;     // of the first entry
  uint32_t places = 0;  // a difference takes two relocations at one place
  for (; count < list.size() && list[count].offset < size; ++count)
    if (count == 0 || list[count].offset != list[count - 1].offset) ++places;
  if (most != 0 && places > most) return false;
  if (count == 0 || list.size() % count != 0 || (section.size + size - 1) / size != list.size() / count) return false;
  for (size_t i = count; i < list.size(); ++i)
    if (list[i].offset != list[i - count].offset + size || list[i].type != list[i - count].type) return false;
  return true;
}

// The distance between entries, where the relocations tell it: the smallest period that all of them follow.
std::optional<uint64_t> stride(const Section& section) {
  const std::span<const Relocation> list = section.relocations;
  if (list.empty() || list.front().offset != 0) return std::nullopt;
  for (size_t i = 1; i < list.size(); ++i) {
    // The first entry has the references before this one; few of these numbers divide that of all.
    const bool begins = list[i].offset != list[i - 1].offset && list.size() % i == 0;
    if (begins && is_entry_size(section, list[i].offset)) return list[i].offset;
  }
  return section.size;
}

}  // namespace

Layout::Layout(const Object& object, const StructSizes& sizes, Diagnostics& diagnostics) : object_(object) {
  for (uint32_t i = 1; i < object.sections().size(); ++i) {
    const Section& section = object.sections()[i];
    if (section.size == 0) continue;
    if (section.kind == SectionKind::table || section.kind == SectionKind::objtool_notes ||
        section.kind == SectionKind::runtime_const)
      add_table(object, SectionId{i}, sizes, diagnostics);
  }
  std::stable_sort(entries_.begin(), entries_.end(),
                   [](const TableEntry& a, const TableEntry& b) { return place(a) < place(b); });
  by_table_.resize(entries_.size());
  std::iota(by_table_.begin(), by_table_.end(), 0U);
  std::sort(by_table_.begin(), by_table_.end(), [this](uint32_t a, uint32_t b) {
    return std::pair(entries_[a].table, entries_[a].begin) < std::pair(entries_[b].table, entries_[b].begin);
  });
  find_pieces(object);
}

void Layout::add_table(const Object& object, SectionId id, const StructSizes& sizes, Diagnostics& diagnostics) {
  const Section& section = object.section(id);
  const TableFacts* facts = object.arch().table(section.name);
  std::optional<uint64_t> size;
  if (facts != nullptr && facts->fixed_size != 0) size = facts->fixed_size;
  const std::string_view name = facts != nullptr ? facts->struct_name : std::string_view{};
  if (!name.empty()) size = sizes(name);
  const Location place{.section = std::string{section.name}};
  auto refuse = [&](std::string message, std::string advice = {}) {
    diagnostics.refuse("special-section", place, std::move(message), std::move(advice));
  };
  if (!size && !name.empty())
    return refuse("the size of its entries is unknown", fmt::format("give --struct-size {}=BYTES", name));
  const std::optional<uint64_t> seen = stride(section);
  const uint32_t most = facts != nullptr ? facts->max_references : 0;
  if (size && *size != 0 && !is_entry_size(section, *size, most) && seen) {
    // The struct of another kernel: believe the table, where it has entries to show. One alone says so only by holding
    // no more references than the struct has pointers.
    const bool evident = section.size % *seen == 0 && is_entry_size(section, *seen, most) &&
                         (*seen != section.size || (most != 0 && section.size % *size != 0));
    if (evident && !name.empty())
      diagnostics.note("special-section", place,
                       fmt::format("has entries of {} bytes, while {} is said to have {}", *seen, name, *size));
    if (evident) size = seen;
  }
  if (!size) size = seen;
  if (!size || *size == 0) return refuse("the size of its entries can't be told");
  if (section.size % *size != 0 && !is_entry_size(section, *size))
    return refuse(fmt::format("its size {} is no multiple of its entry size {}", section.size, *size));
  for (uint64_t at = 0; at < section.size; at += *size) {
    const uint64_t end = std::min(at + *size, section.size);
    const auto relocations = object.relocations(id, at, end);
    if (relocations.empty()) {
      // An entry that is all zero ends some tables (a terminator) and refers to nothing.
      continue;
    }
    const uint32_t length = facts != nullptr && facts->length_offset != nullptr ? facts->length_offset(*size) : 0;
    if (length != 0 && at + length < section.contents.size() && section.contents[at + length] == std::byte{0} &&
        relocations.size() == 2 && is_split(object.section(object.target(relocations[1]).section)))
      nowhere_.insert({id, relocations[1].offset});
    const Target target = object.target(relocations.front());
    if (target.section == no_section) continue;  // refers to another object: no code of ours
    const uint64_t base = target.symbol == no_symbol ? 0 : object.symbol(target.symbol).value;
    entries_.push_back({.table = id,
                        .begin = at,
                        .end = end,
                        .code_section = target.section,
                        .code_offset = base + static_cast<uint64_t>(target.offset)});
  }
}

void Layout::find_pieces(const Object& object) {
  for (const Section& section : object.sections()) {
    for (const Relocation& relocation : section.relocations) {
      const Symbol& symbol = object.symbol(relocation.symbol);
      if (symbol.section == no_section || !is_split(object.section(symbol.section))) continue;
      boundaries_[symbol.section].push_back(symbol.value + static_cast<uint64_t>(relocation.target_offset));
    }
  }
  for (auto& [section, list] : boundaries_) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
  }
}

std::span<const TableEntry> Layout::entries(SectionId code_section, uint64_t begin, uint64_t end) const {
  auto below = [](const TableEntry& entry, const Place& at) { return place(entry) < at; };
  const auto first = std::lower_bound(entries_.begin(), entries_.end(), Place{code_section, begin}, below);
  const auto last = std::lower_bound(first, entries_.end(), Place{code_section, end}, below);
  return {first, last};
}

const TableEntry* Layout::entry_at(SectionId table, uint64_t offset) const {
  const auto behind =
      std::upper_bound(by_table_.begin(), by_table_.end(), Place{table, offset}, [this](Place at, uint32_t i) {
        return at < Place{entries_[i].table, entries_[i].begin};
      });
  if (behind == by_table_.begin()) return nullptr;
  const TableEntry& entry = entries_[*std::prev(behind)];
  return entry.table == table && offset < entry.end ? &entry : nullptr;
}

Object::Extent Layout::piece(SectionId section, uint64_t offset) const {
  const uint64_t size = object_.section(section).size;
  if (object_.section(section).kind == SectionKind::toc) {
    const uint64_t begin = std::min(offset - offset % 8, size);
    return {begin, std::min(begin + 8, size)};
  }
  const auto found = boundaries_.find(section);
  if (found == boundaries_.end()) return {0, size};
  const std::vector<uint64_t>& list = found->second;
  const auto next = std::upper_bound(list.begin(), list.end(), offset);
  const uint64_t begin = next == list.begin() ? 0 : *(next - 1);
  return {std::min(begin, size), next == list.end() ? size : std::min(*next, size)};
}

}  // namespace kpatch
