// Instructions for a reader, where libcapstone writes them: all architectures that it knows but x86-64
// (x86-64-listing.cc).
//
//   03 00 00 94   R_AARCH64_CALL26           seq_puts            bl seq_puts
//   01 00 00 90   R_AARCH64_ADR_PREL_PG_HI21 saved_command_line  adrp x1, saved_command_line
//   21 00 40 f9   R_AARCH64_LDST64_ABS_LO12  saved_command_line  ldr x1, [x1, :lo12:saved_command_line]
//
// The library is optional. Without it the records have no CodeFacts::list, and say why in no_list.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "arch/arch.h"

namespace kpatch {

// What the library is opened for.
enum class CapstoneDialect : uint8_t { arm64, ppc64le, s390x };

// What the architecture knows of an instruction before it is written.
struct ListedShape {
  uint64_t length = 0;                   // bytes
  std::optional<std::string> meaning{};  // of the field that a relocation fills in it
  std::optional<uint64_t> branch{};      // the place in the section that it names itself, by a distance
};

// The instruction at `at` of the code. What the library doesn't know is written as a number: ".inst 0x…". Nothing where
// the code ends within it. The texts have no address of their own place.
std::optional<ListedInstruction> list_by_capstone(CapstoneDialect dialect, std::span<const std::byte> code, uint64_t at,
                                                  const ListedShape& shape);

// CodeFacts::list and no_list of a record: its function where the library is there, else the reason.
using ListFunction = decltype(CodeFacts::list);
#if KPATCH_CAPSTONE
constexpr ListFunction with_capstone(ListFunction list) { return list; }
inline constexpr std::string_view no_capstone{};
#else
constexpr ListFunction with_capstone(ListFunction) { return nullptr; }
inline constexpr std::string_view no_capstone =
    "kpatch-build was built without libcapstone, which writes its instructions";
#endif

}  // namespace kpatch
