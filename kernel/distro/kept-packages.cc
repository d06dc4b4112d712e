// Whether what lies in the cache is still what the archive gave
//
//     md5sums                                 what each package said of the files that were unpacked
//     linux-image-R-dbg_VERSION_amd64.deb     kept for the symbols of modules; has such a list itself, and the archive's
//                                             index, which is signed, has its digest
//
// Entries that were made before there were lists of all packages are checked by the package that was kept alone.
#include "kernel/distro/kept-packages.h"

#include <fmt/format.h>

#include <set>

#include "kernel/distro/apt.h"
#include "kernel/distro/layout.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

// Is a better than b?
bool is_better(const Cache::Entry& a, const Cache::Entry& b, AptArchive& versions) {
  const std::string of_a = CacheKey::field(a.key, "version").value_or(""),
                    of_b = CacheKey::field(b.key, "version").value_or("");
  if (of_a != of_b) return versions.newer(of_a, of_b);
  return !CacheKey::field(a.key, "digest") && CacheKey::field(b.key, "digest");
}

void take_kept_source(KernelFiles& files, const DistroTools& tools) {
  for (const Cache::Entry& entry : tools.cache.entries("source")) {
    if (CacheKey::field(entry.key, "kernel") != files.release || CacheKey::field(entry.key, "version") != files.version)
      continue;
    if (!tools.cache.hold(entry.directory)) continue;
    files.source = entry.directory / "tree";
    files.source_identity = entry.key;
    return;
  }
}

// "linux-image-R-dbg_6.12.117-1~deb12u1_amd64.deb" by the archive's index, where that still has it.
std::string damage_of_package(const fs::path& package, const DistroTools& tools) {
  const std::string name = package.filename().string();
  const std::vector<std::string_view> parts = fields_of(std::string_view(name).substr(0, name.rfind('.')), '_');
  std::string wanted;
  if (parts.size() == 3) {
    const CommandResult shown = tools.executor.run(
        {{"apt-cache", "show", fmt::format("{}:{}={}", parts[0], parts[2], parts[1])}, {}, {}, false, true});
    for (const std::string_view line : lines_of(shown.output))
      if (line.starts_with("SHA256: ")) wanted = trimmed(line.substr(line.find(' ')));
  }
  if (!wanted.empty()) {
    const CommandResult sum = tools.executor.run({{"sha256sum", "--", package.string()}, {}, {}, false, true});
    return sum.ok() && words_of(sum.output).front() == wanted ? "" : name + " isn't the archive's";
  }
  const CommandResult read = tools.executor.run(
      {{"sh", "-c", "dpkg-deb --fsys-tarfile \"$1\" >/dev/null", "sh", package.string()}, {}, {}, false, true});
  return read.ok() ? "" : fmt::format("{} can't be read: {}", name, trimmed(read.output));
}

}  // namespace

std::string md5sums_of(const fs::path& package, const fs::path& directory, Executor& executor) {
  const CommandResult listed = executor.run({{"dpkg-deb", "--info", package.string(), "md5sums"}, {}, {}, false, true});
  if (!listed.ok()) return {};  // a package needn't have them
  std::string there;
  for (const std::string_view line : whole_lines(listed.output)) {
    const std::vector<std::string_view> words = words_of(line);
    if (words.size() != 2) continue;
    const bool wanted = directory.empty() || fs::is_regular_file(fs::symlink_status(directory / words.back()));
    if (wanted) there += line;
  }
  return there;
}

KernelFiles files_of_kept(const fs::path& entry, const std::string& release) { return files_below(entry, release); }

std::string damage_of_kept(const fs::path& entry, const DistroTools& tools) {
  std::string sums = read_file_if_any(entry / md5sums_name);
  const fs::path package = package_in(entry);
  if (package.extension() == ".deb") {
    if (std::string damage = damage_of_package(package, tools); !damage.empty()) return damage;
    sums += md5sums_of(package, entry, tools.executor);
  }
  if (sums.empty()) return {};
  const fs::path list = fs::temp_directory_path() / fmt::format("kpatch-md5sums.{}", random_name());
  write_file(list, sums, Flush::no);
  const CommandResult result =
      tools.executor.run({{"md5sum", "--quiet", "--check", list.string()}, entry, {}, false, true});
  fs::remove(list);
  if (result.ok()) return {};
  for (const std::string_view line : lines_of(result.output))
    if (line.ends_with(": FAILED") || line.ends_with(": FAILED open or read"))
      return fmt::format("{} isn't as its package had it", line.substr(0, line.rfind(':')));
  return fmt::format("md5sum: {}", trimmed(result.output));
}

std::optional<KernelFiles> kept_files(const std::string& release, const DistroTools& tools) {
  AptArchive versions(tools.executor, tools.console);
  std::optional<Cache::Entry> best;
  for (Cache::Entry& entry : tools.cache.entries("packages")) {
    if (CacheKey::field(entry.key, "release") != release || !CacheKey::field(entry.key, "version")) continue;
    if (best && !is_better(entry, *best, versions)) continue;
    if (tools.cache.hold(entry.directory)) best = std::move(entry);
  }
  if (!best) return std::nullopt;
  KernelFiles files = files_below(best->directory, release);
  files.debug_package = package_in(best->directory);
  files.version = CacheKey::field(best->key, "version").value_or("");
  if (CacheKey::field(best->key, "digest")) {
    tools.console.info(fmt::format("{}: from packages that --packages gave once, kept in {}", release,
                                   best->directory.filename().string()));
    take_kept_source(files, tools);
  }
  make_usable(files, best->directory, tools);
  return files;
}

}  // namespace kpatch
