// A kernel source that comes as a source package: .dsc (Debian) or .src.rpm.
//
// dpkg-source applies a .dsc's patches itself. A .src.rpm is a cpio archive of tarballs, patches and a spec file; the
// kernel's is a tarball that holds the distribution's changes already, besides the small patches that the spec lists,
// which only rpmbuild could apply: they are named in a warning.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kernel/distro/debian.h"
#include "support/error.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

void run_tool(const std::vector<std::string>& argv, const fs::path& directory, const char* package,
              const fs::path& file, Runner& runner) {
  CommandResult result;
  try {
    result = runner.run({argv, directory, {}});
  } catch (const Error& error) {
    throw Error(fmt::format("can't unpack {}: {} (apt-get install {})", file.string(), error.what(), package));
  }
  if (result.ok()) return;
  if (result.status == 127)
    throw Error(fmt::format("can't unpack {}: a tool is missing (apt-get install {})", file.string(), package));
  runner.fail("can't unpack " + file.string(), result);
}

void unpack_dsc(const fs::path& file, const fs::path& directory, Runner& runner) {
  run_tool({"dpkg-source", "--no-check", "-x", file.string(), (directory / "tree").string()}, directory, "dpkg-dev",
           file, runner);
}

void unpack_rpm(const fs::path& file, const fs::path& directory, Runner& runner, Console& console) {
  fs::path parts = directory / "parts";
  fs::create_directories(parts);
  // rpm2cpio writes to stdout; positional parameters keep odd file names out of the shell's hands.
  run_tool(
      {"sh", "-c",
       "command -v rpm2cpio >/dev/null && command -v cpio >/dev/null || exit 127; rpm2cpio \"$1\" | cpio -id --quiet",
       "sh", file.string()},
      parts, "rpm2cpio cpio", file, runner);
  fs::path tarball;
  std::vector<std::string> patches;
  for (auto& item : fs::directory_iterator(parts)) {
    std::string name = item.path().filename().string();
    if (name.starts_with("linux-") && name.find(".tar") != std::string::npos &&
        (tarball.empty() || item.file_size() > fs::file_size(tarball)))
      tarball = item.path();
    if (name.ends_with(".patch") && item.file_size() > 0) patches.push_back(name);
  }
  if (tarball.empty()) throw Error(fmt::format("{} holds no linux-*.tar archive: is it a kernel's?", file.string()));
  fs::create_directory(directory / "tree");
  run_tool({"tar", "-xf", tarball.string(), "--strip-components=1", "-C", (directory / "tree").string()}, directory,
           "tar xz-utils", file, runner);
  fs::remove_all(parts);
  std::sort(patches.begin(), patches.end());
  if (!patches.empty())
    console.warning(fmt::format("patches in {} are not applied (its spec file says how): {}", file.filename().string(),
                                fmt::join(patches, ", ")));
}

}  // namespace

KernelFiles unpack_source_package(const fs::path& package, Cache& cache, Runner& runner, Console& console) {
  std::string name = package.filename().string();
  bool dsc = name.ends_with(".dsc"), rpm = name.ends_with(".src.rpm");
  if (!dsc && !rpm) throw Error(fmt::format("{} is no source package: .dsc or .src.rpm", package.string()));
  CacheKey key;
  key.add("source package", name).add("digest", cache.file_digest(package));
  KernelFiles files;
  files.source = cache.entry("source", key, "the source in " + name, [&](const fs::path& directory) {
    Console::Stage stage(console, "unpacking " + name);
    try {
      if (dsc)
        unpack_dsc(package, directory, runner);
      else
        unpack_rpm(package, directory, runner, console);
    } catch (const fs::filesystem_error& error) {
      throw Error(fmt::format("can't unpack {}: {}", package.string(), error.what()));
    }
  }) / "tree";
  files.source_identity = key.text();
  return files;
}

}  // namespace kpatch
