// A relocatable object file in memory: sections, symbols and relocations, read once and never changed.
//
// Ids are the ELF indices: SectionId{0} is SHN_UNDEF, SymbolId{0} the NULL symbol. They sort and print the same in
// every run. Names are views into the file's string tables, contents are views on the file.
#pragma once

#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "arch/arch.h"
#include "create-diff-object/names.h"
#include "elf/elf.h"

namespace kpatch {

struct Section {
  std::string_view name;
  SectionKind kind = SectionKind::unknown;
  uint32_t type = 0;
  uint64_t flags = 0;
  uint64_t entry_size = 0;
  uint64_t alignment = 1;
  uint64_t size = 0;
  uint32_t link = 0;
  uint32_t info = 0;
  std::span<const std::byte> contents;      // empty for SHT_NOBITS
  std::span<const Relocation> relocations;  // by offset; order in the file where offsets are equal
  SymbolId section_symbol = no_symbol;
  SymbolId owner = no_symbol;         // the symbol that the whole section belongs to, see find_owner()
  std::span<const SymbolId> symbols;  // named symbols defined in it, by value; no section symbol
  // For each of them: how many come up to the last that can cover a place behind its start.
  std::span<const uint32_t> sized;

  CodeSection code() const { return {contents, (flags & SHF_EXECINSTR) != 0}; }
};

struct Symbol {
  std::string_view name;
  uint64_t value = 0;
  uint64_t size = 0;
  uint64_t prefix = 0;  // bytes before `value` that its ftrace site needs (arm64, CALL_OPS: two NOPs)
  SymbolType type = SymbolType::none;
  SymbolBinding binding = SymbolBinding::local;
  uint8_t other = 0;               // st_other: visibility, ppc64le local entry
  SectionId section = no_section;  // no_section also for absolute and common symbols
  bool absolute = false;
  bool common = false;
  uint32_t file = 0;  // how many FILE symbols stand before it; 0 for globals

  bool defined() const { return section != no_section || absolute || common; }
  bool global() const { return binding != SymbolBinding::local; }
  bool function() const { return type == SymbolType::function; }
};

// Whether it names a place: no label of the compiler's or the assembler's, nor what only marks the bytes before a function.
inline bool names_a_place(const Symbol& s) {
  return s.section != no_section && s.type != SymbolType::section && !s.name.empty() && !is_local_label(s.name) &&
         !is_prefix_symbol(s.name);
}

// What a relocation refers to once section symbols are looked through.
struct Target {
  SymbolId symbol = no_symbol;     // the named symbol that covers the place, if any
  SectionId section = no_section;  // where it lies; no_section when undefined
  int64_t offset = 0;              // from the symbol; from the section's start when there is no symbol
  bool is_string = false;          // in a mergeable string section
  std::string_view string;         // then: from there to its NUL; of wide characters the bytes
};

class Object {
 public:
  // Reads a relocatable ELF64 object. Throws Error naming the file when it is not one, is truncated or inconsistent.
  static Object read(const std::filesystem::path& path);
  // The same from memory (fuzzing, tests); `name` is used in messages.
  static Object read(std::span<const std::byte> image, std::string name);
  // An object without any section, of the machine of `like`: what a file that is new in the patch is compared with.
  static Object empty(const Object& like);

  Object(Object&&) noexcept = default;  // sections are views into the object's own lists: moved, never copied
  Object& operator=(Object&&) noexcept = default;

  const std::string& path() const { return path_; }
  // The whole file; empty when there is none.
  std::span<const std::byte> image() const { return image_; }
  const Arch& arch() const { return *arch_; }
  uint32_t flags() const { return flags_; }
  bool big_endian() const { return big_endian_; }

  std::span<const Section> sections() const { return sections_; }
  std::span<const Symbol> symbols() const { return symbols_; }
  const Section& section(SectionId id) const { return sections_[index(id)]; }
  const Symbol& symbol(SymbolId id) const { return symbols_[index(id)]; }
  std::string_view file_name(uint32_t file) const { return file == 0 ? std::string_view{} : files_[file - 1]; }

  Target target(const Relocation& relocation) const;
  // The same, but a slot of .toc is looked through: what its relocation refers to.
  Target meaning(const Relocation& relocation) const;
  // The named symbol whose bytes cover `offset`, or no_symbol.
  SymbolId symbol_at(SectionId section, uint64_t offset) const;
  // Reads an unsigned integer of 1, 2, 4 or 8 bytes in the object's byte order.
  uint64_t number(std::span<const std::byte> bytes) const;

  // Where the symbol's bytes lie in its section, with what belongs to them: the whole section for its owner.
  struct Extent {
    uint64_t begin = 0, end = 0;
  };
  Extent extent(SymbolId id) const;
  // The relocations of a section in [begin, end).
  std::span<const Relocation> relocations(SectionId section, uint64_t begin, uint64_t end) const;

 private:
  friend class ObjectReader;
  Object() = default;
  std::string path_;
  std::shared_ptr<const void> file_;  // keeps the image, which names and contents are views of
  std::span<const std::byte> image_;
  const Arch* arch_ = nullptr;
  uint32_t flags_ = 0;
  bool big_endian_ = false;
  std::vector<Section> sections_;
  std::vector<Symbol> symbols_;
  std::vector<std::string_view> files_;
  // Of all sections, one after another.
  std::vector<Relocation> relocations_;
  std::vector<SymbolId> symbols_of_sections_;
  std::vector<uint32_t> sized_;
};

}  // namespace kpatch
