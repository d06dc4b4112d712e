// Any text as a .config, alone and against another one (the text behind the first NUL), as a key of the cache, and as
// the list of a source's files.
#include "kernel/config.h"

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "kernel/cache.h"
#include "kernel/source-tree.h"
#include "support/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(text.find('\0'), size);
  try {
    const kpatch::KernelConfig shipped = kpatch::KernelConfig::parse(text.substr(0, end));
    const kpatch::KernelConfig ours = kpatch::KernelConfig::parse(text.substr(std::min(end + 1, size)));
    kpatch::missing_options(shipped);
    if (!kpatch::config_differences(shipped, shipped, false).empty()) std::abort();
    kpatch::config_differences(shipped, ours, true);
    kpatch::lost_options(shipped, ours);
    kpatch::require_no_random_code(shipped, "the config", false);
  } catch (const kpatch::Error&) {
  }
  const auto value = kpatch::CacheKey::field(kpatch::CacheKey().add("name", text).text(), "name");
  if (!value || *value != text) std::abort();  // what was written is read again
  kpatch::CacheKey::field(text, "name");
  if (const auto files = kpatch::parse_manifest(text))
    if (kpatch::parse_manifest(kpatch::format_manifest(*files))->size() != files->size()) std::abort();
  return 0;
}
