// Any text as what `make -n` printed, as a path of a patch, and as a Kconfig file: an Error, or commands that have what
// one needs.
#include "kbuild/make-output.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "kbuild/file-role.h"
#include "support/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  kpatch::file_verdict(text, "x86");
  kpatch::file_verdict(text, "");
  if (!kpatch::same_options(text, text)) std::abort();
  kpatch::same_options(text.substr(0, size / 2), text.substr(size / 2));
  try {
    for (const auto& words : kpatch::split_shell(text))
      if (words.empty()) std::abort();
  } catch (const kpatch::Error&) {
  }
  try {
    for (const kpatch::CompileCommand& command : kpatch::parse_commands(text, "/src")) {
      const auto& words = command.arguments;
      const auto output = std::ranges::find(words, "-o");
      if (words.size() < 5 || output == words.end() || output + 1 == words.end() || !command.object.ends_with(".o") ||
          command.source.empty())
        std::abort();
    }
  } catch (const kpatch::Error&) {
  }
  return 0;
}
