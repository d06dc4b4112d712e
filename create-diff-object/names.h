// What names of symbols mean: compiler suffixes are taken apart here and nowhere else.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kpatch {

// True for data whose contents or name no twin has: a copy is made whenever it is used (`__key.3`, `__func__.0`,
// `fn.__already_done`, `.LC4`, `CSWTCH.12`, `.Lubsan_data7`). The section kind covers once and verbose.
bool is_special_static(std::string_view name);
// The same for a section of such data whose symbol is not in the symbol table (`.data..Lubsan_data118`).
bool is_special_section(std::string_view name);
// Special statics whose bytes hold line numbers, so that only their relocations are compared (_entry, descriptor).
bool holds_line_number(std::string_view name);
// Per-CPU data, `.data..percpu` and its kinds (include/linux/percpu-defs.h).
bool is_per_cpu(std::string_view section);
// What a section of variables says of their memory: "percpu", "ro_after_init", "percpu..decrypted"; nothing where it is
// writable memory like any other, whatever place that has (`.data.v`, `.bss`, `.data..read_mostly`).
std::string_view memory_of(std::string_view section);
// Labels that take no part in comparing: `.L*`, the assembler's numeric ones (`1:` is "L1\001"), arm64's `$x`, `$d`.
bool is_local_label(std::string_view name);

// Symbols for the padding before a function (objtool's __pfx_f, clang's __cfi_f): part of the function behind them.
bool is_prefix_symbol(std::string_view name);

// A static local of gcc (`count.7`) or clang (`f.count`): an object with a dot in its name that is no special static.
bool is_static_local(std::string_view name);

// The name without what changes from one compile to the next: numbers of .isra.N, .constprop.N, .part.N, .cold.N,
// .lto_priv.N, hashes of .llvm.H, the number of a static local, the digits of __UNIQUE_ID_x123.
std::string symbol_stem(std::string_view name);
// True when symbol_stem() took something away.
bool is_mangled(std::string_view name);

// `f` for `f.cold`, `f.cold.3`, `f.part.0`, `f.part.0.cold` gives `f.part.0`; nothing for other names.
std::optional<std::string_view> part_parent(std::string_view name);
// `f` for `f.isra.0.part.1` and `f.cold`: the name that the source has.
std::string outermost_name(std::string_view name);
// Of a static local, "count.7" or "f.count", "count"; else the name itself.
std::string source_name(std::string_view symbol);
bool is_cold_part(std::string_view name);

// Whether section `section` is the one that the compiler makes for symbol `symbol` alone.
bool section_belongs_to(std::string_view section, std::string_view symbol, bool function);

}  // namespace kpatch
