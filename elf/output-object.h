// The diff object before it is written: sections, symbols and relocations by index into plain vectors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace kpatch {

inline constexpr uint32_t undefined_section = UINT32_MAX;
inline constexpr uint32_t null_symbol = UINT32_MAX;  // of a relocation that needs no symbol

struct OutputRelocation {
  uint64_t offset = 0;
  uint32_t type = 0;
  uint32_t symbol = 0;  // index into OutputObject::symbols
  int64_t addend = 0;
};

struct OutputSection {
  std::string name{};
  uint32_t type = 0;
  uint64_t flags = 0;
  uint64_t entry_size = 0;
  uint64_t alignment = 1;
  uint64_t size = 0;
  uint32_t linked_to = undefined_section;  // SHF_LINK_ORDER: the section that this one tells of
  std::vector<std::byte> contents{};       // empty for SHT_NOBITS
  std::vector<OutputRelocation> relocations{};
};

struct OutputSymbol {
  std::string name{};
  uint32_t section = undefined_section;
  uint64_t value = 0;
  uint64_t size = 0;
  unsigned char info = 0;   // st_info
  unsigned char other = 0;  // st_other
};

struct OutputObject {
  uint16_t machine = 0;  // EM_*
  bool big_endian = false;
  uint32_t flags = 0;
  std::vector<OutputSection> sections;
  std::vector<OutputSymbol> symbols;

  uint32_t add_section(OutputSection section);
  uint32_t add_symbol(OutputSymbol symbol);
  void append_u64(OutputSection& section, uint64_t value) const;
};

// Writes the object as ET_REL, symbols sorted NULL, FILE, local, global. The file appears whole or not at all.
// Throws Error when it can't be written.
void write_elf(const OutputObject& object, const std::filesystem::path& path);

}  // namespace kpatch
