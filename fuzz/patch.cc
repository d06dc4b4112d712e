// Any bytes as a patch: an Error, or files whose paths stay below the source and whose hunks hold what they say.
#include "patch/read.h"

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "support/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    kpatch::PatchFile patch = kpatch::parse_patch("fix.patch", text);
    bool there = false;
    kpatch::resolve_paths(patch, [&](const std::string&) { return there = !there; });
    for (const kpatch::FilePatch& file : patch.files) {
      for (const std::string& path : {file.old_path, file.new_path})
        if (!path.empty() && path != "/dev/null" && !kpatch::safe_path(path)) std::abort();
      for (const kpatch::Hunk& hunk : file.hunks)
        if (hunk.old_side().size() != hunk.old_count || hunk.new_side().size() != hunk.new_count) std::abort();
    }
  } catch (const kpatch::Error&) {
  }
  return 0;
}
