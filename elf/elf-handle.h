// What every reader of ELF files needs of libelf.
#pragma once

#include <gelf.h>
#include <libelf.h>

#include <cstddef>
#include <memory>
#include <span>

#include "elf/symbol-types.h"

namespace kpatch {

struct ElfEnd {
  void operator()(Elf* elf) const { elf_end(elf); }
};
using ElfHandle = std::unique_ptr<Elf, ElfEnd>;

// A descriptor for an image in memory, which must outlive it and is only read: what libelf has to convert it keeps
// elsewhere. Empty when the image is nothing that libelf knows. What elf_rawdata() and elf_strptr() give lies in the
// image itself, unless the section is compressed.
ElfHandle open_elf(std::span<const std::byte> image);

// STT_* and STB_*; what the kernel never uses counts as none, and as global.
SymbolType symbol_type(const GElf_Sym& symbol);
SymbolBinding symbol_binding(const GElf_Sym& symbol);

}  // namespace kpatch
