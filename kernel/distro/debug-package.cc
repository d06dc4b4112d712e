// The symbols of modules, out of a debug package that was kept.
//
// A debug package is vmlinux and all modules, 0.3 and 1.8 GB of the cloud flavour, 1 and 6 GB of the generic one. vmlinux comes
// first and is always wanted; of the modules those are that a patch changes, often none. So the package stays as it is in
// its entry of the cache, and a module's file is added to what was unpacked when it is asked for:
//
//     packages/7933…/linux-image-R-dbg_….deb
//     packages/7933…/usr/lib/debug/lib/modules/R/kernel/net/netfilter/xt_comment.ko
//
// In an .rpm it is xt_comment.ko.debug, symbols alone, and is joined with the shipped module (unstrip.h).
//
// xz can only be read from the start, so one pass takes all modules of a patch. It is made under the entry's lock, in a
// folder of its own that is looked through like any package's (unpacked.cc); a file comes to its place by a rename.
#include "kernel/distro/debug-package.h"

#include <fmt/format.h>

#include <filesystem>
#include <set>
#include <vector>

#include "kernel/distro/apt.h"
#include "kernel/distro/unpacked.h"
#include "kernel/distro/unstrip.h"
#include "support/archive.h"
#include "support/error.h"
#include "support/files.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

struct RemovedAtEnd {
  explicit RemovedAtEnd(fs::path to_remove) : path(std::move(to_remove)) {}
  ~RemovedAtEnd() { remove_tree(path); }
  RemovedAtEnd(const RemovedAtEnd&) = delete;
  RemovedAtEnd& operator=(const RemovedAtEnd&) = delete;
  fs::path path;
};

// What tar would take for a pattern is no name of a module.
bool has_plain_name(const std::string& module) { return module.find_first_of("*?[]\\") == std::string::npos; }

std::vector<std::string> missing(const Base& base, std::span<const std::string> modules) {
  std::vector<std::string> result;
  std::error_code ignored;
  for (const std::string& module : modules)
    if (!module.empty() && has_plain_name(module) && !fs::exists(base.debug_modules / (module + ".ko"), ignored))
      result.push_back(module);
  return result;
}

// Of a package that ended without giving all that was asked for: is it whole?
void require_whole(const fs::path& package, const CommandResult& result, Executor& executor) {
  const CommandResult whole =
      executor.run({.argv = {"sh", "-c", R"(dpkg-deb --fsys-tarfile "$1" >/dev/null)", "sh", package.string()},
                    .directory = {},
                    .environment = {},
                    .ours = true});
  if (!whole.ok()) executor.fail("can't unpack " + package.filename().string(), result);
}

// Where a module's symbols may lie in a debug package: /lib is in /usr since Debian 13.
std::vector<std::string> places_of(const std::string& module, const std::string& release) {
  std::vector<std::string> places;
  for (const char* lib : {"lib", "usr/lib"})
    for (const char* end : {".ko", ".ko.debug"})
      places.push_back(fmt::format("usr/lib/debug/{}/modules/{}/kernel/{}{}", lib, release, module, end));
  return places;
}

void unpack_from_deb(const fs::path& package, const std::string& release, std::span<const std::string> modules,
                     const fs::path& folder, Executor& executor) {
  DebFiles files{package, {}};
  for (const std::string& module : modules)
    files.patterns.push_back(fmt::format("./usr/lib/debug/*lib/modules/{}/kernel/{}.ko", release, module));
  const CommandResult result = executor.run(unpack_files_command(files, folder));
  if (!result.ok()) require_whole(package, result, executor);
}

void unpack_from_rpm(const fs::path& package, const std::string& release, std::span<const std::string> modules,
                     const fs::path& folder) {
  std::set<std::string> wanted;
  for (const std::string& module : modules)
    for (std::string& place : places_of(module, release)) wanted.insert(std::move(place));
  extract(package, folder, [&](std::string_view path) {
    while (path.starts_with("./") || path.starts_with('/')) path.remove_prefix(path.find('/') + 1);
    return wanted.contains(std::string(path));
  });
}

// The shipped module alone will do where that fails: it has all symbols, if not their lines.
bool join_with_shipped(const Base& base, const std::string& module, const fs::path& debug, const fs::path& to,
                       Executor& executor, Console& console) {
  std::error_code ignored;
  for (const char* end : {".ko", ".ko.xz", ".ko.zst", ".ko.gz"}) {
    const fs::path shipped = base.modules / (module + end);
    if (!fs::exists(shipped, ignored)) continue;
    try {
      unstrip(shipped, debug, to, executor);
      return true;
    } catch (const Error& error) {
      console.debug(error.what());
    }
  }
  return false;
}

}  // namespace

void unpack_debug_modules(const Base& base, std::span<const std::string> modules, Cache& cache, Executor& executor,
                          Console& console) {
  if (base.debug_package.empty() || base.debug_modules.empty() || missing(base, modules).empty()) return;
  const fs::path entry = base.debug_package.parent_path();
  const std::string release = base.debug_modules.parent_path().filename(), name = base.debug_package.filename();
  const FileLock adding = cache.lock(entry.string() + ".lock", "the symbols of modules of " + release);
  const std::vector<std::string> wanted = missing(base, modules);
  if (wanted.empty()) return;
  Console::Stage stage(console, "unpacking symbols");
  stage.note(fmt::format("{} module{}", wanted.size(), wanted.size() == 1 ? "" : "s"));
  const RemovedAtEnd unpacked(entry / ".unpacked-symbols");
  remove_tree(unpacked.path);
  fs::create_directory(unpacked.path);
  if (base.debug_package.extension() == ".rpm")
    unpack_from_rpm(base.debug_package, release, wanted, unpacked.path);
  else
    unpack_from_deb(base.debug_package, release, wanted, unpacked.path, executor);
  clean_unpacked(unpacked.path, name, Links::anywhere);
  for (const std::string& module : wanted)
    for (const std::string& place : places_of(module, release)) {
      fs::path file = unpacked.path / place;
      std::error_code error;
      if (!fs::exists(file, error)) continue;
      require_inside(file, unpacked.path, name);
      if (!fs::is_regular_file(fs::symlink_status(file, error))) continue;
      if (file.extension() == ".debug") {
        const fs::path joined = unpacked.path / "joined";
        if (!join_with_shipped(base, module, file, joined, executor, console)) continue;
        file = joined;
      }
      const fs::path to = base.debug_modules / (module + ".ko");
      make_folders(entry, to.parent_path().lexically_relative(entry), name);
      fs::rename(file, to, error);
      if (error) throw Error(fmt::format("can't write {}: {}", to.string(), error.message()));
    }
}

}  // namespace kpatch
