// What differs from one architecture to the next: one constant an architecture, found by find_arch() alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "arch/address-flow.h"
#include "arch/emulator.h"
#include "arch/loader.h"
#include "arch/sections.h"
#include "elf/elf.h"

namespace kpatch {

// A section as the hooks see it.
struct CodeSection {
  std::span<const std::byte> contents;
  bool executable = false;
};

// What the kernel does to the instruction that a table's entry refers to.
enum class Effect : uint8_t {
  none,
  leads,     // goes on elsewhere from it, at times: where the entry's second reference leads to
  replaces,  // may write others over it
};

// A special section: a table whose entries refer to code by their first relocation.
struct TableFacts {
  std::string_view section;
  std::string_view struct_name{};  // entry size: sizeof of this kernel struct …
  uint32_t fixed_size = 0;         // … or this many bytes …
  // … or, where both are unset, the distance between the entries' first relocations.
  // Bytes of an entry that hold a line number, which no comparison looks at: behind two relative pointers (4 bytes
  // each), or, in entries of 24 bytes, two absolute ones.
  uint32_t line_offset = 0, line_size = 0;
  uint32_t max_references = 0;   // places of an entry that may refer to something; 0: any number
  bool compared = true;          // false: tables that the tool chain rebuilds (rule: never count as change)
  bool once_from_entry = false;  // whether older kernels may have the form that from_entries() tells
  // Where an entry of a given size holds the length, in one byte, of the code that its second reference leads to; 0 for
  // sizes without one. With length 0 it leads nowhere (x86: ALTERNATIVE with nothing instead): where it points to,
  // some other entry's code begins.
  uint32_t (*length_offset)(uint64_t entry_size) = nullptr;
  Effect effect = Effect::replaces;
};

// What a reference leads to, as far as it tells the form of a table.
enum class Landmark : uint8_t { code, string_start, string_middle, other };

// Before 5.18 the relative pointers of a bug_entry count from the entry, and not each from its own place:
//
//     2: .long 1b - 2b        R_X86_64_PC32 .text.show + 8f
//        .long .LC0 - 2b      R_X86_64_PC32 .LC0 + 4           the string .LC0, not the fifth character of it
//
// Which form it is shows in where strings would begin. For each reference of the table the bytes between its entry and
// its field, which its addend has too many; all zero in the newer form. offsets: of the references, sorted.
// landmark(i, back): what stands so many bytes before that to which the i-th one leads.
std::vector<uint64_t> from_entries(std::span<const uint64_t> offsets,
                                   const std::function<Landmark(size_t, uint64_t)>& landmark);

// An instruction that loads a number, another one in each object, and is otherwise the same.
struct NumberChange {
  uint64_t at = 0, next = 0;      // the instruction, and what follows it; counted from the function's start
  int64_t orig = 0, patched = 0;  // the numbers
  bool second_or_third = false;   // loaded where a function expects its second or third argument
};

// How a relocation uses its target.
enum class Use : uint8_t { call, address };

struct CodeRange {
  uint64_t begin = 0, end = 0;
};

// What the header and the relocations of its ELF files hold.
struct ElfFacts {
  uint16_t machine = 0;     // EM_*
  std::string_view name{};  // for messages
  bool big_endian = false;
  uint32_t absolute_64 = 0;  // the relocation type for a plain 64-bit address
  bool (*known_relocation)(uint32_t type) = nullptr;
};

// The instruction on which an indirect branch has to land, where a processor can demand one.
struct LandingPad {
  std::string_view name{};
  std::string_view sealed_rule{};  // the rule that a change breaks which needs one that isn't there
  bool (*begins)(std::span<const std::byte> code) = nullptr;  // whether the code begins with one
  // The section that lists the starts of functions whose landing pad the kernel overwrites, because nobody takes their
  // address: 32-bit entries relative to themselves.
  std::string_view seals{};
  std::string_view seals_symbol{};  // what vmlinux has where its kernel demands landing pads
};

// Code whose instructions are to be shown.
struct ListingInput {
  std::span<const std::byte> code;  // a section
  // What the field there stands for ("seq_printf", "\"%lu kB\\n\""); nothing where no relocation fills it. Short.
  std::function<std::optional<std::string>(uint64_t field)> meaning;
};

struct ListedInstruction {
  std::string text{};                // without the target of a branch, and with what its relocated fields mean
  uint64_t length = 0;               // bytes
  std::optional<uint64_t> branch{};  // where it leads to in the section
};

// How instructions are read.
struct CodeFacts {
  uint64_t max_function_offset = 0;  // bytes that may stand before the function in a section of its own
  // Fills Relocation::target_offset of all relocations of a section.
  void (*find_targets)(const CodeSection& section, std::span<Relocation> relocations) = nullptr;
  // What the instruction at the relocation does with the target.
  Use (*use_of)(const CodeSection& section, const Relocation& relocation) = nullptr;
  // Whether the instruction at the relocation makes an address of the target, instead of reading or writing what is
  // there; code is followed from `from` on, a function's start. nullptr: can't be told, an address is made in several.
  bool (*takes_address)(const CodeSection& section, uint64_t from, const Relocation& relocation) = nullptr;
  // Whether the instruction at the relocation writes to the target itself, as operand; code is followed from `from` on,
  // a function's start. A write through an address that was made before isn't known. nullptr: can't be told.
  bool (*writes)(const CodeSection& section, uint64_t from, const Relocation& relocation) = nullptr;
  // Whether a function does nothing with the addresses that it makes of a constant, by the relocations at `fields` (of
  // the section, sorted), but to read there, and to hand them to functions which do no more. nullptr: can't be told.
  bool (*only_reads)(const CodeSection& section, const CodeRange& function, std::span<const uint64_t> fields,
                     const FlowFacts& facts) = nullptr;
  // Whether two functions of equal size differ in nothing but numbers that an instruction loads, and is_line() holds
  // for each of these.
  bool (*numbers_only)(std::span<const std::byte> orig, std::span<const std::byte> patched,
                       const std::function<bool(const NumberChange&)>& is_line) = nullptr;
  // The instruction that covers `at`, as a range of the section; code is followed from `from` on, a function's start.
  CodeRange (*instruction_at)(std::span<const std::byte> code, uint64_t from, uint64_t at) = nullptr;
  // Whether branches without a relocation leave [begin, end) of the section.
  bool (*escapes)(std::span<const std::byte> code, uint64_t begin, uint64_t end) = nullptr;
  // What has to follow code whose last instruction is a call, which thus doesn't return; empty when it is none. A trap
  // there tells objtool (tools/objtool/check.c, add_dead_ends) what it can't read of a callee that stays in the kernel.
  // nullptr: no objtool reads this architecture, or it needs no such help.
  std::span<const std::byte> (*trap_behind)(std::span<const std::byte> code) = nullptr;
  const LandingPad* landing_pad = nullptr;  // nullptr: there is none
  // What refers to a place does so by four bytes of their own: its distance from behind them, or its address, of which
  // they are the lower half. Thus who refers to it can be found without decoding code.
  bool whole_distances = false;
  // The instruction at `at`, for a reader; nothing where none is. nullptr: there is no disassembler.
  std::optional<ListedInstruction> (*list)(const ListingInput& input, uint64_t at) = nullptr;
  std::string_view no_list{};  // why there is none, as a sentence without full stop; empty where there is one
};

// Distances in bytes, both included.
struct SiteRange {
  int64_t first = 0, last = 0;
};

// Where the kernel can redirect a function.
struct FtraceFacts {
  std::span<const std::string_view> calls{};  // undefined symbols that a traced function calls at its start
  // Whether the code at a function's start is the placeholder of such a call, where no table lists it in objects.
  bool (*starts_with_site)(std::span<const std::byte> code) = nullptr;
  // Sections that list the sites, by relocations against code.
  std::span<const std::string_view> tables{};
  // How far from its start a function's site may lie, in bytes; what lies in no range is another function's.
  std::span<const SiteRange> sites{};

  bool lists_sites(std::string_view section) const;  // one of tables
};

// What livepatches can hold.
struct KlpFacts {
  // Bytes that a relocation of this type writes, 0 for one that writes nothing; nothing for types that the kernel's
  // loader (apply_relocate_add()) does not know. nullptr: not yet.
  std::optional<unsigned> (*field_size)(uint32_t type) = nullptr;
  // Whether its loader refuses a field that isn't zero. Elsewhere a field is written over, and an instruction around it
  // stays as it is.
  bool zero_fields = false;
  // Types whose fields hold no address of the kernel or of a module: the loader refuses them as an overflow.
  std::span<const uint32_t> too_narrow{};
  // Whether the kernel's loader applies a relocation of this type late, for livepatches. nullptr: every known one.
  bool (*late_relocation)(uint32_t type) = nullptr;
  // Whether the relocation is a branch to another function that does not come back, where a livepatch must not have
  // one (ppc64: the caller's TOC pointer would not be restored). nullptr: it may have any.
  bool (*is_sibling_call)(const CodeSection& section, const Relocation& relocation) = nullptr;
  // The kernel's functions by which a livepatch takes back late relocations of a module that goes, where the kernel
  // itself does not and would refuse them the next time: the first that it has. kpatch-clear.h knows each. Empty: no
  // kernel of this architecture refuses them.
  std::span<const std::string_view> takes_back_by{};
  std::string_view lost_by_sibling_call{};  // what the caller then doesn't get back
};

// What kbuild and the linker do.
struct KbuildFacts {
  std::string_view folder{};  // below arch/ of the kernel's source, and ARCH= of its make
  std::string_view option{};  // set in the config of each kernel of it: "X86_64"
  std::string_view cross{};   // CROSS_COMPILE= on other machines, as distributions name the programs
  std::string_view image{};   // of a kernel that can boot, relative to the build folder; empty: not known yet
  // An option with which kbuild runs objtool over whole modules by itself (scripts/Makefile.lib, since 5.18); empty when
  // no option of the architecture does that.
  std::string_view whole_objects_option{};
  // Beginnings of names by which objtool knows what it rewrites.
  std::span<const std::string_view> objtool_symbols{};
  // Beginnings of names that kbuild links into each module, or that the linker makes: never the kernel's own.
  std::span<const std::string_view> module_symbols{};
};

// What distributions call it in the release of a kernel.
struct DistroFacts {
  std::string_view debian{};  // "6.1.0-56-amd64"
  std::string_view rpm{};     // as uname -m has it: "5.14.0-503.el9.x86_64"
  // The compressed vmlinux in the image that boots; empty when it is none, or isn't known to be one.
  std::span<const std::byte> (*payload)(std::span<const std::byte> image) = nullptr;
};

// The field that a relocation fills.
struct RelocatedField {
  unsigned width = 0;     // bytes
  bool relative = false;  // to its own address …
  unsigned to_end = 0;    // … and in code mostly so many bytes before the place from which the processor counts
  uint32_t type = 0;      // of types with one meaning the same
  // Of an instruction that holds the field among other bits: those bits, and which of "symbol + addend" they tell, such as
  // the page alone. The field is then an instruction of `width` bytes, and ProofFacts::operand_of reads it.
  uint32_t instruction_bits = 0;
  uint64_t known_bits = UINT64_MAX;
};

struct Disassembled {
  std::string text{};
  uint64_t length = 0;  // bytes
};

// How compiled code is compared with shipped code. `ours` and `theirs` are a function as compiled and as shipped.
struct ProofFacts {
  std::optional<RelocatedField> (*field)(uint32_t type) = nullptr;  // nothing for types that are not known
  // What an instruction with a field of its own (RelocatedField::instruction_bits), at `address`, says of "symbol + addend":
  // its known_bits, the other ones zero.
  uint64_t (*operand_of)(uint32_t type, uint32_t instruction, uint64_t address) = nullptr;
  // Bytes of the branch at `at` that is a NOP as shipped, because objtool rewrote it (static branches); 0 when not.
  uint64_t (*branch_made_nop)(std::span<const std::byte> ours, std::span<const std::byte> theirs,
                              uint64_t at) = nullptr;
  // The call whose relocated field is at `field`, when it is a NOP as shipped (ftrace sites, sanitizers); else empty.
  CodeRange (*call_made_nop)(std::span<const std::byte> ours, std::span<const std::byte> theirs,
                             uint64_t field) = nullptr;
  // For messages; nothing where no instruction is.
  std::optional<Disassembled> (*disassemble)(std::span<const std::byte> code, uint64_t at) = nullptr;
};

// Calls that the kernel, or its build, rewrites: each must be listed.
struct ListedCall {
  std::string_view callee{};
  bool prefix = false;       // all callees that begin so
  std::string_view table{};  // of places
  uint64_t entry_size = 0;
  uint64_t most_before = 0;  // bytes from the instruction's start to its relocated field, at most
  bool written = false;      // the kernel writes to each place that is listed: nothing else may be there
};

// What objtool leaves for the unwinder, one entry a place from which on the stack has a form.
struct UnwindTable {
  std::string_view name{};          // for messages
  std::string_view places{};        // the section with 32-bit places in code …
  std::string_view entries{};       // … and the one with what is known of each
  std::string_view kernels_sign{};  // what vmlinux has where its kernel unwinds by it
  uint64_t entry_size = 0;
  bool (*undefined)(std::span<const std::byte> entry) = nullptr;  // nothing is known about the stack from here on
};

// How the code of a finished module is judged.
struct AuditFacts {
  std::span<const ListedCall> calls{};
  uint64_t branch_before = 0;  // bytes from a branch's start to its relocated field, at most
  // Whether the relocated field is a branch's, and no operand that takes an address.
  bool (*is_branch)(std::span<const std::byte> code, uint32_t type, uint64_t field) = nullptr;
  // Where the relocation takes an address: how many bytes it lies behind symbol + addend. Nothing where it doesn't.
  std::optional<int64_t> (*address_taken)(const CodeSection& section, uint32_t type, uint64_t field) = nullptr;
  const UnwindTable* unwind_table = nullptr;  // nullptr: the kernel needs none
  // What its loader reads of a module, and what it reads of vmlinux alone, beside what all architectures do.
  std::span<const LoaderSection> (*loader_sections)() = nullptr;
  std::span<const BootSection> (*boot_sections)() = nullptr;
  uint64_t (*instruction_length)(std::span<const std::byte> code, uint64_t at) = nullptr;  // 0: there is none
  // Bytes at `at` that stand between functions: an instruction that does nothing, or a trap; 0 for others.
  uint64_t (*padding)(std::span<const std::byte> code, uint64_t at) = nullptr;
  // Whether the instruction calls a place that it names itself.
  bool (*is_direct_call)(std::span<const std::byte> code, uint64_t at) = nullptr;
  std::string_view call_table{};  // where objtool lists those, in 32-bit places; empty: nowhere
};

// One constant an architecture. What is nullptr here, or in KlpFacts "not yet", nobody has written yet: missing_parts()
// tells it.
struct Arch {
  ElfFacts elf;
  CodeFacts code;
  FtraceFacts ftrace;
  std::span<const TableFacts> tables;
  KlpFacts klp;
  KbuildFacts kbuild;
  DistroFacts distro;
  const ProofFacts* proof = nullptr;
  const AuditFacts* audit = nullptr;

  const TableFacts* table(std::string_view section) const;
  std::vector<std::string_view> entry_structs() const;  // of which tables consist; sorted
  bool in_each_module(std::string_view symbol) const;   // one of kbuild.module_symbols
};

// CodeFacts::numbers_only for instructions of four bytes, little-endian. find_number(original, patched) fills the
// numbers, or says that the two words differ in more.
bool numbers_only_in_words(std::span<const std::byte> orig, std::span<const std::byte> patched,
                           const std::function<bool(const NumberChange&)>& is_line,
                           bool (*find_number)(uint32_t orig, uint32_t patched, NumberChange& change));

// Whether one of the four-byte instructions in [begin, end) branches to a place outside. distance() gives a branch's
// distance in bytes, counted from its own place; nothing for other instructions.
bool escapes_in_words(std::span<const std::byte> code, uint64_t begin, uint64_t end,
                      std::optional<int64_t> (*distance)(uint32_t instruction));

// The four-byte instruction that covers `at`.
CodeRange word_at(std::span<const std::byte> code, uint64_t from, uint64_t at);

uint32_t little_endian_word(std::span<const std::byte> code, uint64_t at);
// The lowest `bits` bits of value, sign-extended.
int64_t sign_extend(uint64_t value, unsigned bits);

// TableFacts::length_offset of alt_instr where it has 12 bytes: its last one is the length of the replacement.
uint32_t last_of_twelve(uint64_t entry_size);

// nullptr when the machine (ELF e_machine) is not supported.
const Arch* find_arch(uint16_t machine);

// All that are supported.
std::span<const Arch* const> architectures();

// Why no livepatch can be made for kernels of the machine yet, as a sentence without full stop; empty when one can.
std::string missing_parts(uint16_t machine);

// "arm64"; of machines that are not supported "ELF machine 8".
std::string arch_name(uint16_t machine);

// The machine that this program was built for: that of a kernel which runs here.
uint16_t host_machine();

extern const Arch arch_arm64;
extern const Arch arch_loongarch64;
extern const Arch arch_ppc64le;
extern const Arch arch_s390x;
extern const Arch arch_x86_64;

}  // namespace kpatch
