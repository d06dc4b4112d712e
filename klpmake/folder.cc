// A folder with vmlinux says which release
//
//     -b /usr/lib/debug/boot       vmlinux, or Debian's vmlinux-6.12.117+deb12-cloud-amd64; below it also boot/ and
//                                  usr/lib/debug/boot/
//     -s linux-6.12                another source than the package's
#include "klpmake/folder.h"

#include <fmt/core.h>

#include <algorithm>
#include <vector>

#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string;

fs::path vmlinux_in(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const char* below : {"", "boot", "lib/debug/boot", "usr/lib/debug/boot"}) {
    for (const auto& entry : entries_if_any(below[0] == '\0' ? folder : folder / below)) {
      const string name = entry.path().filename().string();
      std::error_code unknown;
      if ((name == "vmlinux" || name.starts_with("vmlinux-")) && entry.is_regular_file(unknown))
        found.push_back(entry.path());
    }
    if (!found.empty()) break;
  }
  if (found.empty()) throw Error(fmt::format("{}: there is no vmlinux in it", folder.string()));
  if (found.size() > 1)
    throw Error(fmt::format("{}: has {} and {}; name a folder with one", folder.string(), found[0].filename().string(),
                            found[1].filename().string()));
  return found.front();
}

}  // namespace

Options kernel_options(const fs::path& source, const fs::path& debug) {
  Options options;
  if (!debug.empty()) options.vmlinux = vmlinux_in(fs::absolute(debug));
  // What step 0 wrote down of the release's own source.
  const bool ours = !source.empty() && fs::absolute(source).string().starts_with(Cache::default_root().string() + "/");
  if (!source.empty() && !ours) {
    options.source = fs::absolute(source);
    if (!fs::is_directory(options.source / "kernel"))
      throw Error(fmt::format("{}: is no kernel source", source.string()));
  }
  return options;
}

fs::path Folder::patch() const {
  std::vector<string> found;
  for (const auto& entry : entries_of(path))
    if (entry.path().extension() == ".patch") found.push_back(entry.path().filename().string());
  if (found.empty()) throw Error(fmt::format("{}: there is no .patch in the folder", path.string()));
  if (found.size() > 1)
    throw Error(fmt::format("{}: has {} patches, {}; exactly one is expected", path.string(), found.size(),
                            joined(found, ", ")));
  return path / found.front();
}

Folder folder_of(const fs::path& path) {
  Folder folder{fs::canonical(path), {}};
  folder.name = folder.path.filename().string();
  const bool plain =
      folder.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == string::npos && !folder.name.empty();
  if (!plain || folder.name.size() > 55)
    throw Error(fmt::format("the folder's name, '{}', is the module's: at most 55 of a-z, 0-9 and _", folder.name));
  return folder;
}

std::optional<Conf> read_conf(const Folder& folder) {
  for (const char* name : {"klpsrc.conf", "_klpsrc.conf"}) {
    if (!fs::exists(folder.file(name))) continue;
    Conf conf = parse_conf(read_file(folder.file(name)), name);
    if (!conf.name.empty() && conf.name != folder.name)
      throw Error(fmt::format("{}: obj-m is {}, and the folder is {}: the module is called as the folder", name,
                              conf.name, folder.name));
    return conf;
  }
  return std::nullopt;
}

}  // namespace kpatch
