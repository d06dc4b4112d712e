// x86-64 (System V ABI, AMD64 supplement).
//
// Two things make x86 objects harder to read than others. A relocated field of a PC-relative operand counts from the
// end of its instruction, which may lie behind an immediate:
//
//   48 c7 05 00 00 00 00 01 00 00 00   movq $1, x(%rip)     R_X86_64_PC32  .bss.x - 8
//
// so that the addend alone (-8, not -4) doesn't say which byte of .bss.x is meant: instructions are decoded to know
// their ends. And calls of local functions are written against the section: `call f` is .text.f + 0xc with 16 bytes of
// padding before f. Fields in data (tables hold `.long f - .`) have no such distance.
//
// A function is traced when it calls __fentry__ (arch/x86/kernel/ftrace.c). __patchable_function_entries is padding for
// call thunks here and says nothing.
//
// objtool reads the linked code and leaves tables (ORC, return sites, retpolines, seals of landing pads) by which the
// kernel unwinds it and writes to it; and it writes to the code itself, so that a shipped function has NOPs where the
// compiler wrote a jump of a static branch or a call that is traced. What the proof and the audit must know of that
// stands at the end.

#include <Zydis/Zydis.h>
#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "arch/arch.h"
#include "arch/x86-64-flow.h"
#include "arch/x86-64-listing.h"
#include "arch/x86-64-loader.h"
#include "support/bytes.h"

namespace kpatch {
namespace {

// struct alt_instr (arch/x86/include/asm/alternative.h): 12 bytes, with padlen 13 (up to 5.12), with ft_flags 14.
uint32_t length_offset(uint64_t entry_size) {
  return entry_size == 14 ? 13 : entry_size == 12 || entry_size == 13 ? 11 : 0;
}

constexpr auto tables = std::to_array<TableFacts>({
    {.section = "__bug_table",
     .struct_name = "bug_entry",
     .line_offset = 8,
     .line_size = 2,
     .max_references = 3,
     .once_from_entry = true,
     .effect = Effect::none},
    // The handler is a third reference before 5.16.
    {.section = "__ex_table", .struct_name = "exception_table_entry", .max_references = 3, .effect = Effect::leads},
    {.section = "__jump_table", .struct_name = "jump_entry", .max_references = 3, .effect = Effect::leads},
    {.section = ".altinstructions", .struct_name = "alt_instr", .max_references = 2, .length_offset = length_offset},
    {.section = ".parainstructions", .struct_name = "paravirt_patch_site"},
    {.section = ".printk_index", .fixed_size = 8, .effect = Effect::none},
    {.section = "__mcount_loc", .fixed_size = 8, .compared = false, .effect = Effect::none},
    {.section = ".smp_locks", .fixed_size = 4, .effect = Effect::none},
});

constexpr auto ftrace_calls = std::to_array<std::string_view>({"__fentry__", "mcount"});

constexpr auto ftrace_tables = std::to_array<std::string_view>({"__mcount_loc"});
// At the start, or behind ENDBR64.
constexpr auto ftrace_sites = std::to_array<SiteRange>({{0, 0}, {4, 4}});

// Writing code that is read-only: since 5.17; before.
constexpr auto pokes_text = std::to_array<std::string_view>({"text_poke_copy", "text_poke"});

// Calls and branches that objtool makes others of, or lists (tools/objtool: retpolines, return thunks, ftrace sites).
constexpr auto objtool_symbols = std::to_array<std::string_view>({"__x86_indirect_", "__x86_return_", "__fentry__"});

bool pc_relative(uint32_t type) {
  return type == R_X86_64_PC32 || type == R_X86_64_PLT32 || type == R_X86_64_GOTPCREL || type == R_X86_64_GOTPCRELX ||
         type == R_X86_64_REX_GOTPCRELX || type == R_X86_64_PC8 || type == R_X86_64_PC16;
}

ZydisDecoder make_decoder() {
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  return decoder;
}

// Calls visit(offset, instruction) for each instruction of code[begin, end); bytes that are none are skipped one by
// one. visit returns false to stop.
template <typename Visit>
void each_instruction(std::span<const std::byte> code, uint64_t begin, uint64_t end, Visit visit) {
  const ZydisDecoder decoder = make_decoder();
  for (uint64_t at = begin; at < end;) {
    ZydisDecodedInstruction instruction;
    ZydisDecoderContext context;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, &context, code.data() + at, end - at, &instruction))) {
      ++at;
      continue;
    }
    if (!visit(at, instruction)) return;
    at += instruction.length;
  }
}

void find_targets(const CodeSection& section, std::span<Relocation> relocations) {
  for (Relocation& r : relocations) r.target_offset = r.addend;
  if (!section.executable) return;
  size_t next = 0;
  auto skip_done = [&](uint64_t below) {
    while (next < relocations.size() && relocations[next].offset < below) {
      if (pc_relative(relocations[next].type)) relocations[next].target_offset += 4;  // no instruction known
      ++next;
    }
  };
  // An instruction stream has to be followed from a known start: the section's first byte. The padding between
  // functions is made of NOPs, so that decoding stays in step; bytes that are no instruction are skipped.
  each_instruction(section.contents, 0, section.contents.size(),
                   [&](uint64_t at, const ZydisDecodedInstruction& instruction) {
                     const uint64_t end = at + instruction.length;
                     skip_done(at);
                     for (; next < relocations.size() && relocations[next].offset < end; ++next)
                       if (pc_relative(relocations[next].type))
                         relocations[next].target_offset += static_cast<int64_t>(end - relocations[next].offset);
                     return next < relocations.size();
                   });
  skip_done(UINT64_MAX);
}

std::span<const std::byte> trap_behind(std::span<const std::byte> code) {
  static constexpr std::array ud2 = {std::byte{0x0f}, std::byte{0x0b}};
  bool ends_in_call = false;
  each_instruction(code, 0, code.size(), [&](uint64_t at, const ZydisDecodedInstruction& instruction) {
    ends_in_call = instruction.meta.category == ZYDIS_CATEGORY_CALL && at + instruction.length == code.size();
    return true;
  });
  return ends_in_call ? ud2 : std::span<const std::byte>{};
}

Use use_of(const CodeSection& section, const Relocation& r) {
  if (!section.executable || !pc_relative(r.type) || r.offset == 0 || r.offset > section.contents.size())
    return Use::address;
  const auto byte = [&](uint64_t back) { return std::to_integer<unsigned>(section.contents[r.offset - back]); };
  if (byte(1) == 0xe8 || byte(1) == 0xe9) return Use::call;
  // jcc rel32; a RIP-relative operand's ModRM byte is never 0x80..0x8f with mod 00
  if (r.offset >= 2 && byte(2) == 0x0f && (byte(1) & 0xf0) == 0x80) return Use::call;
  return Use::address;
}

// The instruction that the relocation belongs to, where the relocation fills its displacement: `x(%rip)`, `x(,%rax,8)`.
std::optional<uint64_t> displaced_by(const CodeSection& section, uint64_t from, const Relocation& r,
                                     ZydisDecodedInstruction& found) {
  std::optional<uint64_t> place;
  each_instruction(
      section.contents, from, section.contents.size(), [&](uint64_t at, const ZydisDecodedInstruction& instruction) {
        if (at + instruction.length <= r.offset) return true;
        if (instruction.raw.disp.size != 0 && at <= r.offset && at + instruction.raw.disp.offset == r.offset) {
          found = instruction;
          place = at;
        }
        return false;
      });
  return place;
}

// `mov $x, %reg` and `lea x(%rip), %reg` take the address; `mov x(,%rax,8), %rdx` and `cmp $1, x(%rip)` don't.
bool takes_address(const CodeSection& section, uint64_t from, const Relocation& r) {
  ZydisDecodedInstruction instruction;
  return !displaced_by(section, from, r, instruction) || instruction.mnemonic == ZYDIS_MNEMONIC_LEA;
}

// `mov %eax, x(%rip)` and `incl x(%rip)` write to x; `cmp $1, x(%rip)` and `lea x(%rip), %reg` don't.
bool writes(const CodeSection& section, uint64_t from, const Relocation& r) {
  ZydisDecodedInstruction instruction;
  const std::optional<uint64_t> at = displaced_by(section, from, r, instruction);
  if (!at) return false;
  std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
  const ZydisDecoder decoder = make_decoder();
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, section.contents.data() + *at, instruction.length, &instruction,
                                           operands.data())))
    return false;
  // Only one operand of an instruction has a displacement; others in memory are the stack's and strings'.
  return std::any_of(operands.begin(), operands.begin() + instruction.operand_count, [](const auto& operand) {
    return operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT &&
           operand.mem.type == ZYDIS_MEMOP_TYPE_MEM && (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
  });
}

// arch/x86/kernel/module.c, __write_relocate_add (5.10 to 6.18).
std::optional<unsigned> field_size(uint32_t type) {
  switch (type) {
    case R_X86_64_NONE:
      return 0;
    case R_X86_64_64:
    case R_X86_64_PC64:
      return 8;
    case R_X86_64_32:
    case R_X86_64_32S:
    case R_X86_64_PC32:
    case R_X86_64_PLT32:
      return 4;
    default:
      return std::nullopt;
  }
}

// The kernel and its modules lie in the highest 2 GiB: a field that is extended by zeros can't hold their addresses.
constexpr auto too_narrow = std::to_array<uint32_t>({R_X86_64_32});

bool known_relocation(uint32_t type) { return field_size(type).has_value(); }

// mov $imm32 into a register or memory, push $imm: all of an immediate, and nothing but it, differs. %esi and %edx hold
// the second and third argument.
bool find_number(std::span<const std::byte> orig, std::span<const std::byte> patched,
                 const ZydisDecodedInstruction& instruction, NumberChange& change) {
  const auto& immediate = instruction.raw.imm[0];
  if (instruction.mnemonic != ZYDIS_MNEMONIC_MOV && instruction.mnemonic != ZYDIS_MNEMONIC_PUSH) return false;
  if (immediate.size == 0 || immediate.is_relative || instruction.raw.imm[1].size != 0) return false;
  const uint64_t at = change.at + immediate.offset, size = immediate.size / 8;
  if (at + size != change.next ||
      std::memcmp(orig.data() + change.at, patched.data() + change.at, immediate.offset) != 0)
    return false;
  const auto number = [&](std::span<const std::byte> code) {
    uint64_t value = 0;
    std::memcpy(&value, code.data() + at, size);
    return sign_extend(value, immediate.size);
  };
  change.orig = number(orig);
  change.patched = number(patched);
  const unsigned opcode = std::to_integer<unsigned>(orig[change.at]);
  change.second_or_third = instruction.length == 5 && (opcode == 0xbe || opcode == 0xba);
  return true;
}

bool numbers_only(std::span<const std::byte> orig, std::span<const std::byte> patched,
                  const std::function<bool(const NumberChange&)>& is_line) {
  if (orig.size() != patched.size()) return false;
  bool only = true;
  uint64_t compared = 0;
  const auto equal_until = [&](uint64_t end) {
    return std::equal(orig.begin() + static_cast<int64_t>(compared), orig.begin() + static_cast<int64_t>(end),
                      patched.begin() + static_cast<int64_t>(compared));
  };
  each_instruction(orig, 0, orig.size(), [&](uint64_t at, const ZydisDecodedInstruction& instruction) {
    NumberChange change{.at = at, .next = at + instruction.length};
    if (equal_until(change.next)) return true;
    // What can't be decoded before it must be the same.
    only = equal_until(at) && find_number(orig, patched, instruction, change) && is_line(change);
    compared = change.next;
    return only;
  });
  return only && equal_until(orig.size());
}

CodeRange instruction_at(std::span<const std::byte> code, uint64_t from, uint64_t at) {
  CodeRange found{at, std::min<uint64_t>(at + 1, code.size())};
  each_instruction(code, from, code.size(), [&](uint64_t begin, const ZydisDecodedInstruction& instruction) {
    if (begin + instruction.length > at) {
      if (begin <= at) found = {begin, begin + instruction.length};
      return false;
    }
    return true;
  });
  return found;
}

bool escapes(std::span<const std::byte> code, uint64_t begin, uint64_t end) {
  bool out = false;
  each_instruction(code, begin, end, [&](uint64_t at, const ZydisDecodedInstruction& instruction) {
    if (!instruction.raw.imm[0].is_relative) return true;
    const int64_t to = static_cast<int64_t>(at) + instruction.length + instruction.raw.imm[0].value.s;
    // a relocated field holds zero: it "branches" to the next instruction
    out = out || to < static_cast<int64_t>(begin) || to > static_cast<int64_t>(end);
    return !out;
  });
  return out;
}

bool begins_with_endbr64(std::span<const std::byte> code) {
  constexpr std::array<unsigned char, 4> endbr64{0xf3, 0x0f, 0x1e, 0xfa};
  return code.size() >= endbr64.size() && std::memcmp(code.data(), endbr64.data(), endbr64.size()) == 0;
}

constexpr LandingPad landing_pad{.name = "ENDBR",
                                 .sealed_rule = "sealed-endbr",
                                 .begins = begins_with_endbr64,
                                 .seals = ".ibt_endbr_seal",
                                 .seals_symbol = "__ibt_endbr_seal"};

// --- proof ---

std::optional<RelocatedField> field(uint32_t type) {
  const auto size = field_size(type);
  if (!size || *size == 0) return std::nullopt;
  const bool relative = type == R_X86_64_PC64 || type == R_X86_64_PC32 || type == R_X86_64_PLT32;
  return RelocatedField{*size, relative, relative ? *size : 0, type == R_X86_64_PLT32 ? R_X86_64_PC32 : type};
}

bool is_nop(std::span<const std::byte> code, uint64_t at, uint64_t length) {
  static constexpr std::array<uint8_t, 2> nop2 = {0x66, 0x90};
  static constexpr std::array<uint8_t, 5> nop5 = {0x0f, 0x1f, 0x44, 0x00, 0x00};
  if (at > code.size() || length > code.size() - at) return false;
  if (length == nop2.size()) return std::memcmp(code.data() + at, nop2.data(), length) == 0;
  return length == nop5.size() && std::memcmp(code.data() + at, nop5.data(), length) == 0;
}

uint64_t branch_made_nop(std::span<const std::byte> ours, std::span<const std::byte> theirs, uint64_t at) {
  const uint64_t length = ours[at] == std::byte{0xeb} ? 2 : ours[at] == std::byte{0xe9} ? 5 : 0;
  return length != 0 && at + length <= ours.size() && is_nop(theirs, at, length) ? length : 0;
}

CodeRange call_made_nop(std::span<const std::byte> ours, std::span<const std::byte> theirs, uint64_t field) {
  constexpr uint64_t length = 5;
  const uint64_t at = field - 1;
  const bool made =
      at < ours.size() && at + length <= ours.size() && ours[at] == std::byte{0xe8} && is_nop(theirs, at, length);
  return made ? CodeRange{at, at + length} : CodeRange{};
}

std::optional<Disassembled> disassemble(std::span<const std::byte> code, uint64_t at) {
  ZydisDisassembledInstruction instruction;
  if (!ZYAN_SUCCESS(
          ZydisDisassembleIntel(ZYDIS_MACHINE_MODE_LONG_64, at, code.data() + at, code.size() - at, &instruction)))
    return std::nullopt;
  return Disassembled{instruction.text, instruction.info.length};
}

constexpr ProofFacts proof{
    .field = field, .branch_made_nop = branch_made_nop, .call_made_nop = call_made_nop, .disassemble = disassemble};

// --- audit ---

// lea x(%rip), %reg: its ModRM byte has mod 00 and r/m 101.
bool is_lea(std::span<const std::byte> code, uint64_t field) {
  if (field < 2 || field > code.size()) return false;
  return code[field - 2] == std::byte{0x8d} && (code[field - 1] & std::byte{0xc7}) == std::byte{5};
}

bool is_branch(std::span<const std::byte> code, uint32_t type, uint64_t field) {
  return (type == R_X86_64_PC32 || type == R_X86_64_PLT32) && !is_lea(code, field);
}

std::optional<int64_t> address_taken(const CodeSection& section, uint32_t type, uint64_t field) {
  switch (type) {
    case R_X86_64_64:
    case R_X86_64_32:
    case R_X86_64_32S:
      return 0;
    case R_X86_64_PC32:
      if (!section.executable) return 0;
      return is_lea(section.contents, field) ? std::optional<int64_t>{4} : std::nullopt;
    default:
      return std::nullopt;
  }
}

// arch/x86/kernel/alternative.c (apply_returns since 5.19, apply_retpolines since 5.16), ftrace.c. A return is a jump,
// with or without a condition; a retpoline a call, a jump or a conditional one.
constexpr auto listed_calls = std::to_array<ListedCall>({
    {.callee = "__fentry__", .table = "__mcount_loc", .entry_size = 8, .most_before = 1, .written = true},
    {.callee = "__x86_return_thunk", .table = ".return_sites", .entry_size = 4, .most_before = 2},
    {.callee = "__x86_indirect_thunk_", .prefix = true, .table = ".retpoline_sites", .entry_size = 4, .most_before = 2},
});

// arch/x86/include/asm/orc_types.h: the last two bytes hold the stack register in the low bits and the type; all zero
// says "undefined" in every layout so far (5.10 to 6.18).
bool orc_undefined(std::span<const std::byte> entry) { return entry[4] == std::byte{0} && entry[5] == std::byte{0}; }

constexpr UnwindTable orc{.name = "ORC",
                          .places = ".orc_unwind_ip",
                          .entries = ".orc_unwind",
                          .kernels_sign = "__start_orc_unwind_ip",
                          .entry_size = 6,
                          .undefined = orc_undefined};

// 0 where no instruction is: `instruction` has no value then.
uint64_t decode(std::span<const std::byte> code, uint64_t at, ZydisDecodedInstruction& instruction) {
  const ZydisDecoder decoder = make_decoder();
  ZydisDecoderContext context;
  if (at >= code.size() || !ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, &context, code.data() + at,
                                                                       code.size() - at, &instruction)))
    return 0;
  return instruction.length;
}

uint64_t instruction_length(std::span<const std::byte> code, uint64_t at) {
  ZydisDecodedInstruction instruction;
  return decode(code, at, instruction);
}

// NOP, INT3 (the kernel's linker scripts), and the UD2 behind a call that doesn't return.
uint64_t padding(std::span<const std::byte> code, uint64_t at) {
  ZydisDecodedInstruction instruction;
  const uint64_t length = decode(code, at, instruction);
  if (length == 0) return 0;
  const bool idle = instruction.mnemonic == ZYDIS_MNEMONIC_NOP || instruction.mnemonic == ZYDIS_MNEMONIC_INT3 ||
                    instruction.mnemonic == ZYDIS_MNEMONIC_UD2;
  return idle ? length : 0;
}

bool is_direct_call(std::span<const std::byte> code, uint64_t at) {
  return at < code.size() && code[at] == std::byte{0xe8};
}

constexpr AuditFacts audit{.calls = listed_calls,
                           .branch_before = 2,
                           .is_branch = is_branch,
                           .address_taken = address_taken,
                           .unwind_table = &orc,
                           .loader_sections = x86_64_loader_sections,
                           .boot_sections = x86_64_boot_sections,
                           .instruction_length = instruction_length,
                           .padding = padding,
                           .is_direct_call = is_direct_call,
                           .call_table = ".call_sites"};

// Documentation/arch/x86/boot.rst: the setup header at 0x1f1, since protocol 2.08 with the place of the payload behind the
// setup sectors. Behind what isn't gzip its size stands, in 4 bytes (scripts/Makefile.lib, size_append).
std::span<const std::byte> payload(std::span<const std::byte> image) {
  constexpr size_t header_end = 0x250, sector = 512, size_bytes = 4;
  const auto field = [&](size_t at, size_t size) { return number_of(image.subspan(at, size), false); };
  if (image.size() < header_end || field(0x202, 4) != 0x53726448 /* HdrS */ || field(0x206, 2) < 0x208) return {};
  const uint64_t sectors = field(0x1f1, 1);
  const uint64_t start = ((sectors == 0 ? 4 : sectors) + 1) * sector + field(0x248, 4), size = field(0x24c, 4);
  if (start > image.size() || size > image.size() - start || size <= size_bytes) return {};
  const bool gzip = image[start] == std::byte{0x1f} && image[start + 1] == std::byte{0x8b};
  return image.subspan(start, gzip ? size : size - size_bytes);
}

}  // namespace

const Arch arch_x86_64{
    .elf = {.machine = EM_X86_64, .name = "x86-64", .absolute_64 = R_X86_64_64, .known_relocation = known_relocation},
    .code = {.max_function_offset = 16 + 64,  // CONFIG_FUNCTION_PADDING_BYTES
             .find_targets = find_targets,
             .use_of = use_of,
             .takes_address = takes_address,
             .writes = writes,
             .only_reads = only_reads_x86_64,
             .numbers_only = numbers_only,
             .instruction_at = instruction_at,
             .escapes = escapes,
             .trap_behind = trap_behind,
             .landing_pad = &landing_pad,
             .whole_distances = true,
             .list = list_x86_64},
    .ftrace = {.calls = ftrace_calls, .tables = ftrace_tables, .sites = ftrace_sites},
    .tables = tables,
    // A field that isn't zero is refused (arch/x86/kernel/module.c, __write_relocate_add). Since 6.3 the kernel takes
    // them back.
    .klp = {.field_size = field_size, .zero_fields = true, .too_narrow = too_narrow, .takes_back_by = pokes_text},
    .kbuild = {.folder = "x86",
               .option = "X86_64",
               .cross = "x86_64-linux-gnu-",
               .image = "arch/x86/boot/bzImage",
               .whole_objects_option = "X86_KERNEL_IBT",
               .objtool_symbols = objtool_symbols},
    .distro = {.debian = "amd64", .rpm = "x86_64", .payload = payload},
    .proof = &proof,
    .audit = &audit,
};

}  // namespace kpatch
