// AArch64 (ELF for the Arm 64-bit Architecture; arch/arm64/kernel/module.c, patching.c).
//
//   0: nop                      with CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS two NOPs before the function
//   4: nop
//   8: <show>: bti c            an entry of __patchable_function_entries refers to .text.show + 0, the first NOP
//   c: nop
//  10: nop
//  14: adrp x1, saved_command_line         R_AARCH64_ADR_PREL_PG_HI21
//  18: ldr  x1, [x1]                       R_AARCH64_LDST64_ABS_LO12_NC
//  1c: bl   seq_puts                       R_AARCH64_CALL26
//
// Relocations say all about their target in symbol and addend, and fields hold zero. A page address (ADRP) and the low
// bits that go with it are two relocations against one symbol: both count as taking its address. Alternative code lies
// in the function's own section (.subsection 1), so that it travels with it.

#include <elf.h>

#include <array>

#include "arch/arch.h"

namespace kpatch {
namespace {

constexpr auto tables = std::to_array<TableFacts>({
    {.section = "__bug_table", .struct_name = "bug_entry", .line_offset = 8, .line_size = 2, .max_references = 3},
    {.section = "__ex_table", .struct_name = "exception_table_entry", .max_references = 2},
    {.section = "__jump_table", .struct_name = "jump_entry", .max_references = 3},
    {.section = ".altinstructions", .struct_name = "alt_instr", .max_references = 2, .length_offset = last_of_twelve},
    {.section = ".printk_index", .fixed_size = 8},
    {.section = "__patchable_function_entries", .fixed_size = 8, .compared = false},
});

constexpr auto ftrace_tables = std::to_array<std::string_view>({"__mcount_loc", "__patchable_function_entries"});
// Behind BTI and the saved link register; with CALL_OPS the first of the two NOPs before the function.
constexpr auto ftrace_sites = std::to_array<SiteRange>({{0, 8}, {-8, -8}});

constexpr uint32_t R_AARCH64_PLT32_TYPE = 314;  // newer than Debian 12's elf.h

void find_targets(const CodeSection&, std::span<Relocation> relocations) {
  for (Relocation& r : relocations) r.target_offset = r.addend;
}

Use use_of(const CodeSection&, const Relocation& r) {
  switch (r.type) {
    case R_AARCH64_CALL26:
    case R_AARCH64_JUMP26:
    case R_AARCH64_CONDBR19:
    case R_AARCH64_TSTBR14:
      return Use::call;
    default:
      return Use::address;
  }
}

// What apply_relocate_add() of the kernel knows.
bool known_relocation(uint32_t type) {
  switch (type) {
    case R_AARCH64_NONE:
    case R_AARCH64_ABS64:
    case R_AARCH64_ABS32:
    case R_AARCH64_ABS16:
    case R_AARCH64_PREL64:
    case R_AARCH64_PREL32:
    case R_AARCH64_PREL16:
    case R_AARCH64_PLT32_TYPE:
    case R_AARCH64_LD_PREL_LO19:
    case R_AARCH64_ADR_PREL_LO21:
    case R_AARCH64_ADR_PREL_PG_HI21:
    case R_AARCH64_ADR_PREL_PG_HI21_NC:
    case R_AARCH64_ADD_ABS_LO12_NC:
    case R_AARCH64_LDST8_ABS_LO12_NC:
    case R_AARCH64_LDST16_ABS_LO12_NC:
    case R_AARCH64_LDST32_ABS_LO12_NC:
    case R_AARCH64_LDST64_ABS_LO12_NC:
    case R_AARCH64_LDST128_ABS_LO12_NC:
    case R_AARCH64_TSTBR14:
    case R_AARCH64_CONDBR19:
    case R_AARCH64_JUMP26:
    case R_AARCH64_CALL26:
      return true;
    default:
      return type >= R_AARCH64_MOVW_UABS_G0 && type <= R_AARCH64_MOVW_SABS_G2;
  }
}

// movz wN, #imm16; w1 and w2 hold the second and third argument.
bool find_number(uint32_t orig, uint32_t patched, NumberChange& change) {
  constexpr uint32_t but_immediate = 0xffe0001f;
  const uint32_t kind = orig & but_immediate;
  if (kind != (patched & but_immediate) || (kind & ~31U) != 0x52800000) return false;
  change.orig = orig >> 5 & 0xffff;
  change.patched = patched >> 5 & 0xffff;
  change.second_or_third = (kind & 31) == 1 || (kind & 31) == 2;
  return true;
}

bool numbers_only(std::span<const std::byte> orig, std::span<const std::byte> patched,
                  const std::function<bool(const NumberChange&)>& is_line) {
  return numbers_only_in_words(orig, patched, is_line, find_number);
}

std::optional<int64_t> branch_distance(uint32_t instruction) {
  if ((instruction & 0x7c000000) == 0x14000000) return sign_extend(instruction, 26) * 4;  // b, bl
  if ((instruction & 0xff000000) == 0x54000000 || (instruction & 0x7e000000) == 0x34000000)
    return sign_extend(instruction >> 5, 19) * 4;  // b.cond, bc.cond; cbz, cbnz
  if ((instruction & 0x7e000000) == 0x36000000) return sign_extend(instruction >> 5, 14) * 4;  // tbz, tbnz
  return std::nullopt;
}

bool escapes(std::span<const std::byte> code, uint64_t begin, uint64_t end) {
  return escapes_in_words(code, begin, end, branch_distance);
}

}  // namespace

const Arch arch_arm64{
    .elf = {.machine = EM_AARCH64,
            .name = "arm64",
            .absolute_64 = R_AARCH64_ABS64,
            .known_relocation = known_relocation},
    .code = {.max_function_offset = 8 + 4,  // two NOPs (CALL_OPS), the type hash of kCFI
             .find_targets = find_targets,
             .use_of = use_of,
             .numbers_only = numbers_only,
             .instruction_at = word_at,
             .escapes = escapes},
    .ftrace = {.tables = ftrace_tables, .sites = ftrace_sites},
    .tables = tables,
    .klp = {},
    .kbuild = {.folder = "arm64", .image = "arch/arm64/boot/Image"},
    .distro = {.debian = "arm64", .rpm = "aarch64"},
};

}  // namespace kpatch
