// Types and bindings of symbols, as far as kernels have them.
#pragma once

#include <cstdint>

namespace kpatch {

enum class SymbolType : uint8_t { none, object, function, section, file, common, tls, ifunc };
enum class SymbolBinding : uint8_t { local, global, weak };

}  // namespace kpatch
