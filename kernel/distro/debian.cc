// Kernels of Debian, installed or from its archive.
//
// A livepatch for `6.12.117+deb12-cloud-amd64` needs five things that Debian ships in four packages:
//
//     linux-image-R        boot/config-R, boot/vmlinuz-R, lib/modules/R/kernel/…/x.ko.xz
//                          since 7.2 in linux-binary-R, linux-modules-R, linux-base-R: usr/lib/modules/R/{vmlinuz,config}
//     linux-image-R-dbg    usr/lib/debug/boot/vmlinux-R (symbols, DWARF), usr/lib/debug/lib/modules/R: debug-package.cc
//     linux-headers-R      usr/src/linux-headers-R/Module.symvers
//     linux-source-6.12    usr/src/linux-source-6.12.tar.xz, Debian's patches applied; but those of rt (debian-source.cc)
//
// All of exactly one version: 6.12.113's source gives other code than 6.12.117's, and the archive holds several at
// once. `apt-get download NAME=VERSION` works for any user and installs nothing; packages are unpacked into the cache.
// A release whose files are all installed is taken from there; one that the cache holds needs no apt at all.
//
// The archive keeps a release for some weeks. Whoever wants just a kernel of 6.12 says so with a series, `6.12-cloud`;
// a release by name is never replaced by another one.
#include "kernel/distro/debian.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "arch/arch.h"
#include "kernel/distro/apt.h"
#include "kernel/distro/debian-source.h"
#include "kernel/distro/debian-suites.h"
#include "kernel/distro/debian-toolchain.h"
#include "kernel/distro/kept-packages.h"
#include "kernel/distro/layout.h"
#include "kernel/distro/unpacked.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

std::string debug_package(const std::string& release) { return fmt::format("linux-image-{}-dbg", release); }

// "6.12.117+deb12-cloud-amd64", "6.1.0-56-s390x": the flavour ends with the machine.
bool matches(std::string_view release) {
  // Not the "+debug" of others.
  if (size_t at = release.find("+deb"); at != std::string_view::npos && at + 4 < release.size())
    if (release[at + 4] >= '0' && release[at + 4] <= '9') return true;
  return std::ranges::any_of(
      architectures(), [&](const Arch* arch) { return release.ends_with(fmt::format("-{}", arch->distro.debian)); });
}

// "6.1.192-1" of "Linux version 6.1.0-56-amd64 (…) … #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-1 (2026-01-17)".
std::string_view package_of(std::string_view banner) {
  constexpr std::string_view before = " Debian ";
  size_t at = banner.rfind(before);
  if (at == std::string_view::npos) return "";
  banner.remove_prefix(at + before.size());
  return banner.substr(0, banner.find(' '));
}

std::string version_of(std::string_view banner) {
  const std::string_view package = package_of(banner);
  return std::string(package.substr(0, package.find_first_not_of("0123456789.")));
}

// Debian's Makefile makes LINUX_PACKAGE_ID of them, " Debian 6.1.192-1", which dump_stack() and the watchdog print.
std::vector<std::string> build_variables(std::string_view banner) {
  const std::string_view package = package_of(banner);
  if (package.empty()) return {};
  return {"DISTRIBUTION_OFFICIAL_BUILD=1", "DISTRIBUTOR=Debian", fmt::format("DISTRIBUTION_VERSION={}", package)};
}

// Calls what with this machine's apt, unless --archive names another archive, then with the groups' one by one, until it
// says that it is content. Groups that can't be had are left out; why is the result, and an Error when none could.
std::vector<std::string> try_archives(std::vector<SuiteGroup> groups, const DistroTools& tools,
                                      const std::function<bool(AptArchive&)>& what) {
  std::vector<std::string> problems;
  bool any = false;
  if (!tools.suite.empty()) groups = groups_of_suite(tools.suite);
  if (tools.archive.empty() && tools.suite.empty()) {
    AptArchive here(tools.executor, tools.console);
    any = true;
    if (what(here)) return problems;
  }
  for (const SuiteGroup& group : groups) {
    try {
      AptArchive archive(tools.executor, tools.console, open_suites(group, tools).config);
      any = true;
      if (what(archive)) return problems;
    } catch (const Error& error) {
      problems.emplace_back(error.what());
      tools.console.debug(error.what());
    }
  }
  if (!any && !problems.empty()) throw Error(problems.back());
  return problems;
}

// For the end of a message.
std::string not_looked_into(const std::vector<std::string>& problems) {
  return problems.empty() ? "" : fmt::format("\n>>> not looked into: {}", fmt::join(problems, "\n>>> "));
}

// That which has the release's debug package; this machine's where none has.
AptArchive archive_with(const std::string& release, const DistroTools& tools) {
  std::optional<AptArchive> found;
  try_archives(groups_of_release(release), tools, [&](AptArchive& archive) {
    if (archive.versions(debug_package(release)).empty()) return false;
    found.emplace(archive);
    return true;
  });
  return found ? *found : AptArchive(tools.executor, tools.console);
}

std::string image_package(AptArchive& archive, const std::string& release) {
  std::string signed_one = "linux-image-" + release, unsigned_one = signed_one + "-unsigned";
  return archive.versions(signed_one).empty() && !archive.versions(unsigned_one).empty() ? unsigned_one : signed_one;
}

// The newest release of a series that an archive has, by the version of its debug package; empty when it has none.
std::string newest_in(AptArchive& archive, const ReleaseName& series) {
  std::string best, best_version;
  for (auto& release : archive.releases()) {
    if (!in_series(series, release, archive.architecture())) continue;
    auto versions = archive.versions(debug_package(release));
    if (versions.empty()) continue;  // only mentioned by other packages
    std::string version = archive.newest(versions).version;
    if (!best.empty() && !archive.newer(version, best_version)) continue;
    best = release;
    best_version = version;
  }
  return best;
}

// This machine's, where it has one of that series; else that of the newest suite.
std::string newest_release(const ReleaseName& series, std::string_view given, const DistroTools& tools) {
  std::vector<SuiteGroup> groups = all_groups();
  std::ranges::reverse(groups);
  std::string best;
  std::set<std::string> all;
  const auto problems = try_archives(groups, tools, [&](AptArchive& archive) {
    best = newest_in(archive, series);
    for (const std::string& release : archive.releases()) all.insert(release);
    return !best.empty();
  });
  if (!best.empty()) return best;
  throw Error(fmt::format("the archive has no kernel of the series {}; it has {}{}", given,
                          all.empty() ? "none at all" : fmt::format("{}", fmt::join(all, ", ")),
                          not_looked_into(problems)));
}

[[noreturn]] void unknown_release(const std::string& release, const DistroTools& tools) {
  std::set<std::string> known;
  std::string suffix;
  const auto problems = try_archives(groups_of_release(release), tools, [&](AptArchive& archive) {
    for (const std::string& other : archive.releases()) known.insert(other);
    suffix = "-" + archive.architecture();
    return false;
  });
  auto name = parse_release(release);
  std::vector<std::string> near, all(known.begin(), known.end());
  if (name)
    for (auto& other : all)
      if (auto it = parse_release(other); it && it->series == name->series && it->flavour == name->flavour)
        near.push_back(other);
  if (near.empty() && name)
    for (auto& other : all)
      if (auto it = parse_release(other); it && (it->series == name->series || it->flavour == name->flavour))
        near.push_back(other);
  std::string message = fmt::format(
      "the archive doesn't have the kernel {} (any more); a snapshot of it may (--archive URL), or packages "
      "that were kept (--packages DIR)",
      release);
  if (name && !near.empty()) {
    std::string flavour =
        name->flavour.ends_with(suffix) ? name->flavour.substr(0, name->flavour.size() - suffix.size()) : name->flavour;
    message += fmt::format("\n>>> it has {}", joined(near, ", "));
    if (near[0].starts_with(name->series + "."))
      message += fmt::format("\n>>> -a {}{}{} takes the newest of its series", name->series, flavour.empty() ? "" : "-",
                             flavour);
  } else {
    message +=
        fmt::format("\n>>> it has {}", all.empty() ? "no kernels with debug packages at all" : joined(all, ", "));
  }
  throw Error(message + not_looked_into(problems));
}

// Which package a release can't do without, and isn't there in its version; empty: all are.
std::string missing_package(const std::map<std::string, std::vector<std::string>>& there, const std::string& release,
                            const std::string& version) {
  const auto name = parse_release(release);
  const auto has = [&](const std::string& package) {
    const auto it = there.find(package);
    return it != there.end() && std::ranges::find(it->second, version) != it->second.end();
  };
  if (!has("linux-image-" + release) && !has("linux-image-" + release + "-unsigned")) return "linux-image-" + release;
  for (const std::string& package : {"linux-headers-" + release, "linux-source-" + name->series})
    if (!has(package)) return package;
  return {};
}

void list(const DistroTools& tools,
          const std::function<void(std::vector<StockKernel> kernels, const std::string& problem)>& on_suite) {
  std::set<std::pair<std::string, std::string>> seen;  // a suite with backports has those without, too
  for (const SuiteGroup& group : tools.suite.empty() ? all_groups() : groups_of_suite(tools.suite)) {
    try {
      AptArchive archive(tools.executor, tools.console, open_suites(group, tools).config);
      std::vector<std::string> names;
      std::vector<StockKernel> kernels;
      for (const std::string& release : archive.releases())
        for (const std::string& name :
             {debug_package(release), "linux-image-" + release, "linux-image-" + release + "-unsigned",
              "linux-headers-" + release, "linux-source-" + parse_release(release)->series})
          names.push_back(name);
      const auto there = archive.versions_of(names);
      for (const std::string& release : archive.releases()) {
        const auto versions = there.find(debug_package(release));
        if (versions == there.end()) continue;
        for (const std::string& version : versions->second)
          if (seen.emplace(release, version).second)
            kernels.push_back({group.name, release, version, missing_package(there, release, version)});
      }
      on_suite(std::move(kernels), {});
    } catch (const Error& error) {
      // Those of old suites leave the archive first.
      if (group.name.ends_with("-backports"))
        tools.console.debug(error.what());
      else
        on_suite({}, fmt::format("{}: {}", group.name, error.what()));
    }
  }
}

// From packages of one version.
std::optional<KernelFiles> locate(const std::string& release, const DistroTools& tools) {
  KernelFiles files = files_below(debian_layout, "/", release);
  if (files.vmlinux.empty() || files.config.empty() || files.symvers.empty() || files.modules.empty())
    return std::nullopt;
  std::set<std::string> versions;
  try {
    CommandResult result = tools.executor.run(
        {{"dpkg-query", "-W", "-f", "${Version}\n", debug_package(release), "linux-headers-" + release}, {}, {}});
    if (result.ok())
      for (const auto line : lines_of(result.output)) versions.emplace(line);
  } catch (const Error&) {
    // Not a Debian: the files are there all the same.
  }
  if (versions.size() > 1) return std::nullopt;  // parts of two builds
  if (!versions.empty()) files.version = *versions.begin();
  return files;
}

std::string newest_version(const std::string& release, const DistroTools& tools) {
  AptArchive archive = archive_with(release, tools);
  auto versions = archive.versions(debug_package(release));
  return versions.empty() ? "" : archive.newest(versions).version;
}

// What a release consists of in the archive, all of one version.
struct Packages {
  std::string version;
  std::string debug;                                      // the name of the package with the symbols
  std::vector<std::pair<std::string, AptPackage>> small;  // the others that aren't the source
  AptPackage debug_package;
  bool split = false;  // as since 7.2: the image's own package is empty, and vmlinux lies with the modules' symbols
};

Packages packages_of(const std::string& release, AptArchive& archive, const DistroTools& tools) {
  auto releases = archive.releases();
  Packages result;
  result.debug = debug_package(release);
  auto versions = archive.versions(result.debug);
  if (versions.empty() || std::ranges::find(releases, release) == releases.end()) unknown_release(release, tools);
  result.debug_package = archive.newest(versions);
  result.version = result.debug_package.version;
  std::vector<std::string> names = {image_package(archive, release), "linux-headers-" + release};
  for (const char* part : {"linux-binary-", "linux-modules-", "linux-base-"}) {
    if (archive.versions(part + release).empty()) continue;
    names.push_back(part + release);
    result.split = true;
  }
  for (auto& name : names) {
    auto candidates = archive.versions(name);
    auto same = std::ranges::find(candidates, result.version, &AptPackage::version);
    if (same == candidates.end())
      throw Error(fmt::format("the archive has {} {}, but not {} of that version", result.debug, result.version, name));
    result.small.emplace_back(name, *same);
  }
  return result;
}

// Of the debug package vmlinux alone; the symbols of modules are 80% of it, and wanted of few (debug-package.cc).
void fill_packages(const fs::path& target, const std::string& release, const Packages& packages, AptArchive& archive,
                   const DistroTools& tools) {
  archive.download(packages.debug, packages.debug_package, target);
  const DebFiles symbols{package_in(target),
                         {packages.split ? fmt::format("./usr/lib/debug/lib/modules/{}/vmlinux", release)
                                         : "./usr/lib/debug/boot/vmlinux-" + release}};
  for (auto& [name, package] : packages.small) archive.download(name, package, target);
  std::string sums;
  for (const auto& item : entries_of(target))
    if (item.path().extension() == ".deb" && item.path() != symbols.package)
      sums += md5sums_of(item.path(), {}, tools.executor);
  unpack_debs(target, release, tools.executor, tools.console, symbols);
  write_file(target / md5sums_name, sums, Flush::no);
  const std::string what = "the packages of " + release;
  make_folders(target, "usr/lib/debug/lib/modules/" + release + "/kernel", what);
  KernelFiles files = files_below(debian_layout, target, release);
  for (auto& [file, name] : {std::pair(files.vmlinux, "vmlinux"), std::pair(files.config, "the config"),
                             std::pair(files.symvers, "Module.symvers"), std::pair(files.modules, "the modules")})
    if (file.empty()) throw Error(fmt::format("{} don't hold {}", what, name));
  for (const fs::path* file :
       {&files.vmlinux, &files.config, &files.symvers, &files.modules, &files.debug_modules, &files.image})
    if (!file->empty()) require_inside(*file, target, what);
}

// The source package of exactly that version with its rt patches, in the cache.
void take_rt_source(KernelFiles& files, const std::function<AptArchive()>& archive_of, const DistroTools& tools,
                    const std::function<void()>& meanwhile) {
  CacheKey key;
  key.add("source package", "linux").add("version", files.version).add("flavour", "rt");
  files.source_identity = fmt::format("linux {} with rt patches", files.version);
  const auto fill = [&](const fs::path& directory) {
    AptArchive archive = archive_of();
    const auto versions = archive.versions(debug_package(files.release));
    const auto same = std::ranges::find(versions, files.version, &AptPackage::version);
    const fs::path folder = directory / "package";
    fs::create_directory(folder);
    const fs::path package = fetch_source_package(same == versions.end() ? "linux" : same->source, files.version,
                                                  files.release, folder, tools);
    meanwhile();
    const Console::Stage stage(tools.console, "unpacking " + package.filename().string());
    unpack_debian_source(package, directory, "rt", tools);
    fs::remove_all(folder);
  };
  files.source = tools.cache.entry("source", key, "the source of " + files.release, fill) / "tree";
}

// linux-source-6.12 of exactly that version, unpacked, in the cache. While that is done, `meanwhile` is called, if it is
// done at all. archive_of: is called where the cache doesn't have it.
void take_source(KernelFiles& files, const std::function<AptArchive()>& archive_of, const DistroTools& tools,
                 const std::function<void()>& meanwhile) {
  auto name = parse_release(files.release);
  if (!name || files.version.empty())
    throw Error(fmt::format("which source {} was built from is not known; name it with -s DIR", files.release));
  std::string package = "linux-source-" + name->series;
  if (!debian_source_flavour(files.release).empty()) return take_rt_source(files, archive_of, tools, meanwhile);
  CacheKey key;
  key.add("source package", package).add("version", files.version);
  files.source_identity = fmt::format("{} {}", package, files.version);
  if (auto made = tools.cache.find("source", key)) {
    files.source = *made / "tree";
    return;
  }
  AptArchive archive = archive_of();
  auto versions = archive.versions(package);
  auto same = std::ranges::find(versions, files.version, &AptPackage::version);
  if (same == versions.end()) {
    std::vector<std::string> there;
    for (auto& version : versions) there.push_back(version.version);
    throw Error(fmt::format("the archive doesn't have the source of {}: {} {}{}", files.release, package, files.version,
                            there.empty() ? "" : fmt::format(" (it has {})", joined(there, ", "))));
  }
  files.source = tools.cache.entry("source", key, "the source of " + files.release, [&](const fs::path& directory) {
    archive.download(package, *same, directory);
    unpack_debs(directory, package, tools.executor, tools.console);
    const fs::path archive_file = directory / "usr/src" / (package + ".tar.xz"), tree = directory / "tree";
    fs::create_directory(tree);
    require_inside(archive_file, directory, package);
    StartedCommand unpacking = tools.executor.start(unpack_tree_command(archive_file, tree));
    meanwhile();
    Console::Stage stage(tools.console, "unpacking the source");
    CommandResult result = unpacking.wait();
    if (!result.ok()) tools.executor.fail("can't unpack " + archive_file.filename().string(), result);
    clean_unpacked(tree, archive_file.filename().string(), Links::inside);
    fs::remove_all(directory / "usr");
  }) / "tree";
}

KernelFiles fetch(const std::string& release, bool with_source, const DistroTools& tools) {
  AptArchive archive = archive_with(release, tools);
  const Packages packages = packages_of(release, archive, tools);
  CacheKey key;
  key.add("packages", "1").add("release", release).add("version", packages.version);
  fs::path directory;
  const auto take_packages = [&] {
    if (!directory.empty()) return;
    directory = tools.cache.entry("packages", key, "the packages of " + release, [&](const fs::path& target) {
      fill_packages(target, release, packages, archive, tools);
    });
  };
  KernelFiles source;
  source.release = release;
  source.version = packages.version;
  if (with_source)
    take_source(
        source, [&] { return archive; }, tools, take_packages);
  take_packages();
  KernelFiles files = files_below(debian_layout, directory, release);
  files.debug_package = package_in(directory);
  files.version = packages.version;
  files.source = source.source;
  files.source_identity = source.source_identity;
  return files;
}

void fetch_source(KernelFiles& files, const DistroTools& tools) {
  take_source(
      files, [&] { return archive_with(files.release, tools); }, tools, [] {});
}

constexpr auto packages = std::to_array<NeededPackage>({
    {"busybox", "busybox-static"},
    {"bwrap", "bubblewrap"},
    {"debuginfod-find", "debuginfod"},
    {"dpkg-source", "dpkg-dev"},
    {"eu-unstrip", "elfutils"},
    {"gcc-plugin.h", "gcc-12-plugin-dev"},
    {"gelf.h", "libelf-dev"},
    {"ld", "binutils"},
    {"libelf.h", "libelf-dev"},
    {"openssl/opensslv.h", "libssl-dev"},
    {"pahole", "dwarves"},
    {"stdio.h", "libc6-dev"},
    {"xz", "xz-utils"},
    {"zlib.h", "zlib1g-dev"},
});

constexpr std::array<std::string_view, 1> ids = {"debian"};

}  // namespace

constinit const Distro debian = {
    .name = "Debian",
    .ids = ids,
    .matches = matches,
    .version_of = version_of,
    .build_variables = build_variables,
    .locate = locate,
    .newest_release = newest_release,
    .list = list,
    .newest_version = newest_version,
    .fetch = fetch,
    .fetch_source = fetch_source,
    .make_toolchain = make_debian_toolchain,
    .source_flavour = debian_source_flavour,
    .source_package = ".dsc",
    .unpack_source = unpack_debian_source,
    .packaging_folder = "debian/",
    .install_command = "apt-get install",
    .packages = packages,
};

}  // namespace kpatch
