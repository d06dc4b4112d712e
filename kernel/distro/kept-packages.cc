#include "kernel/distro/kept-packages.h"

#include <fmt/format.h>

#include "kernel/distro/apt.h"
#include "kernel/distro/layout.h"

namespace kpatch {

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

}  // namespace

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
