// The compile units of a file's DWARF, one after the other.
#pragma once

#include <dwarf.h>
#include <elfutils/libdw.h>

namespace kpatch {

// Calls use(unit entry) for each compile unit until it returns false.
template <typename Use>
void for_each_unit(Dwarf* dwarf, Use use) {
  Dwarf_CU* unit = nullptr;
  Dwarf_Half version;
  uint8_t type;
  Dwarf_Die die;
  while (dwarf_get_units(dwarf, unit, &unit, &version, &type, &die, nullptr) == 0) {
    if (dwarf_tag(&die) != DW_TAG_compile_unit) continue;
    if (!use(die)) return;
  }
}

}  // namespace kpatch
