#include "lookup/module-names.h"

#include <algorithm>

namespace kpatch {

std::optional<std::string_view> module_path_of(std::string_view file) {
  for (const std::string_view ending : module_endings)
    if (file.ends_with(ending)) return file.substr(0, file.size() - ending.size());
  return std::nullopt;
}

std::string module_name_of(std::string_view path) {
  path = module_path_of(path).value_or(path);
  std::string name(path.substr(path.rfind('/') + 1));
  // scripts/Makefile.lib, name-fix-token, since 5.5 (before: name-fix).
  std::ranges::replace_if(
      name, [](char c) { return c == '-' || c == ','; }, '_');
  return name;
}

}  // namespace kpatch
