// An assembler writes a local variable as a place in its section. Where sections hold several variables, the end of one
// is the beginning of the next, and a loop that stops at its array's end has that address:
//
//     .data..read_mostly:   loggers (kernel's)   denied (new)        for (p = loggers; p < loggers + 26; ++p)
//
// Where the two don't go to the same place this must be told, and isn't: refused where the code takes the address, and
// refers to the first one as well, or to its end in the kernel that runs.
#include "create-diff-object/array-end.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>

#include "arch/arch.h"
#include "create-diff-object/places.h"

namespace kpatch {
namespace {

// Whether the original's code of a symbol refers to the place behind an array.
bool had_end_of(const Object& orig, SymbolId array, SymbolId user) {
  if (array == no_symbol || user == no_symbol) return false;
  const Symbol& a = orig.symbol(array);
  const Object::Extent extent = orig.extent(user);
  return std::ranges::any_of(
      orig.relocations(orig.symbol(user).section, extent.begin, extent.end), [&](const Relocation& r) {
        const Target target = orig.target(r);
        const uint64_t base = target.symbol == no_symbol ? 0 : orig.symbol(target.symbol).value;
        return target.section == a.section && base + static_cast<uint64_t>(target.offset) == a.value + a.size;
      });
}

}  // namespace

bool is_another_end(const Pair& pair, const Chunk& chunk, const Relocation& r, const Target& target,
                    Diagnostics& diagnostics) {
  const Symbol& next = pair.patched.symbol(target.symbol);
  const SectionKind kind = pair.patched.section(target.section).kind;
  const bool variables = kind == SectionKind::data || kind == SectionKind::bss || kind == SectionKind::rodata;
  if (!variables || target.offset != 0 || target.symbol == r.symbol || next.type != SymbolType::object ||
      next.value == 0 || pair.patched.section(chunk.section).kind == SectionKind::table)
    return false;
  const SymbolId before = pair.patched.symbol_at(target.section, next.value - 1);
  if (before == no_symbol || pair.patched.symbol(before).type != SymbolType::object) return false;
  const Symbol& array = pair.patched.symbol(before);
  const SymbolId kernels_array = pair.twins.orig(before), kernels_next = pair.twins.orig(target.symbol);
  if (array.value + array.size != next.value) return false;
  if (kernels_array != no_symbol && kernels_next != no_symbol) {
    const Symbol &a = pair.orig.symbol(kernels_array), &b = pair.orig.symbol(kernels_next);
    if (a.section == b.section && a.value + a.size == b.value) return false;
  }
  const Section& home = pair.patched.section(chunk.section);
  const auto takes_address = pair.patched.arch().code.takes_address;
  if ((home.flags & SHF_EXECINSTR) != 0 && takes_address != nullptr && !takes_address(home.code(), chunk.begin, r))
    return false;
  const std::span<const Relocation> all = pair.patched.relocations(chunk.section, chunk.begin, chunk.end);
  const bool used =
      std::ranges::any_of(all, [&](const Relocation& other) { return pair.patched.target(other).symbol == before; });
  if (!used && !had_end_of(pair.orig, kernels_array, pair.twins.orig(chunk.symbol))) return false;
  diagnostics.refuse(
      "array-end", chunk.place(pair.patched, r.offset),
      fmt::format("the address is the end of {} and the beginning of {}, which don't lie together any more, and the "
                  "object doesn't tell which is meant",
                  array.name, next.name),
      "give the new variable no section of its own (__read_mostly and the like), or put it elsewhere in the file");
  return true;
}

}  // namespace kpatch
