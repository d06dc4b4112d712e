// Who writes to code of an x86-64 kernel, and by which table (arch/x86/kernel/):
//
//   alternatives, paravirt, retpolines, returns     apply_*() of arch/x86/kernel/alternative.c
//   jump labels, static calls, ftrace's sites       at any time
//   endbr64 of what nobody takes the address of     apply_seal_endbr()
//   lock prefixes                                   alternatives_smp_unlock(), where there is one processor
//   calls                                           callthunks_patch_builtin_calls(): to the padding before the function
//   runtime constants                               runtime_const_init()
//
// The places are where the instruction begins, those of runtime constants where their bytes do.
#include <Zydis/Zydis.h>

#include <array>

#include "arch/running.h"

namespace kpatch {
namespace {

constexpr auto rewritten = std::to_array<RewrittenCode>({
    {.table = ".altinstructions",
     .kind = RewrittenCode::Length::told,
     .length = 10,
     .larger = 14,
     .length_of_larger = 12},
    {.table = ".parainstructions", .width = 8, .kind = RewrittenCode::Length::told, .length = 9},
    {.table = ".retpoline_sites"},
    {.table = ".return_sites"},
    {.table = ".call_sites", .calls = true},
    {.table = ".ibt_endbr_seal", .kind = RewrittenCode::Length::fixed, .length = 4},
    {.table = ".smp_locks", .kind = RewrittenCode::Length::fixed, .length = 1},
    {.table = "__jump_table", .start = "__start___jump_table", .stop = "__stop___jump_table"},
    {.table = ".static_call_sites", .start = "__start_static_call_sites", .stop = "__stop_static_call_sites"},
    {.table = "__mcount_loc",
     .start = "__start_mcount_loc",
     .stop = "__stop_mcount_loc",
     .entry_size = 8,
     .width = 8,
     .kind = RewrittenCode::Length::fixed,
     .length = 5},
    {.table = "runtime_ptr_", .prefix = true, .entry_size = 4, .kind = RewrittenCode::Length::fixed, .length = 8},
    {.table = "runtime_shift_", .prefix = true, .entry_size = 4, .kind = RewrittenCode::Length::fixed, .length = 1},
});

// KASLR moves the image as a whole: what is relative within it stays. Addresses in it are moved by as much
// (arch/x86/tools/relocs.c, R_X86_64_32S and R_X86_64_64), and distances to per-CPU variables, which are linked at 0, and
// to other absolute places the other way. An address less its map's start (__pa_symbol(), kaslr_offset()) is a small number
// that moves as well; such are where a compiler would have had a shorter instruction for a constant:
//
//     mov $0x0, %rsi           48 c7 c6 00 00 00 00              a constant would be xor, or mov $…, %esi
//     xor $0x0, %rbx           48 81 f3 00 00 00 00              a constant would have one byte
//     movabs $0x36d8000, %rax  48 b8 00 80 6d 03 00 00 00 00
//
// A number that only looks like an address is taken for one.
void moving_fields(std::span<const std::byte> code, uint64_t address, CodeRange image, std::vector<CodeRange>& fields) {
  // Operands reach a bit beyond what they are of: `table - 8(,%rax,8)`.
  const auto in_window = [](uint64_t value) { return value >= 0xffffffff80000000 && value < 0xffffffffc0000000; };
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  ZydisDecodedInstruction instruction;
  for (uint64_t at = 0; at < code.size(); at += instruction.length) {
    if (!ZYAN_SUCCESS(
            ZydisDecoderDecodeInstruction(&decoder, nullptr, code.data() + at, code.size() - at, &instruction))) {
      instruction.length = 1;  // bytes that are none are skipped one by one
      continue;
    }
    const uint64_t end = at + instruction.length;
    const bool longest = instruction.mnemonic == ZYDIS_MNEMONIC_MOV && instruction.operand_width == 64 &&
                         (instruction.opcode == 0xc7 || instruction.opcode >= 0xb8) &&
                         (instruction.opcode != 0xc7 || instruction.raw.modrm.mod == 3);
    const auto look_at = [&](uint64_t offset, unsigned bits, int64_t value, bool relative) {
      if (bits < 32 || offset == 0) return;
      const uint64_t wide =
          bits == 32 ? static_cast<uint64_t>(static_cast<int32_t>(value)) : static_cast<uint64_t>(value);
      const uint64_t target = address + end + wide;
      const bool fits_a_byte = (instruction.opcode == 0x81 || (instruction.opcode & 0xc7) == 0x05) && wide < 0x80;
      const bool offset_in_map = (longest && wide < 0x40000000) || fits_a_byte;
      const bool moves = relative ? target < image.begin || target >= image.end : in_window(wide) || offset_in_map;
      if (moves) fields.push_back({at + offset, at + offset + bits / 8});
    };
    const bool from_here = (instruction.attributes & ZYDIS_ATTRIB_IS_RELATIVE) != 0;
    look_at(instruction.raw.disp.offset, instruction.raw.disp.size, instruction.raw.disp.value, from_here);
    for (const auto& immediate : instruction.raw.imm)
      look_at(immediate.offset, immediate.size, immediate.value.s, immediate.is_relative != 0);
  }
}

}  // namespace

// Where CFI checks are made FineIBT's, the kernel writes before calls and functions too (cfi_rewrite_callers() and others),
// which no table lists by themselves.
const RunningFacts running_x86_64{
    .rewritten = rewritten, .not_with = ".cfi_sites", .most_before = 16, .moving_fields = moving_fields};

const RunningFacts* find_running_facts(uint16_t machine) {
  return machine == arch_x86_64.elf.machine ? &running_x86_64 : nullptr;
}

}  // namespace kpatch
