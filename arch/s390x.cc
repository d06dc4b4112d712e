// s390x, big-endian (zSeries ELF ABI supplement; arch/s390/kernel/module.c).
//
//   0: c0 04 00 00 00 00   jgnop  .                 the ftrace site (-mnop-mcount), listed in __mcount_loc
//   6: c4 18 00 00 00 00   lgrl   %r1, …            R_390_GOTENT   saved_command_line + 2
//   c: c0 e5 00 00 00 00   brasl  %r14, …           R_390_PLT32DBL seq_puts + 2
//  12: c0 f4 00 00 00 00   jg     …                 R_390_PC32DBL  __s390_indirect_jump_r14 + 2
//
// The field of a relative instruction counts halfwords from the instruction's start, two bytes before the field: a
// target is the addend less 2. Data (`.long f - .`) has no such distance. Instructions have 2, 4 or 6 bytes, told by
// the two highest bits.
//
// .s390_indirect_*, .s390_return_* list branches that are rewritten at load, four bytes each.

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "arch/arch.h"
#include "arch/capstone-listing.h"

namespace kpatch {
namespace {

constexpr auto tables = std::to_array<TableFacts>({
    {.section = "__bug_table", .struct_name = "bug_entry", .line_offset = 8, .line_size = 2, .max_references = 3},
    {.section = "__ex_table", .struct_name = "exception_table_entry", .max_references = 2},
    {.section = "__jump_table", .struct_name = "jump_entry", .max_references = 3},
    {.section = ".altinstructions", .struct_name = "alt_instr", .max_references = 2, .length_offset = last_of_twelve},
    {.section = ".printk_index", .fixed_size = 8},
    {.section = "__mcount_loc", .fixed_size = 8, .compared = false},
    {.section = ".s390_indirect_jump", .fixed_size = 4},
    {.section = ".s390_indirect_call", .fixed_size = 4},
    {.section = ".s390_indirect_branches", .fixed_size = 4},
    {.section = ".s390_return_mem", .fixed_size = 4},
    {.section = ".s390_return_reg", .fixed_size = 4},
});

constexpr auto ftrace_tables = std::to_array<std::string_view>({"__mcount_loc", "__patchable_function_entries"});
constexpr auto ftrace_sites = std::to_array<SiteRange>({{0, 8}});

// Thunks of expolines (arch/s390/lib/expoline), rewritten with the code that jumps to them.
constexpr auto module_symbols = std::to_array<std::string_view>({"__s390_indirect_jump_r"});

bool counts_from_instruction(uint32_t type) {
  return type == R_390_PC32DBL || type == R_390_PLT32DBL || type == R_390_GOTENT || type == R_390_PC16DBL ||
         type == R_390_PLT16DBL;
}

void find_targets(const CodeSection&, std::span<Relocation> relocations) {
  for (Relocation& r : relocations) r.target_offset = r.addend - (counts_from_instruction(r.type) ? 2 : 0);
}

unsigned byte_at(std::span<const std::byte> code, uint64_t at) { return std::to_integer<unsigned>(code[at]); }

Use use_of(const CodeSection& section, const Relocation& r) {
  // brc, bras: no instruction takes an address in 16 bits
  if (r.type == R_390_PLT16DBL || r.type == R_390_PC16DBL) return Use::call;
  // gcc writes `larl %r2, f` with R_390_PLT32DBL too: the instruction decides
  if ((r.type != R_390_PC32DBL && r.type != R_390_PLT32DBL) || r.offset < 2 || r.offset > section.contents.size())
    return Use::address;
  if (byte_at(section.contents, r.offset - 2) != 0xc0) return Use::address;
  const unsigned operation = byte_at(section.contents, r.offset - 1) & 15;
  return operation == 4 || operation == 5 ? Use::call : Use::address;  // brcl, brasl; 0 is larl
}

bool known_relocation(uint32_t type) {
  switch (type) {
    case R_390_NONE:
    case R_390_8:
    case R_390_12:
    case R_390_16:
    case R_390_20:
    case R_390_32:
    case R_390_64:
    case R_390_PC16:
    case R_390_PC32:
    case R_390_PC64:
    case R_390_PC16DBL:
    case R_390_PC32DBL:
    case R_390_PLT16DBL:
    case R_390_PLT32DBL:
    case R_390_PLT32:
    case R_390_PLT64:
    case R_390_GOTENT:
      return true;
    default:
      return false;
  }
}

uint64_t instruction_size(std::span<const std::byte> code, uint64_t at) {
  switch (byte_at(code, at) >> 6) {
    case 0:
      return 2;
    case 3:
      return 6;
    default:
      return 4;
  }
}

CodeRange instruction_at(std::span<const std::byte> code, uint64_t from, uint64_t at) {
  uint64_t next = from;
  while (next < code.size()) {
    const uint64_t begin = next;
    next += instruction_size(code, begin);
    if (next > at) return {begin, std::min<uint64_t>(next, code.size())};
  }
  return {at, code.size()};
}

// lghi or lhi %rN, imm16; lgfi for greater numbers; mvghi, mvhi, mvhhi into memory. %r3 and %r4 hold the second and
// third argument.
bool find_number(std::span<const std::byte> orig, std::span<const std::byte> patched, uint64_t size,
                 NumberChange& change) {
  const unsigned opcode = byte_at(orig, change.at), second = byte_at(orig, change.at + 1);
  const bool half = opcode == 0xa7 && ((second & 15) == 8 || (second & 15) == 9);
  const bool word = opcode == 0xc0 && (second & 15) == 1;
  const bool stored = opcode == 0xe5 && (second == 0x44 || second == 0x48 || second == 0x4c);
  if (!half && !word && !stored) return false;
  const uint64_t begin = stored ? 4 : 2;
  if (std::memcmp(orig.data() + change.at, patched.data() + change.at, begin) != 0) return false;
  const auto number = [&](std::span<const std::byte> code) {
    uint64_t value = 0;
    for (uint64_t i = change.at + begin; i < change.at + size; ++i) value = value << 8 | byte_at(code, i);
    return sign_extend(value, 8 * static_cast<unsigned>(size - begin));
  };
  change.orig = number(orig);
  change.patched = number(patched);
  change.second_or_third = !stored && (second >> 4 == 3 || second >> 4 == 4);
  return true;
}

bool numbers_only(std::span<const std::byte> orig, std::span<const std::byte> patched,
                  const std::function<bool(const NumberChange&)>& is_line) {
  if (orig.size() != patched.size()) return false;
  for (uint64_t at = 0; at < orig.size();) {
    const uint64_t size = instruction_size(orig, at);
    if (at + size > orig.size()) return false;
    NumberChange change{.at = at, .next = at + size};
    if (std::memcmp(orig.data() + at, patched.data() + at, size) != 0 &&
        !(find_number(orig, patched, size, change) && is_line(change)))
      return false;
    at += size;
  }
  return true;
}

// Relative branches: brc, bras, brct, brctg (a7 x4 …), brxh, brxle (84, 85), compare and branch (ec), brcl, brasl (c0).
std::optional<int64_t> branch_distance(std::span<const std::byte> code, uint64_t at) {
  const unsigned opcode = byte_at(code, at), second = byte_at(code, at + 1);
  auto halfwords = [&](unsigned bytes) {
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; ++i) value = value << 8 | byte_at(code, at + 2 + i);
    return sign_extend(value, 8 * bytes) * 2;
  };
  const unsigned low = second & 15;
  if (opcode == 0xa7 && low >= 4 && low <= 7) return halfwords(2);
  if (opcode == 0x84 || opcode == 0x85) return halfwords(2);
  if (opcode == 0xc0 && (low == 4 || low == 5)) return halfwords(4);
  if (opcode != 0xec) return std::nullopt;
  switch (byte_at(code, at + 5)) {
    case 0x44:  // brxhg
    case 0x45:  // brxlg
    case 0x64:  // cgrj
    case 0x65:  // clgrj
    case 0x76:  // crj
    case 0x77:  // clrj
    case 0x7c:  // cgij
    case 0x7d:  // clgij
    case 0x7e:  // cij
    case 0x7f:  // clij
      return halfwords(2);
    default:
      return std::nullopt;
  }
}

bool escapes(std::span<const std::byte> code, uint64_t begin, uint64_t end) {
  for (uint64_t at = begin; at < end;) {
    const uint64_t size = instruction_size(code, at);
    if (at + size > end) return false;
    if (const auto by = size >= 4 ? branch_distance(code, at) : std::nullopt) {
      const int64_t to = static_cast<int64_t>(at) + *by;
      if (to < static_cast<int64_t>(begin) || to >= static_cast<int64_t>(end)) return true;
    }
    at += size;
  }
  return false;
}

bool starts_with_site(std::span<const std::byte> code) {
  constexpr std::array<unsigned, 6> jgnop{0xc0, 0x04, 0, 0, 0, 0};
  if (code.size() < jgnop.size()) return false;
  for (size_t i = 0; i < jgnop.size(); ++i)
    if (byte_at(code, i) != jgnop[i]) return false;
  return true;
}

// A field lies behind the two bytes that tell the operation.
std::optional<ListedInstruction> list(const ListingInput& input, uint64_t at) {
  if (at >= input.code.size()) return std::nullopt;
  ListedShape shape{.length = instruction_size(input.code, at)};
  if (at + shape.length > input.code.size()) return std::nullopt;
  if (shape.length > 2) {
    shape.meaning = input.meaning(at + 2);
    if (const auto by = branch_distance(input.code, at)) shape.branch = at + static_cast<uint64_t>(*by);
  }
  return list_by_capstone(CapstoneDialect::s390x, input.code, at, shape);
}

}  // namespace

const Arch arch_s390x{
    .elf = {.machine = EM_S390,
            .name = "s390x",
            .big_endian = true,
            .absolute_64 = R_390_64,
            .known_relocation = known_relocation},
    .code = {.find_targets = find_targets,
             .use_of = use_of,
             .numbers_only = numbers_only,
             .instruction_at = instruction_at,
             .escapes = escapes,
             .list = with_capstone(list),
             .no_list = no_capstone},
    .ftrace = {.starts_with_site = starts_with_site, .tables = ftrace_tables, .sites = ftrace_sites},
    .tables = tables,
    .klp = {},
    .kbuild = {.folder = "s390",
               .option = "S390",
               .cross = "s390x-linux-gnu-",
               .image = "arch/s390/boot/bzImage",
               .module_symbols = module_symbols},
    .distro = {.debian = "s390x", .rpm = "s390x"},
};

}  // namespace kpatch
