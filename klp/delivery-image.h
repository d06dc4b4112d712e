// What the parts of the delivery check share: a relocatable file as atoms, relocations and table entries. For
// delivery*.cc alone.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "arch/arch.h"
#include "elf/elf.h"
#include "lookup/lookup.h"

namespace kpatch {

struct ImageRelocation {
  uint64_t offset = 0;
  uint32_t type = 0;
  uint32_t symbol = 0;
  int64_t addend = 0;
  int64_t behind =
      0;  // bytes from symbol + addend to what is meant (x86: the processor counts from the next instruction)
  uint32_t list = 0;  // the section that it stands in
};

// What is copied as a whole or not at all: a function, a variable, a string, an entry of a table, a replacement.
struct Atom {
  uint32_t section = 0;
  uint64_t begin = 0, end = 0;
  uint32_t symbol = 0;  // 0: it has no name

  auto key() const { return std::pair(section, begin); }
};

// An entry of a special section, and the place that its first relocation names.
struct ImageEntry {
  KlpPlace code;
  uint32_t table = 0;
  uint64_t begin = 0, end = 0;
};

class Image {
 public:
  // vmlinux knows the sizes of table entries. Relocations that mean nothing (type 0) are left out.
  Image(KlpElf file, const Arch& arch, const Binary& vmlinux);

  const KlpElf elf;
  const Arch& arch;

  SectionKind kind(uint32_t section) const { return kinds_[section]; }
  bool code(uint32_t section) const { return (elf.sections[section].header.sh_flags & SHF_EXECINSTR) != 0; }
  bool writable(uint32_t section) const { return (elf.sections[section].header.sh_flags & SHF_WRITE) != 0; }
  uint64_t size(uint32_t section) const { return elf.sections[section].header.sh_size; }
  // What may be given twice, since nobody asks for its address: strings and constants.
  bool mergeable(uint32_t section) const;
  uint64_t width_of_characters(uint32_t section) const;

  // Of a range, by offset.
  std::span<const ImageRelocation> relocations(uint32_t section, uint64_t begin, uint64_t end) const;
  // What a relocation refers to; nothing when it is in no section of the file. Not checked against the section's size.
  std::optional<KlpPlace> target(const ImageRelocation& relocation) const;

  // The atom that a relocation refers to, or that holds a place: `symbol` is the one that named it, or 0.
  Atom atom_at(KlpPlace place, uint32_t symbol = 0) const;
  // The one variable that ends at a place which is in none: the end of an array, or a variable without a size; or that of
  // the section, where it is alone in it and the place lies further on.
  std::optional<Atom> atom_before(KlpPlace place) const;
  // Symbols that begin at a place: functions, variables, labels with a name.
  std::vector<uint32_t> symbols_at(KlpPlace place) const;

  // The entries of tables that tell of [begin, end) of a section, by table, place and order.
  std::vector<ImageEntry> entries(uint32_t section, uint64_t begin, uint64_t end) const;
  const std::vector<ImageEntry>& all_entries() const { return entries_; }

  // The FILE symbol before a local symbol, else empty.
  std::string_view file_of(uint32_t symbol) const;
  // "NAME", or "SECTION+0x10" where it has no name.
  std::string name_of(const Atom& atom) const;
  std::string_view bytes(const Atom& atom) const;  // fewer than its size in sections without bytes

 private:
  void read_relocations();
  void count_from_entries(std::vector<ImageRelocation>& list) const;
  void read_symbols();
  void read_entries(const Binary& vmlinux);
  KlpPlace function_behind(KlpPlace site) const;

  std::vector<SectionKind> kinds_;
  std::vector<std::vector<ImageRelocation>> relocations_;
  std::vector<std::vector<uint32_t>> symbols_;     // of a section, by value
  std::vector<std::vector<uint64_t>> boundaries_;  // where pieces of out-of-line code, and entries, begin
  std::vector<uint32_t> files_;                    // by symbol
  std::vector<ImageEntry> entries_;                // by place, then order in the table
};

// A name without the number that one compile gave it: "count.7" is "count", "foo.isra.0.cold" is "foo.isra.cold".
std::string without_numbers(std::string_view name);

}  // namespace kpatch
