// What the kernel's module loader and livepatch core ask of a module, whatever the architecture.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kpatch {

// include/uapi/linux/elf.h; libelf's header does not have them. The loader
// leaves relocations and symbols with these to the livepatch core (kernel/module/main.c, apply_relocations and
// simplify_symbols; kernel/module.c before 5.18).
inline constexpr uint64_t shf_rela_livepatch = 0x00100000;
inline constexpr uint16_t shn_livepatch = 0xff20;

// MODULE_NAME_LEN and KSYM_NAME_LEN as kernel/livepatch/core.c reads names: "%55[^.]", "%511[^,]" (since 6.1;
// "%127[^,]" before).
inline constexpr size_t max_object_name = 55;
inline constexpr size_t max_symbol_name = 511;

}  // namespace kpatch
