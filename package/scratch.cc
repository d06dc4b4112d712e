#include "package/scratch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {

Scratch::Scratch() {
  std::string name = (std::filesystem::temp_directory_path() / "kpatch-package-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr)
    throw Error(fmt::format("can't make a folder like {}: {}", name, std::strerror(errno)));
  path_ = name;
}

Scratch::~Scratch() { remove_tree(path_); }

std::string last_lines(const std::string& output) {
  constexpr size_t most = 30;
  const std::vector<std::string_view> lines = lines_of(output);
  std::string text = lines.empty() ? "" : ":";
  for (size_t i = lines.size() - std::min(most, lines.size()); i < lines.size(); ++i)
    text += fmt::format("\n  {}", lines[i]);
  return text;
}

}  // namespace kpatch
