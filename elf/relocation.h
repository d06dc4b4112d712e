// Relocations as they are read: by the ids of sections and symbols.
#pragma once

#include <cstdint>

namespace kpatch {

enum class SectionId : uint32_t {};
enum class SymbolId : uint32_t {};
inline constexpr SectionId no_section{0};
inline constexpr SymbolId no_symbol{0};
constexpr uint32_t index(SectionId id) { return static_cast<uint32_t>(id); }
constexpr uint32_t index(SymbolId id) { return static_cast<uint32_t>(id); }

struct Relocation {
  uint64_t offset = 0;  // of the field, in its section
  uint32_t type = 0;    // the architecture's number
  SymbolId symbol = no_symbol;
  int64_t addend = 0;
  // What the field refers to, as an offset from the symbol: the addend, corrected by the distance between the field
  // and the place that the processor counts from (x86: the end of the instruction).
  int64_t target_offset = 0;
};

}  // namespace kpatch
