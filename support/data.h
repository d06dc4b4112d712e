// Files that are installed with the programs: kbuild/query.mk, kmod-template/*.
#pragma once

#include <filesystem>
#include <string_view>

namespace kpatch {

// name: relative to the top of the source, "kbuild/query.mk", "kmod-template/main.c" (or a folder). Looked for in
// the environment's KPATCH_DATA_DIR, then in the tree that the program was built in (when it runs from its build
// folder), then in the installed data folder. Throws Error when it is in none of them.
std::filesystem::path data_file(std::string_view name);

}  // namespace kpatch
