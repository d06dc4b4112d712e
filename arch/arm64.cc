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
#include <fmt/format.h>

#include <array>

#include "arch/arch.h"
#include "arch/capstone-listing.h"
#include "arch/loader.h"

namespace kpatch {
namespace {

constexpr auto tables = std::to_array<TableFacts>({
    {.section = "__bug_table", .struct_name = "bug_entry", .line_offset = 8, .line_size = 2, .max_references = 3},
    {.section = "__ex_table", .struct_name = "exception_table_entry", .max_references = 2},
    {.section = "__jump_table", .struct_name = "jump_entry", .max_references = 3},
    // Without a length the second reference is to the function that writes the new instructions (ALTINSTR_ENTRY_CB).
    {.section = ".altinstructions", .struct_name = "alt_instr", .max_references = 2},
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

// ---- instructions for a reader

// Hints that a later processor gave a meaning, which the library calls by their number (Arm ARM, C6.2.130).
std::string_view hint_name(uint32_t word) {
  switch (word) {
    case 0xd503233f:
      return "paciasp";
    case 0xd503237f:
      return "pacibsp";
    case 0xd50323bf:
      return "autiasp";
    case 0xd50323ff:
      return "autibsp";
    case 0xd503241f:
      return "bti";
    case 0xd503245f:
      return "bti c";
    case 0xd503249f:
      return "bti j";
    case 0xd50324df:
      return "bti jc";
    default:
      return {};
  }
}

std::optional<ListedInstruction> list(const ListingInput& input, uint64_t at) {
  constexpr uint64_t length = 4;
  if (at + length > input.code.size()) return std::nullopt;
  const uint32_t word = little_endian_word(input.code, at);
  if (const std::string_view hint = hint_name(word); !hint.empty()) return ListedInstruction{std::string{hint}, length};
  ListedShape shape{.length = length, .meaning = input.meaning(at)};
  // add with an immediate; loads and stores with an unsigned one
  const bool low = (word & 0x7f800000) == 0x11000000 || (word & 0x3b000000) == 0x39000000;
  if (shape.meaning && low) shape.meaning = ":lo12:" + *shape.meaning;
  if (const auto by = branch_distance(word)) shape.branch = at + static_cast<uint64_t>(*by);
  return list_by_capstone(CapstoneDialect::arm64, input.code, at, shape);
}

// ---- finished modules

// apply_relocate_add() of arch/arm64/kernel/module.c: instructions have four bytes, all of them are fields in one.
std::optional<unsigned> field_size(uint32_t type) {
  switch (type) {
    case R_AARCH64_NONE:
      return 0;
    case R_AARCH64_ABS64:
    case R_AARCH64_PREL64:
      return 8;
    case R_AARCH64_ABS16:
    case R_AARCH64_PREL16:
      return 2;
    default:
      return known_relocation(type) ? std::optional<unsigned>{4} : std::nullopt;
  }
}

constexpr auto too_narrow = std::to_array<uint32_t>({R_AARCH64_ABS32, R_AARCH64_ABS16});

// ---- compiled and shipped code (Arm ARM, C6.2; ELF for the Arm 64-bit Architecture, 5.7)

constexpr uint64_t in_page = 0xfff;

// Which bits of an address the immediate of a load or store tells, whose unit has 1 << scale bytes. Its highest bits would
// lead out of the page, and stay as they were compiled.
RelocatedField low_bits(uint32_t type, unsigned scale) {
  return {.width = 4,
          .type = type,
          .instruction_bits = 0xfffU >> scale << 10,
          .known_bits = in_page & ~((1ULL << scale) - 1)};
}

std::optional<RelocatedField> field(uint32_t type) {
  switch (type) {
    case R_AARCH64_ABS64:
      return RelocatedField{.width = 8, .type = type};
    case R_AARCH64_ABS32:
      return RelocatedField{.width = 4, .type = type};
    case R_AARCH64_PREL64:
      return RelocatedField{.width = 8, .relative = true, .type = type};
    case R_AARCH64_PREL32:
    case R_AARCH64_PLT32_TYPE:
      return RelocatedField{.width = 4, .relative = true, .type = R_AARCH64_PREL32};
    case R_AARCH64_CALL26:
    case R_AARCH64_JUMP26:
      return RelocatedField{.width = 4, .type = R_AARCH64_CALL26, .instruction_bits = 0x03ffffff};
    case R_AARCH64_CONDBR19:
    case R_AARCH64_LD_PREL_LO19:
      return RelocatedField{.width = 4, .type = type, .instruction_bits = 0x00ffffe0};
    case R_AARCH64_TSTBR14:
      return RelocatedField{.width = 4, .type = type, .instruction_bits = 0x0007ffe0};
    case R_AARCH64_ADR_PREL_LO21:
      return RelocatedField{.width = 4, .type = type, .instruction_bits = 0x60ffffe0};
    case R_AARCH64_ADR_PREL_PG_HI21:
    case R_AARCH64_ADR_PREL_PG_HI21_NC:
      return RelocatedField{
          .width = 4, .type = R_AARCH64_ADR_PREL_PG_HI21, .instruction_bits = 0x60ffffe0, .known_bits = ~in_page};
    case R_AARCH64_ADD_ABS_LO12_NC:
    case R_AARCH64_LDST8_ABS_LO12_NC:
      return low_bits(type, 0);
    case R_AARCH64_LDST16_ABS_LO12_NC:
      return low_bits(type, 1);
    case R_AARCH64_LDST32_ABS_LO12_NC:
      return low_bits(type, 2);
    case R_AARCH64_LDST64_ABS_LO12_NC:
      return low_bits(type, 3);
    case R_AARCH64_LDST128_ABS_LO12_NC:
      return low_bits(type, 4);
    default:
      return std::nullopt;
  }
}

uint64_t operand_of(uint32_t type, uint32_t instruction, uint64_t address) {
  const uint64_t low = instruction >> 10 & 0xfff;
  const uint64_t adr = (instruction >> 5 & 0x7ffff) << 2 | (instruction >> 29 & 3);
  switch (type) {
    case R_AARCH64_CALL26:
    case R_AARCH64_JUMP26:
      return address + sign_extend(instruction, 26) * 4;
    case R_AARCH64_CONDBR19:
    case R_AARCH64_LD_PREL_LO19:
      return address + sign_extend(instruction >> 5, 19) * 4;
    case R_AARCH64_TSTBR14:
      return address + sign_extend(instruction >> 5, 14) * 4;
    case R_AARCH64_ADR_PREL_LO21:
      return address + sign_extend(adr, 21);
    case R_AARCH64_ADR_PREL_PG_HI21:
    case R_AARCH64_ADR_PREL_PG_HI21_NC:
      return (address & ~in_page) + (static_cast<uint64_t>(sign_extend(adr, 21)) << 12);
    case R_AARCH64_LDST16_ABS_LO12_NC:
      return low << 1 & in_page;
    case R_AARCH64_LDST32_ABS_LO12_NC:
      return low << 2 & in_page;
    case R_AARCH64_LDST64_ABS_LO12_NC:
      return low << 3 & in_page;
    case R_AARCH64_LDST128_ABS_LO12_NC:
      return low << 4 & in_page;
    default:
      return low;
  }
}

// Nothing rewrites code here before the kernel boots: no objtool reads it, and the NOPs of ftrace and of static branches
// are the compiler's.
uint64_t branch_made_nop(std::span<const std::byte>, std::span<const std::byte>, uint64_t) { return 0; }
CodeRange call_made_nop(std::span<const std::byte>, std::span<const std::byte>, uint64_t) { return {}; }

std::optional<Disassembled> disassemble(std::span<const std::byte> code, uint64_t at) {
  if (at + 4 > code.size()) return std::nullopt;
  return Disassembled{fmt::format(".inst {:#010x}", little_endian_word(code, at)), 4};
}

constexpr ProofFacts proof{.field = field,
                           .operand_of = operand_of,
                           .branch_made_nop = branch_made_nop,
                           .call_made_nop = call_made_nop,
                           .disassemble = disassemble};

bool is_branch(std::span<const std::byte>, uint32_t type, uint64_t) {
  return type == R_AARCH64_CALL26 || type == R_AARCH64_JUMP26 || type == R_AARCH64_CONDBR19 ||
         type == R_AARCH64_TSTBR14;
}

// Where code or data may call to: a pointer, or the address that ADR, or ADRP with ADD, makes.
std::optional<int64_t> address_taken(const CodeSection&, uint32_t type, uint64_t) {
  switch (type) {
    case R_AARCH64_ABS64:
    case R_AARCH64_PREL32:
    case R_AARCH64_PREL64:
    case R_AARCH64_ADR_PREL_LO21:
    case R_AARCH64_ADD_ABS_LO12_NC:
      return 0;
    default:
      return std::nullopt;
  }
}

constexpr EntryField code4(uint8_t offset) { return {offset, 4, Pointee::code}; }

// arch/arm64/kernel/module.c, module_finalize() and module_init_ftrace_plt(); module_frob_arch_sections() fills the
// trampolines that arch/arm64/include/asm/module.lds.h makes. Read in 7.2.
constexpr auto loader_sections = std::to_array<LoaderSection>({
    // The second field is the replacement, or a function that writes it.
    {.name = ".altinstructions",
     .reader = "apply_alternatives_module",
     .stage = LoaderStage::post,
     .struct_name = "alt_instr",
     .sizes = {{{{}, 12}}},
     .fields = {code4(0), EntryField{4, 4, Pointee::something}},
     .harm = "would overwrite another place"},
    {.name = ".plt", .reader = "module_frob_arch_sections", .stage = LoaderStage::layout},
    {.name = ".init.plt", .reader = "module_frob_arch_sections", .stage = LoaderStage::layout},
    {.name = ".text.ftrace_trampoline", .reader = "module_init_ftrace_plt", .stage = LoaderStage::post},
    {.name = ".init.text.ftrace_trampoline", .reader = "module_init_ftrace_plt", .stage = LoaderStage::post},
    {.name = ".init.eh_frame", .reader = "__pi_scs_patch", .stage = LoaderStage::post},
    // What ftrace reads where calls are found by -fpatchable-function-entry (FTRACE_CALLSITE_SECTION of linux/ftrace.h).
    {.name = "__patchable_function_entries", .reader = "ftrace_module_init", .stage = LoaderStage::ftrace},
    {.name = "__bug_table",
     .reader = "module_find_bug",
     .stage = LoaderStage::complete,
     .written = true,
     .struct_name = "bug_entry",
     .sizes = {{{{}, 12}}},
     .fields = {code4(0), EntryField{4, 4, Pointee::maybe}},
     .harm = "would not know the trap: a warning is an oops"},
    {.name = "__ex_table",
     .reader = "search_module_extables",
     .stage = LoaderStage::post,
     .struct_name = "exception_table_entry",
     .sizes = {{{{}, 12}}},
     .fields = {code4(0), code4(4)},
     .harm = "would not know the access: its fault is an oops"},
    relative_jump_table,
});

std::span<const LoaderSection> sections_of_loader() { return loader_sections; }

uint64_t instruction_length(std::span<const std::byte> code, uint64_t at) { return at + 4 <= code.size() ? 4 : 0; }

// NOP, and what the linker fills with.
uint64_t padding(std::span<const std::byte> code, uint64_t at) {
  if (at + 4 > code.size()) return 0;
  const uint32_t word = little_endian_word(code, at);
  return word == 0xd503201f || word == 0 ? 4 : 0;
}

bool is_direct_call(std::span<const std::byte> code, uint64_t at) {
  return at + 4 <= code.size() && (little_endian_word(code, at) & 0xfc000000) == 0x94000000;  // bl
}

constexpr AuditFacts audit{.is_branch = is_branch,
                           .address_taken = address_taken,
                           .loader_sections = sections_of_loader,
                           .instruction_length = instruction_length,
                           .padding = padding,
                           .is_direct_call = is_direct_call};

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
             .escapes = escapes,
             .list = with_capstone(list),
             .no_list = no_capstone},
    .ftrace = {.tables = ftrace_tables, .sites = ftrace_sites},
    .tables = tables,
    .klp = {.field_size = field_size, .too_narrow = too_narrow},
    .kbuild = {.folder = "arm64", .option = "ARM64", .cross = "aarch64-linux-gnu-", .image = "arch/arm64/boot/Image"},
    .distro = {.debian = "arm64", .rpm = "aarch64"},
    .proof = &proof,
    .audit = &audit,
};

}  // namespace kpatch
