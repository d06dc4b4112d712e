#include "create-diff-object/arch.h"

#include <array>

namespace kpatch {

const TableFacts* Arch::table(std::string_view section) const {
  for (const TableFacts& facts : tables)
    if (facts.section == section) return &facts;
  return nullptr;
}

const Arch* find_arch(uint16_t machine) {
  static constexpr auto all = std::to_array<const Arch*>({&arch_x86_64});
  for (const Arch* arch : all)
    if (arch->machine == machine) return arch;
  return nullptr;
}

}  // namespace kpatch
