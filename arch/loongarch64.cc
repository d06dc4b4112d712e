// LoongArch 64-bit (ELF psABI for LoongArch v2; arch/loongarch/kernel/module.c).
//
//   .text.show:  .LFB3827: .LPFE3827:      labels of the compiler are in the symbol table, because the linker may relax
//     nop                                  code; they stand for section and offset
//     nop
//     pcalau12i $t0, saved_command_line    R_LARCH_GOT_PC_HI20
//     bl        seq_puts                   R_LARCH_B26
//   .rodata:  .word .L4 - .L3              R_LARCH_ADD32 .L4, R_LARCH_SUB32 .L3: a difference takes two relocations
//
// A function is traced when __patchable_function_entries refers to it; objtool's ORC tables are made anew when the
// module is built.

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
constexpr auto ftrace_sites = std::to_array<SiteRange>({{0, 8}});

// Numbers of the psABI; Debian 12's elf.h ends at R_LARCH_SOP_POP_32_U.
enum : uint32_t {
  larch_none = 0,
  larch_32 = 1,
  larch_64 = 2,
  larch_mark_la = 20,
  larch_add8 = 47,
  larch_sub64 = 56,
  larch_b16 = 64,
  larch_b21 = 65,
  larch_b26 = 66,
  larch_abs_hi20 = 67,
  larch_abs64_hi12 = 70,
  larch_pcala_hi20 = 71,
  larch_pcala64_hi12 = 74,
  larch_got_pc_hi20 = 75,
  larch_got64_pc_hi12 = 78,
  larch_32_pcrel = 99,
  larch_relax = 100,
  larch_align = 102,
  larch_pcrel20_s2 = 103,
  larch_add6 = 105,
  larch_sub6 = 106,
  larch_64_pcrel = 109,
  larch_call36 = 110,
};

void find_targets(const CodeSection&, std::span<Relocation> relocations) {
  for (Relocation& r : relocations) r.target_offset = r.addend;
}

Use use_of(const CodeSection&, const Relocation& r) {
  return (r.type >= larch_b16 && r.type <= larch_b26) || r.type == larch_call36 ? Use::call : Use::address;
}

bool known_relocation(uint32_t type) {
  if (type >= larch_mark_la && type <= larch_sub64) return true;  // the stack machine, ADD and SUB
  if (type >= larch_b16 && type <= larch_got64_pc_hi12) return true;
  switch (type) {
    case larch_none:
    case larch_32:
    case larch_64:
    case larch_32_pcrel:
    case larch_relax:
    case larch_align:
    case larch_pcrel20_s2:
    case larch_add6:
    case larch_sub6:
    case larch_64_pcrel:
    case larch_call36:
      return true;
    default:
      return false;
  }
}

// ori or addi.w $rd, $zero, imm12; for greater numbers lu12i.w and ori on the same register: each half is a change of
// its own. $a1 and $a2 hold the second and third argument.
bool find_number(uint32_t orig, uint32_t patched, NumberChange& change) {
  constexpr uint32_t a1 = 5, a2 = 6;
  const uint32_t rd = orig & 31, rj = orig >> 5 & 31;
  change.second_or_third = rd == a1 || rd == a2;
  if (orig >> 25 == 0x14000000 >> 25) {
    change.orig = (orig >> 5 & 0xfffff) << 12;
    change.patched = (patched >> 5 & 0xfffff) << 12;
    return (orig & 0xfe00001f) == (patched & 0xfe00001f);
  }
  change.orig = orig >> 10 & 0xfff;
  change.patched = patched >> 10 & 0xfff;
  const uint32_t opcode = orig >> 22;
  const bool immediate = opcode == 0x03800000 >> 22 || opcode == 0x02800000 >> 22;
  return immediate && (rj == 0 || rj == rd) && (orig & 0xffc003ff) == (patched & 0xffc003ff);
}

bool numbers_only(std::span<const std::byte> orig, std::span<const std::byte> patched,
                  const std::function<bool(const NumberChange&)>& is_line) {
  return numbers_only_in_words(orig, patched, is_line, find_number);
}

std::optional<int64_t> branch_distance(uint32_t instruction) {
  const uint32_t opcode = instruction >> 26;
  if (opcode == 0x14 || opcode == 0x15)  // b, bl
    return sign_extend((instruction & 0x3ff) << 16 | (instruction >> 10 & 0xffff), 26) * 4;
  if (opcode >= 0x10 && opcode <= 0x12)  // beqz, bnez, bceqz, bcnez
    return sign_extend((instruction & 0x1f) << 16 | (instruction >> 10 & 0xffff), 21) * 4;
  if (opcode >= 0x16 && opcode <= 0x1b) return sign_extend(instruction >> 10, 16) * 4;  // beq … bgeu
  return std::nullopt;
}

bool escapes(std::span<const std::byte> code, uint64_t begin, uint64_t end) {
  return escapes_in_words(code, begin, end, branch_distance);
}

}  // namespace

const Arch arch_loongarch64{
    .elf = {.machine = EM_LOONGARCH,
            .name = "loongarch64",
            .absolute_64 = larch_64,
            .known_relocation = known_relocation},
    .code = {.find_targets = find_targets,
             .use_of = use_of,
             .numbers_only = numbers_only,
             .instruction_at = word_at,
             .escapes = escapes,
             .no_list = "libcapstone 4 doesn't know LoongArch"},
    .ftrace = {.tables = ftrace_tables, .sites = ftrace_sites},
    .tables = tables,
    .klp = {},
    .kbuild = {.folder = "loongarch", .option = "LOONGARCH", .cross = "loongarch64-linux-gnu-"},
    .distro = {.debian = "loong64", .rpm = "loongarch64"},
};

}  // namespace kpatch
