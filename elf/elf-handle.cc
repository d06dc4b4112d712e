#include "elf/elf-handle.h"

namespace kpatch {

ElfHandle open_elf(std::span<const std::byte> image) {
  elf_version(EV_CURRENT);
  return ElfHandle(elf_memory(const_cast<char*>(reinterpret_cast<const char*>(image.data())), image.size()));
}

SymbolType symbol_type(const GElf_Sym& symbol) {
  switch (GELF_ST_TYPE(symbol.st_info)) {
    case STT_OBJECT:
      return SymbolType::object;
    case STT_FUNC:
      return SymbolType::function;
    case STT_SECTION:
      return SymbolType::section;
    case STT_FILE:
      return SymbolType::file;
    case STT_COMMON:
      return SymbolType::common;
    case STT_TLS:
      return SymbolType::tls;
    case STT_GNU_IFUNC:
      return SymbolType::ifunc;
    default:
      return SymbolType::none;
  }
}

SymbolBinding symbol_binding(const GElf_Sym& symbol) {
  switch (GELF_ST_BIND(symbol.st_info)) {
    case STB_LOCAL:
      return SymbolBinding::local;
    case STB_WEAK:
      return SymbolBinding::weak;
    default:
      return SymbolBinding::global;
  }
}

}  // namespace kpatch
