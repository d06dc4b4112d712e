// The audit of any bytes against itself as vmlinux and as every module.
#include "klp/audit.h"

#include <optional>

#include "fuzz/input-file.h"
#include "support/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kpatch::InputFile input(data, size);
  try {
    kpatch::Binary parent = kpatch::Binary::open(input.path());
    kpatch::Symvers symvers;
    kpatch::audit({input.path(), "x", "6.12", &parent, &symvers, [&](std::string_view) { return &parent; }});
  } catch (const kpatch::Error&) {
  }
  return 0;
}
