// What the sections of kernel code are: one table from which all ask. A section that a new kernel brings is entered
// there, and nowhere else.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace kpatch {

enum class SectionKind : uint8_t {
  null,         // SHT_NULL
  structure,    // symbol, string, relocation and group tables
  text,         // .text.NAME, .text.unlikely.NAME, .text.hot.NAME and .text itself
  shared_text,  // .sched.text, .noinstr.text, .cpuidle.text …: traced or not, but not split by function
  init,         // .init.*, .exit.*, .meminit.*: gone, or never run, when a livepatch is loaded
  data,         // .data.NAME and the like, writable
  rodata,       // .rodata.NAME and the like
  bss,
  strings,           // mergeable, NUL-terminated; characters have the entry size's width
  constants,         // mergeable, fixed size
  dyndbg,            // __dyndbg, __verbose: descriptors of dynamic debug, copied fresh
  out_of_line_code,  // .altinstr_replacement, .altinstr_aux, .fixup: code reached from table entries or by jumps
  toc,               // .toc (ppc64): slots of 8 bytes that hold addresses
  table,             // special section: entries that refer to functions, see Arch::tables
  objtool_notes,     // .discard.*: notes for objtool, entries travel with their function
  rebuilt,           // rebuilt by objtool or the linker: ORC and the like, only in objects that objtool has seen
  runtime_const,     // runtime_ptr_*, runtime_shift_*: patched once, at vmlinux's boot
  never_copied,      // tables that code refers to but that are never copied: __tracepoints, .static_call.text …
  ignored,           // exports, initcalls, parameters, kprobe blacklists: say nothing about a function's code
  author_macros,     // .kpatch.*: author macros
  debug,             // debug information, notes, .comment
  unknown,
};

// A row of the table. Attributes are asked of a section's name alone.
struct SectionRow {
  std::string_view name;
  bool prefix = false;  // for all names that begin with it; else for the whole name
  SectionKind kind = SectionKind::unknown;
  // The kernel reads it, or frees it, before it applies the relocations of a module that come late, when another
  // module does: such a relocation there would have no effect.
  bool early = false;
  bool delivered = false;  // may be in a finished livepatch module
  bool positions = false;  // refers to code as places only: nobody branches through what it holds
  bool discarded = false;  // the kernel's linker scripts leave it out: what it defines isn't in what runs
};

// All rows; the first that fits a name is the one.
std::span<const SectionRow> section_rows();

// The row of a section; one without name and attributes for a section that nobody has thought about.
const SectionRow& section_row(std::string_view name);

// What an object's header says of a section.
struct SectionFacts {
  std::string_view name;
  uint32_t type = 0;
  uint64_t flags = 0;
  uint64_t entry_size = 0;
};

// The kind of a section from its name, type and flags. Tables are the architecture's: `is_table` says whether it knows
// the name as one.
SectionKind classify_section(const SectionFacts& section, bool is_table);

// The symbol of a key of the livepatch's own, for branches on tracepoints of the module that it patches: nobody turns it on.
// By name, since a module's linker script may join the sections (6.19's does).
inline constexpr std::string_view off_key_symbol = "kpatch_off_key";

// Entries of KPATCH_ATTEMPT() (kmod-template/kpatch-attempts.h): new data of the functions that count, from 0 on.
inline constexpr std::string_view attempts_section = ".kpatch.attempts";

}  // namespace kpatch
