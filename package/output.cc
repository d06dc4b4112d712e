#include "package/output.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "support/text.h"

namespace kpatch {

std::string last_lines(const std::string& output) {
  constexpr size_t most = 30;
  const std::vector<std::string_view> lines = lines_of(output);
  std::string text = lines.empty() ? "" : ":";
  for (size_t i = lines.size() - std::min(most, lines.size()); i < lines.size(); ++i)
    text += fmt::format("\n  {}", lines[i]);
  return text;
}

}  // namespace kpatch
