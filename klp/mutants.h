// Modules that are wrong in one small way, made from a good one: what the audit and the delivery check have to refuse.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "arch/arch.h"
#include "elf/elf.h"
#include "lookup/lookup.h"

namespace kpatch {

// A kind of mistake. make() puts the mistake number `which` into a copy of the module, and says what it did. Numbers go
// from 0 on; past the last one it gives nothing. A number whose mistake would change nothing (the other symbol is the
// same one, the byte is padding) gives an empty text, and leaves the module as it is.
struct MutantKind {
  std::string_view name;
  std::optional<std::string> (*make)(KlpElf& module, const Binary& vmlinux, size_t which);
};

std::span<const MutantKind> mutant_kinds();

}  // namespace kpatch
