// Installed data files: found relative to the running program, so that an installed tree can be moved.
//
//     PREFIX/bin/kpatch-build        ->  PREFIX/share/kpatch/NAME
//     BUILD/kpatch-build/kpatch-build  ->  the source tree that BUILD/support/source-root names
#include "support/data.h"

#include <fmt/format.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {

std::filesystem::path data_file(std::string_view name) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::path program = fs::read_symlink("/proc/self/exe", error);
  fs::path top = program.parent_path().parent_path();
  std::vector<fs::path> places;
  if (const char* given = std::getenv("KPATCH_DATA_DIR"); given && *given) places.emplace_back(given);
  const std::string source_root = read_file_if_any(top / "support/source-root");
  if (const auto lines = lines_of(source_root); !lines.empty()) places.emplace_back(lines[0]);
  places.push_back(top / "share/kpatch");
  for (auto& place : places)
    if (fs::exists(place / name, error)) return fs::absolute(place / name, error).lexically_normal();
  throw Error(fmt::format("the installation is incomplete: {} is missing from {}", name, places.back().string()));
}

}  // namespace kpatch
