// Post-link of any bytes: an Error or a file that post-link itself can read again.
#include "klp/post-link.h"

#include "fuzz/input-file.h"
#include "support/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::filesystem::path out =
      std::filesystem::temp_directory_path() / ("fuzz-post-link-" + std::to_string(getpid()));
  kpatch::InputFile input(data, size);
  try {
    kpatch::post_link(input.path(), out);
  } catch (const kpatch::Error&) {
    return 0;
  }
  // What was read once must be readable after it was written.
  kpatch::post_link(out, out);
  return 0;
}
