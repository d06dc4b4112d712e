// sympos counts what kallsyms lists, and kallsyms does not list all of vmlinux's symbol table. A symbol that it
// leaves out must not be counted, or every later one of the same name gets a rank too high:
//
//   1a4: 0000000000000200  0 NOTYPE LOCAL DEFAULT ABS i        <- `i = 512` in head_64.S, not in kallsyms
//   2b7: ffffffff8389a0c0  4 OBJECT LOCAL DEFAULT  40 i        <- a static int i
//
// The filter is a chain in the kernel's build: `nm -n` (no FILE and SECTION symbols), scripts/mksysmap (by nm's type
// letter and by name) and scripts/kallsyms.c, is_ignored_symbol(). Older kernels (6.1) have the names in the last,
// newer ones (6.12) in the second; together they are what stands below. Dropped by type letter: undefined ones,
// absolute ones ('a', 'A'), debugging ones ('N', 'n': in a section that is not allocated).
// `__pfx_*` and `__cfi_*` symbols are listed and count, each under its own name.
//
// Two things that are not decided here: with CONFIG_KALLSYMS_ALL data symbols are listed; without it nothing but text
// would count, and such kernels are refused before anything is looked up. A module's symbols are not filtered: while it
// is being loaded the kernel walks its whole table (struct mod_kallsyms; UNDEF alone is skipped).
#include <array>
#include <cstdint>
#include <string_view>

#include <elf.h>

#include "lookup/binary-data.h"

namespace kpatch {

bool missing_from_kallsyms(const BinarySymbol& symbol, uint64_t section_flags) {
  static constexpr std::array<std::string_view, 13> prefixes = {
      "$",
      ".L",
      "__crc_",
      "__efistub_",
      "__kcfi_typeid_",
      "__kstrtab_",
      "__kstrtabns_",
      "__kvm_nvhe_$",
      "__kvm_nvhe_.L",
      "__kvm_nvhe___kcfi_typeid_",
      "__pi_$",
      "__pi_.L",
      "__pi___kcfi_typeid_",
  };
  static constexpr std::array<std::string_view, 3> suffixes = {"_from_arm", "_from_thumb", "_veneer"};
  static constexpr std::array<std::string_view, 2> patterns = {".long_branch.", ".plt_branch."};
  static constexpr std::array<std::string_view, 3> exact = {"L0", "_SDA_BASE_", "_SDA2_BASE_"};

  if (symbol.section == reserved_section(SHN_ABS) || symbol.section == SHN_UNDEF) return true;
  if ((section_flags & SHF_ALLOC) == 0) return true;
  std::string_view name = symbol.name;
  for (std::string_view prefix : prefixes)
    if (name.starts_with(prefix)) return true;
  for (std::string_view suffix : suffixes)
    if (name.ends_with(suffix)) return true;
  for (std::string_view pattern : patterns)
    if (name.find(pattern) != name.npos) return true;
  for (std::string_view other : exact)
    if (name == other) return true;
  // Long-range thunks of lld: __AArch64ADRPThunk_, __ARMV7PILongThunk_, __LA25Thunk_, …
  if (!name.starts_with("__")) return false;
  size_t word_end = name.find('_', 2);
  return word_end != name.npos && name.substr(0, word_end).ends_with("Thunk");
}

}  // namespace kpatch
