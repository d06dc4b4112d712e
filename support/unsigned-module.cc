#include "support/unsigned-module.h"

#include <cstdint>

namespace kpatch {

// kernel: struct module_signature of include/linux/module_signature.h, its last four bytes the signature's length.
std::string_view without_signature(std::string_view module) {
  constexpr std::string_view mark = "~Module signature appended~\n";
  constexpr size_t size = 12;
  while (module.ends_with(mark) && module.size() >= mark.size() + size) {
    const std::string_view rest = module.substr(0, module.size() - mark.size());
    uint64_t length = 0;
    for (const char c : rest.substr(rest.size() - 4)) length = length << 8 | static_cast<unsigned char>(c);
    if (length > rest.size() - size) break;
    module = rest.substr(0, rest.size() - size - length);
  }
  return module;
}

}  // namespace kpatch
