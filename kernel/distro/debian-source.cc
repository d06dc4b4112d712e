// linux-source-6.1 is what the ordinary flavours were built from. The rt flavour has patches on top:
//
//     linux_6.1.170-3.dsc           dpkg-source unpacks it, and applies debian/patches/series
//     debian/patches-rt/series      their names, in order; '#' begins a comment. quilt applied them, with --fuzz=0
#include "kernel/distro/debian-source.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include "kernel/distro/apt.h"
#include "kernel/distro/debian-suites.h"
#include "kernel/distro/release-name.h"
#include "kernel/distro/unpacked.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

std::vector<std::string> names_in_series(const std::string& text) {
  std::vector<std::string> names;
  for (const std::string_view line : lines_of(text))
    if (const auto words = words_of(line); !words.empty() && !words[0].starts_with('#')) names.emplace_back(words[0]);
  return names;
}

void apply_rt_patches(const fs::path& tree, const fs::path& package, const DistroTools& tools) {
  const fs::path folder = tree / "debian/patches-rt", series = folder / "series";
  if (std::error_code ignored; !fs::is_regular_file(fs::symlink_status(series, ignored)))
    throw Error(
        fmt::format("{} has no patches for rt kernels (debian/patches-rt/series)", package.filename().string()));
  const std::vector<std::string> names = names_in_series(read_file(series));
  Console::Stage stage(tools.console, fmt::format("applying {} rt patches", names.size()));
  for (size_t i = 0; i < names.size(); ++i) {
    stage.progress(i, names.size());
    const fs::path patch = folder / names[i];
    if (std::error_code ignored; !fs::is_regular_file(patch, ignored))
      throw Error(fmt::format("{} lacks the patch {}, which its series names", package.string(), names[i]));
    require_inside(patch, folder, package.filename());
    apply_packaged_patch(patch, names[i], tree, 0, package, tools.executor);
  }
}

}  // namespace

std::string_view debian_source_flavour(std::string_view release) {
  const auto name = parse_release(release);
  if (!name || !name->flavour.starts_with("rt-")) return "";
  const auto parts = fields_of(name->series, '.');
  const auto number = [&](size_t i) { return i < parts.size() ? std::atoi(std::string(parts[i]).c_str()) : 0; };
  return std::pair(number(0), number(1)) < std::pair(6, 13) ? "rt" : "";
}

fs::path fetch_source_package(const std::string& name, const std::string& version, const std::string& release,
                              const fs::path& directory, const DistroTools& tools) {
  std::vector<std::string> problems;
  const auto groups = tools.suite.empty() ? groups_of_release(release) : groups_of_suite(tools.suite);
  for (const SuiteGroup& group : groups) {
    try {
      AptArchive archive(tools.executor, tools.console, open_suites(group, tools, PackageKind::source).config);
      archive.download_source(name, version, directory);
      for (const auto& entry : entries_of(directory))
        if (entry.path().extension() == ".dsc") return entry.path();
      throw Error(fmt::format("apt fetched no .dsc of {} {}", name, version));
    } catch (const Error& error) {
      problems.push_back(fmt::format("{}: {}", group.name, error.what()));
    }
  }
  throw Error(
      fmt::format("{} was built with Debian's rt patches, and its source package can't be fetched: {} {}; name a tree "
                  "that has them with -s DIR\n>>> {}",
                  release, name, version, fmt::join(problems, "\n>>> ")));
}

void unpack_debian_source(const fs::path& package, const fs::path& directory, std::string_view flavour,
                          const DistroTools& tools) {
  const fs::path tree = directory / "tree";
  run_unpacker({.argv = {"dpkg-source", "--no-check", "--no-copy", "-x", package.string(), tree.string()},
                .directory = directory,
                .environment = {},
                .ours = true,
                .largest_file = largest_unpacked_file},
               {"dpkg-source"}, package, tools.executor);
  clean_unpacked(tree, package.filename().string(), Links::inside);
  if (flavour == "rt") apply_rt_patches(tree, package, tools);
}

}  // namespace kpatch
