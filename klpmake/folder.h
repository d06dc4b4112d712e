// The folder in which klpmake is run, and the kernel that it is for.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "klpmake/conf.h"
#include "kpatch-build/kpatch-build.h"

namespace kpatch {

// A livepatch's folder, and what stands in it.
struct Folder {
  std::filesystem::path path;
  std::string name;  // of the module

  std::filesystem::path file(std::string_view name) const { return path / name; }
  // The one patch of the folder. Throws Error when there is none, or several.
  std::filesystem::path patch() const;
};
// Throws Error when the folder's name is no module's.
Folder folder_of(const std::filesystem::path& path);

// The configuration, hand-written or step 0's; nothing when there is none.
std::optional<Conf> read_conf(const Folder& folder);

// source, debug: -s and -b, or src-root and debug-root; empty: the release's source, the machine's kernel. Throws Error when
// a folder isn't what it should be.
Options kernel_options(const std::filesystem::path& source, const std::filesystem::path& debug);

}  // namespace kpatch
