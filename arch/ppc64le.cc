// 64-bit PowerPC, little-endian (OpenPOWER ELFv2 ABI; arch/powerpc/kernel/module_64.c).
//
//   0:            .quad .TOC. - f          R_PPC64_REL64: in the large code model 8 bytes stand before the function
//   8: <show>:    ld    r2, -8(r12)        global entry; st_other says how far the local entry is
//      c:         add   r2, r2, r12
//     10:         mflr  r0                 local entry
//     14:         bl    _mcount            R_PPC64_REL24: the ftrace site
//     20:         addis r9, r2, 0          R_PPC64_TOC16_HA     .toc + 0x20
//     24:         ld    r9, 0(r9)          R_PPC64_TOC16_LO_DS  .toc + 0x20
//
// An address comes out of the TOC: .toc + 0x20 holds saved_command_line by R_PPC64_ADDR64. The number of a slot means
// nothing, what it holds does; so references are compared through it, and a slot is copied as a piece of 8 bytes.
//
// A sibling call (`b other`, not `bl`) would leave for a function that may lie beyond the reach of a branch: the stub
// that goes there needs a NOP behind the call to restore r2, and a branch that never returns has none.

#include <elf.h>

#include <array>

#include "arch/arch.h"
#include "arch/capstone-listing.h"

namespace kpatch {
namespace {

constexpr auto tables = std::to_array<TableFacts>({
    {.section = "__bug_table", .struct_name = "bug_entry", .line_offset = 8, .line_size = 2, .max_references = 3},
    {.section = "__ex_table", .struct_name = "exception_table_entry", .max_references = 2},
    {.section = "__jump_table", .struct_name = "jump_entry", .max_references = 3},
    {.section = "__ftr_fixup", .struct_name = "fixup_entry"},
    {.section = "__mmu_ftr_fixup", .struct_name = "fixup_entry"},
    {.section = "__fw_ftr_fixup", .struct_name = "fixup_entry"},
    {.section = "__lwsync_fixup", .fixed_size = 8},
    {.section = "__barrier_nospec_fixup", .fixed_size = 8},
    {.section = "__stf_entry_barrier_fixup", .fixed_size = 8},
    {.section = "__stf_exit_barrier_fixup", .fixed_size = 8},
    {.section = "__stf_barrier_fixup", .fixed_size = 8},
    {.section = "__rfi_flush_fixup", .fixed_size = 8},
    {.section = "__entry_flush_fixup", .fixed_size = 8},
    {.section = "__uaccess_flush_fixup", .fixed_size = 8},
    {.section = ".printk_index", .fixed_size = 8},
    {.section = "__mcount_loc", .fixed_size = 8, .compared = false},
    {.section = "__patchable_function_entries", .fixed_size = 8, .compared = false},
});

constexpr auto ftrace_calls = std::to_array<std::string_view>({"_mcount"});

constexpr auto ftrace_tables = std::to_array<std::string_view>({"__mcount_loc", "__patchable_function_entries"});
// Behind the TOC set-up and the saved link register.
constexpr auto ftrace_sites = std::to_array<SiteRange>({{0, 12}});

// The TOC pointer; register save and restore (arch/powerpc/lib/crtsavres.S).
constexpr auto module_symbols =
    std::to_array<std::string_view>({".TOC.", "_savegpr", "_restgpr", "_savevr", "_restvr"});

// Newer than Debian 12's elf.h.
enum : uint32_t { ppc64_rel24_notoc = 116, ppc64_entry = 118, ppc64_pcrel34 = 132, ppc64_got_pcrel34 = 133 };

void find_targets(const CodeSection&, std::span<Relocation> relocations) {
  for (Relocation& r : relocations) r.target_offset = r.addend;
}

Use use_of(const CodeSection&, const Relocation& r) {
  return r.type == R_PPC64_REL24 || r.type == R_PPC64_REL14 || r.type == ppc64_rel24_notoc ? Use::call : Use::address;
}

bool known_relocation(uint32_t type) {
  switch (type) {
    case R_PPC64_NONE:
    case R_PPC64_ADDR32:
    case R_PPC64_ADDR64:
    case R_PPC64_TOC:
    case R_PPC64_TOC16:
    case R_PPC64_TOC16_LO:
    case R_PPC64_TOC16_HA:
    case R_PPC64_TOC16_DS:
    case R_PPC64_TOC16_LO_DS:
    case R_PPC64_REL14:
    case R_PPC64_REL24:
    case R_PPC64_REL32:
    case R_PPC64_REL64:
    case R_PPC64_TOCSAVE:
    case R_PPC64_REL16_HA:
    case R_PPC64_REL16_LO:
    case ppc64_rel24_notoc:
    case ppc64_entry:
    case ppc64_pcrel34:
    case ppc64_got_pcrel34:
      return true;
    default:
      return false;
  }
}

bool is_sibling_call(const CodeSection& section, const Relocation& r) {
  if ((r.type != R_PPC64_REL24 && r.type != ppc64_rel24_notoc) || r.offset + 4 > section.contents.size()) return false;
  return (little_endian_word(section.contents, r.offset) & 0xfc000003) == 0x48000000;  // b, without link
}

// How the TOC pointer is made, and what hangs on the module's own TOC, means nothing in another object.
bool late_relocation(uint32_t type) {
  return type != R_PPC64_REL16_HA && type != R_PPC64_REL16_LO && type != ppc64_entry;
}

// li rN, imm16; r4 and r5 hold the second and third argument.
bool find_number(uint32_t orig, uint32_t patched, NumberChange& change) {
  constexpr uint32_t but_immediate = 0xffff0000, but_register = 0xfc1f0000;
  if ((orig & but_immediate) != (patched & but_immediate) || (orig & but_register) != 0x38000000) return false;
  const uint32_t to = orig >> 21 & 31;
  change.orig = sign_extend(orig, 16);
  change.patched = sign_extend(patched, 16);
  change.second_or_third = to == 4 || to == 5;
  return true;
}

bool numbers_only(std::span<const std::byte> orig, std::span<const std::byte> patched,
                  const std::function<bool(const NumberChange&)>& is_line) {
  return numbers_only_in_words(orig, patched, is_line, find_number);
}

std::optional<int64_t> branch_distance(uint32_t instruction) {
  if ((instruction & 0xfc000002) == 0x48000000) return sign_extend(instruction & 0x03fffffc, 26);  // b, bl
  if ((instruction & 0xfc000002) == 0x40000000) return sign_extend(instruction & 0x0000fffc, 16);  // bc
  return std::nullopt;
}

bool escapes(std::span<const std::byte> code, uint64_t begin, uint64_t end) {
  return escapes_in_words(code, begin, end, branch_distance);
}

std::optional<ListedInstruction> list(const ListingInput& input, uint64_t at) {
  constexpr uint64_t length = 4;
  if (at + length > input.code.size()) return std::nullopt;
  const uint32_t word = little_endian_word(input.code, at);
  ListedShape shape{.length = length, .meaning = input.meaning(at)};
  const uint32_t opcode = word >> 26;
  if (shape.meaning && opcode == 15)  // addis
    *shape.meaning += "@ha";
  else if (shape.meaning && (opcode == 14 || opcode >= 32))  // addi, loads and stores
    *shape.meaning += "@l";
  if (const auto by = branch_distance(word)) shape.branch = at + static_cast<uint64_t>(*by);
  return list_by_capstone(CapstoneDialect::ppc64le, input.code, at, shape);
}

}  // namespace

const Arch arch_ppc64le{
    .elf = {.machine = EM_PPC64,
            .name = "ppc64le",
            .absolute_64 = R_PPC64_ADDR64,
            .known_relocation = known_relocation},
    .code = {.max_function_offset = 8,
             .find_targets = find_targets,
             .use_of = use_of,
             .numbers_only = numbers_only,
             .instruction_at = word_at,
             .escapes = escapes,
             .list = with_capstone(list),
             .no_list = no_capstone},
    .ftrace = {.calls = ftrace_calls, .tables = ftrace_tables, .sites = ftrace_sites},
    .tables = tables,
    .klp = {.late_relocation = late_relocation,
            .is_sibling_call = is_sibling_call,
            .lost_by_sibling_call = "its own TOC pointer"},
    .kbuild = {.folder = "powerpc",
               .option = "PPC64",
               .cross = "powerpc64le-linux-gnu-",
               .module_symbols = module_symbols},
    .distro = {.debian = "powerpc64le", .rpm = "ppc64le"},
};

}  // namespace kpatch
