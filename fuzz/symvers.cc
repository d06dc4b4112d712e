// Any bytes as Module.symvers.
#include "lookup/symvers.h"

#include "fuzz/input-file.h"
#include "support/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kpatch::InputFile input(data, size);
  try {
    kpatch::Symvers::read(input.path()).find("printk");
  } catch (const kpatch::Error&) {
  }
  return 0;
}
