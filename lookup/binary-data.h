// What a Binary holds, and the readers that fill it. For the lookup library alone; others see
// lookup/binary.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "elf/elf.h"
#include "lookup/binary.h"

namespace kpatch {

// What DWARF tells of a file as a whole.
struct UnitFacts {
  std::string arena;                    // where the names lie
  std::vector<std::string_view> names;  // sorted
  std::string producer;
};

struct BinaryData {
  FileBytes file;  // the names below point into it
  std::filesystem::path path;
  bool is_elf = false;  // else text or an index: no contents, no DWARF
  bool big_endian = false;
  uint16_t machine = 0;
  bool relocatable = false;
  std::vector<BinarySymbol> symbols;
  std::vector<FileGroup> files;
  std::vector<BinarySection> sections;  // by ELF index; an index file has only the names
  std::vector<uint32_t> by_name_storage;
  std::span<const uint32_t> by_name;  // counted symbols sorted by name, equal names as the kernel counts them
  uint64_t ro_after_init_start = 0;
  uint64_t ro_after_init_end = 0;
  std::string_view banner;
  std::string build_id;
  // Filled when first asked for in an ELF file, at once from an index.
  std::optional<UnitFacts> units;
  std::vector<std::pair<std::string, std::optional<uint64_t>>> struct_sizes;
};

// The readers fill everything but by_name and throw Error.
void read_elf(BinaryData& data);
std::vector<BinaryRelocation> read_relocations(const BinaryData& data, uint32_t section);
void read_symbol_text(BinaryData& data);
void read_index(BinaryData& data);
void write_index(const BinaryData& data, std::span<const std::pair<std::string_view, uint64_t>> struct_sizes,
                 const UnitFacts& units, const std::filesystem::path& path);

// True for text that begins like the output of readelf -s; true for bytes that begin like an index.
bool looks_like_symbol_text(std::span<const std::byte> bytes);
bool looks_like_index(std::span<const std::byte> bytes);

// Sets has_ftrace_site, has_landing_pad and landing_pad_sealed of the symbols of an ELF file (elf-facts.cc).
void set_code_facts(BinaryData& data, std::span<const BinaryRelocation> relocations);

// Sections whose relocations set_code_facts needs.
bool has_code_facts(const BinaryData& data, std::string_view section);

// True when kallsyms of a kernel leaves out this defined symbol of vmlinux (kallsyms.cc).
bool missing_from_kallsyms(const BinarySymbol& symbol, uint64_t section_flags);

// Fills by_name from symbols.
void sort_by_name(BinaryData& data);

// Size of a named struct in BTF (a .BTF section's bytes); nothing when there is none or the BTF is damaged.
std::optional<uint64_t> btf_struct_size(std::span<const std::byte> btf, std::string_view name);

// The same and the facts on units from an ELF file's DWARF. `elf` is the whole file.
std::optional<uint64_t> dwarf_struct_size(const BinaryData& data, std::string_view name);
UnitFacts dwarf_units(const BinaryData& data);

}  // namespace kpatch
