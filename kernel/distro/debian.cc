// The files of a stock kernel, by package name.
//
// A livepatch for `6.12.117+deb12-cloud-amd64` needs five things that Debian ships in four packages:
//
//     linux-image-R        boot/config-R, boot/vmlinuz-R, lib/modules/R/kernel/…/x.ko.xz
//     linux-image-R-dbg    usr/lib/debug/boot/vmlinux-R (symbols, DWARF), usr/lib/debug/lib/modules/R
//     linux-headers-R      usr/src/linux-headers-R/Module.symvers
//     linux-source-6.12    usr/src/linux-source-6.12.tar.xz, Debian's patches applied
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
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <functional>
#include <map>
#include <set>
#include <thread>

#include "support/error.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

bool is_number(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) { return std::isdigit(c); });
}

std::string joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, ", ")); }

struct Package {
  std::string version;
  uint64_t size = 0;  // of the .deb
};

// What apt knows.
class Archive {
 public:
  Archive(Runner& runner, Console& console) : runner_(runner), console_(console) {}

  const std::string& architecture() {
    if (architecture_.empty()) {
      CommandResult result = run({"dpkg", "--print-architecture"});
      if (!result.ok()) runner_.fail("dpkg doesn't say what this machine is", result);
      const auto lines = lines_of(result.output);
      if (!lines.empty()) architecture_ = lines[0];
    }
    return architecture_;
  }

  // Releases that have a debug package, sorted by name.
  std::vector<std::string> releases() {
    if (releases_) return *releases_;
    auto found = read_releases();
    if (found.empty()) {
      update("apt knows no kernel packages");
      found = read_releases();
    }
    releases_ = found;
    return found;
  }

  // All versions of a package; empty when apt doesn't know it.
  std::vector<Package> versions(const std::string& name) {
    CommandResult result = run({"apt-cache", "show", name});
    std::vector<Package> packages;
    if (!result.ok()) return packages;
    for (const auto line : lines_of(result.output)) {
      if (line.starts_with("Package: ")) packages.emplace_back();
      if (packages.empty()) continue;
      if (line.starts_with("Version: ")) packages.back().version = line.substr(9);
      if (line.starts_with("Size: "))
        packages.back().size = std::strtoull(std::string{line.substr(6)}.c_str(), nullptr, 10);
    }
    std::erase_if(packages, [](auto& package) { return package.version.empty(); });
    return packages;
  }

  bool newer(const std::string& a, const std::string& b) {
    return run({"dpkg", "--compare-versions", a, "gt", b}).ok();
  }

  // The newest version; versions must not be empty.
  Package newest(const std::vector<Package>& packages) {
    Package best = packages[0];
    for (auto& package : packages)
      if (newer(package.version, best.version)) best = package;
    return best;
  }

  // Fetches NAME=VERSION into the folder. Tries once more after `apt-get update` when the lists are out of date.
  void download(const std::string& name, const Package& package, const fs::path& directory) {
    Console::Stage stage(console_, fmt::format("fetching {} ({} MB)", name, package.size >> 20));
    Command command{{"apt-get", "-q", "-o", "APT::Status-Fd=1", "-o", "Acquire::Retries=3", "download",
                     fmt::format("{}={}", name, package.version)},
                    directory,
                    {}};
    auto progress = [&](std::string_view line) {
      // "dlstatus:1:42.5:Retrieving file 1 of 1"
      if (!line.starts_with("dlstatus:")) return;
      size_t at = line.find(':', 9);
      if (at != std::string_view::npos)
        stage.progress(size_t(std::strtod(std::string(line.substr(at + 1)).c_str(), nullptr)), 100);
    };
    CommandResult result = runner_.run(command, progress);
    if (!result.ok() && result.output.find("No space left") == std::string::npos && geteuid() == 0) {
      update(fmt::format("{} {} could not be fetched", name, package.version));
      result = runner_.run(command, progress);
    }
    if (!result.ok()) runner_.fail(fmt::format("can't fetch {} {}", name, package.version), result);
  }

 private:
  CommandResult run(std::vector<std::string> argv) {
    try {
      return runner_.run({std::move(argv), {}, {}});
    } catch (const Error& error) {
      throw Error(
          fmt::format("{}; packages are fetched with apt. Name the kernel's files with -s, -c, -v, --symvers "
                      "and -m instead",
                      error.what()));
    }
  }

  std::vector<std::string> read_releases() {
    CommandResult result = run({"apt-cache", "pkgnames", "linux-image-"});
    std::vector<std::string> found;
    constexpr std::string_view before = "linux-image-", after = "-dbg";
    for (const auto line : lines_of(result.output)) {
      if (!line.starts_with(before) || !line.ends_with(after)) continue;
      const std::string release{line.substr(before.size(), line.size() - before.size() - after.size())};
      auto name = parse_release(release);
      if (name && !name->is_series) found.push_back(release);
    }
    std::ranges::sort(found);
    return found;
  }

  void update(const std::string& why) {
    if (geteuid() != 0) throw Error(fmt::format("{}; as root run: apt-get update", why));
    Console::Stage stage(console_, "apt-get update");
    CommandResult result = run({"apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", "update"});
    if (!result.ok()) runner_.fail(why + ", and apt-get update failed", result);
  }

  Runner& runner_;
  Console& console_;
  std::string architecture_;
  std::optional<std::vector<std::string>> releases_;
};

std::string image_package(Archive& archive, const std::string& release) {
  std::string signed_one = "linux-image-" + release, unsigned_one = signed_one + "-unsigned";
  return archive.versions(signed_one).empty() && !archive.versions(unsigned_one).empty() ? unsigned_one : signed_one;
}

// The newest release of a series that the archive has, by the version of its debug package.
std::string newest_of_series(const ReleaseName& series, std::string_view given, Archive& archive) {
  std::string best, best_version;
  for (auto& release : archive.releases()) {
    if (!in_series(series, release, archive.architecture())) continue;
    auto versions = archive.versions(fmt::format("linux-image-{}-dbg", release));
    if (versions.empty()) continue;  // only mentioned by other packages
    std::string version = archive.newest(versions).version;
    if (!best.empty() && !archive.newer(version, best_version)) continue;
    best = release;
    best_version = version;
  }
  if (!best.empty()) return best;
  throw Error(fmt::format("the archive has no kernel of the series {}; it has {}", given,
                          archive.releases().empty() ? "none at all" : joined(archive.releases())));
}

[[noreturn]] void unknown_release(const std::string& release, Archive& archive) {
  auto name = parse_release(release);
  std::vector<std::string> near, all = archive.releases();
  if (name)
    for (auto& other : all)
      if (auto it = parse_release(other); it && it->series == name->series && it->flavour == name->flavour)
        near.push_back(other);
  if (near.empty() && name)
    for (auto& other : all)
      if (auto it = parse_release(other); it && (it->series == name->series || it->flavour == name->flavour))
        near.push_back(other);
  std::string message = fmt::format("the archive doesn't have the kernel {} (any more)", release);
  std::string suffix = "-" + archive.architecture();
  if (name && !near.empty()) {
    std::string flavour =
        name->flavour.ends_with(suffix) ? name->flavour.substr(0, name->flavour.size() - suffix.size()) : name->flavour;
    message += fmt::format("\n>>> it has {}", joined(near));
    if (near[0].starts_with(name->series + "."))
      message += fmt::format("\n>>> -a {}-{} takes the newest of its series", name->series, flavour);
  } else {
    message += fmt::format("\n>>> it has {}", all.empty() ? "no kernels with debug packages at all" : joined(all));
  }
  throw Error(message);
}

KernelFiles files_below(const fs::path& root, const std::string& release) {
  KernelFiles files;
  std::error_code ignored;
  auto existing = [&](fs::path path) { return fs::exists(path, ignored) ? path : fs::path(); };
  files.release = release;
  files.vmlinux = existing(root / ("usr/lib/debug/boot/vmlinux-" + release));
  if (files.vmlinux.empty()) files.vmlinux = existing(root / "usr/lib/debug/lib/modules" / release / "vmlinux");
  files.config = existing(root / ("boot/config-" + release));
  fs::path headers = root / ("usr/src/linux-headers-" + release);
  if (files.config.empty()) files.config = existing(headers / ".config");
  files.symvers = existing(headers / "Module.symvers");
  files.modules = existing(root / "lib/modules" / release / "kernel");
  files.debug_modules = existing(root / "usr/lib/debug/lib/modules" / release / "kernel");
  files.image = existing(root / ("boot/vmlinuz-" + release));
  return files;
}

// A release that is installed as a whole, from packages of one version.
std::optional<KernelFiles> installed(const std::string& release, Runner& runner) {
  KernelFiles files = files_below("/", release);
  if (files.vmlinux.empty() || files.config.empty() || files.symvers.empty() || files.modules.empty())
    return std::nullopt;
  std::set<std::string> versions;
  try {
    CommandResult result = runner.run(
        {{"dpkg-query", "-W", "-f", "${Version}\n", "linux-image-" + release + "-dbg", "linux-headers-" + release},
         {},
         {}});
    if (result.ok())
      for (const auto line : lines_of(result.output)) versions.emplace(line);
  } catch (const Error&) {
    // Not a Debian: the files are there all the same.
  }
  if (versions.size() > 1) return std::nullopt;  // parts of two builds
  if (!versions.empty()) files.version = *versions.begin();
  return files;
}

// A release that the cache holds; the newest where there are builds of several versions.
std::optional<KernelFiles> fetched(const std::string& release, Cache& cache, Archive& archive) {
  std::optional<KernelFiles> best;
  for (auto& entry : cache.entries("packages")) {
    if (CacheKey::field(entry.key, "release") != release) continue;
    auto version = CacheKey::field(entry.key, "version");
    if (!version || (best && !archive.newer(*version, best->version))) continue;
    best = files_below(entry.directory, release);
    best->version = *version;
  }
  return best;
}

void unpack(const fs::path& directory, Runner& runner, Console& console, const std::string& what) {
  Console::Stage stage(console, "unpacking " + what);
  std::vector<fs::path> packages;
  for (auto& item : fs::directory_iterator(directory))
    if (item.path().extension() == ".deb") packages.push_back(item.path());
  std::ranges::sort(packages);
  std::vector<Command> commands;
  for (auto& package : packages) commands.push_back({{"dpkg-deb", "-x", package.string(), directory.string()}, {}, {}});
  auto results = runner.run_all(commands, std::max(std::thread::hardware_concurrency(), 1U));
  for (size_t i = 0; i < packages.size(); i++) {
    if (!results[i].ok()) runner.fail("can't unpack " + packages[i].filename().string(), results[i]);
    fs::remove(packages[i]);
  }
}

KernelFiles fetch(const std::string& release, Cache& cache, Archive& archive, Runner& runner, Console& console) {
  auto releases = archive.releases();
  std::string debug = fmt::format("linux-image-{}-dbg", release), headers = "linux-headers-" + release;
  auto versions = archive.versions(debug);
  if (versions.empty() || std::ranges::find(releases, release) == releases.end()) unknown_release(release, archive);
  std::string version = archive.newest(versions).version;
  CacheKey key;
  key.add("packages", "1").add("release", release).add("version", version);
  std::vector<std::pair<std::string, Package>> wanted;
  for (auto& name : {image_package(archive, release), headers, debug}) {
    auto candidates = archive.versions(name);
    auto same = std::ranges::find(candidates, version, &Package::version);
    if (same == candidates.end())
      throw Error(fmt::format("the archive has {} {}, but not {} of that version", debug, version, name));
    wanted.emplace_back(name, *same);
  }
  fs::path directory = cache.entry("packages", key, "the packages of " + release, [&](const fs::path& target) {
    for (auto& [name, package] : wanted) archive.download(name, package, target);
    unpack(target, runner, console, release);
    KernelFiles files = files_below(target, release);
    for (auto& [file, name] : {std::pair(files.vmlinux, "vmlinux"), std::pair(files.config, "the config"),
                               std::pair(files.symvers, "Module.symvers"), std::pair(files.modules, "the modules")})
      if (file.empty()) throw Error(fmt::format("the packages of {} don't hold {}", release, name));
  });
  KernelFiles files = files_below(directory, release);
  files.version = version;
  return files;
}

// linux-source-6.12 of exactly that version, unpacked.
void add_source(KernelFiles& files, Cache& cache, Archive& archive, Runner& runner, Console& console) {
  auto name = parse_release(files.release);
  if (!name || files.version.empty())
    throw Error(fmt::format("which source {} was built from is not known; name it with -s DIR", files.release));
  std::string package = "linux-source-" + name->series;
  CacheKey key;
  key.add("source package", package).add("version", files.version);
  fs::path tree;
  if (auto made = cache.find("source", key)) {
    tree = *made / "tree";
  } else {
    auto versions = archive.versions(package);
    auto same = std::ranges::find(versions, files.version, &Package::version);
    if (same == versions.end()) {
      std::vector<std::string> there;
      for (auto& version : versions) there.push_back(version.version);
      throw Error(fmt::format("the archive doesn't have the source of {}: {} {}{}", files.release, package,
                              files.version, there.empty() ? "" : fmt::format(" (it has {})", joined(there))));
    }
    tree = cache.entry("source", key, "the source of " + files.release, [&](const fs::path& directory) {
      archive.download(package, *same, directory);
      unpack(directory, runner, console, package);
      Console::Stage stage(console, "unpacking the source");
      fs::path archive_file = directory / "usr/src" / (package + ".tar.xz");
      fs::create_directory(directory / "tree");
      CommandResult result = runner.run(
          {{"tar", "-xf", archive_file.string(), "--strip-components=1", "-C", (directory / "tree").string()},
           {},
           {{"XZ_OPT", "-T0"}}});  // on all processors
      if (!result.ok()) runner.fail("can't unpack " + archive_file.filename().string(), result);
      fs::remove_all(directory / "usr");
    }) / "tree";
  }
  files.source = tree;
  files.source_identity = fmt::format("{} {}", package, files.version);
}

}  // namespace

std::optional<ReleaseName> parse_release(std::string_view text) {
  // X.Y, then ".Z…" in a release; then "-ABI" where it is a number; the rest is the flavour.
  size_t dot = text.find('.');
  if (dot == std::string_view::npos || !is_number(text.substr(0, dot))) return std::nullopt;
  size_t end = text.find_first_not_of("0123456789", dot + 1);
  if (end == dot + 1 || dot + 1 == text.size()) return std::nullopt;
  ReleaseName name;
  name.series = std::string(text.substr(0, end));
  name.is_series = end == std::string_view::npos || text[end] != '.';
  if (end == std::string_view::npos) return name;
  if (text[end] != '.' && text[end] != '-') return std::nullopt;
  size_t dash = text.find('-', end);
  if (dash == std::string_view::npos) return name;
  std::string_view rest = text.substr(dash + 1);
  if (!name.is_series) {
    size_t next = rest.find('-');
    if (is_number(rest.substr(0, next))) rest = next == std::string_view::npos ? "" : rest.substr(next + 1);
  }
  name.flavour = std::string(rest);
  return name;
}

bool in_series(const ReleaseName& series, std::string_view release, std::string_view architecture) {
  auto name = parse_release(release);
  if (!name || name->is_series || name->series != series.series) return false;
  std::string arch(architecture);
  if (series.flavour.empty()) return name->flavour == arch;
  return name->flavour == series.flavour || name->flavour == series.flavour + "-" + arch;
}

KernelFiles find_release(std::string_view wanted, const KernelFiles& given, Cache& cache, Runner& runner,
                         Console& console) {
  Archive archive(runner, console);
  std::string release(wanted);
  auto name = parse_release(wanted);
  if (!name)
    throw Error(
        fmt::format("'{}' is no kernel release (such as 6.1.0-9-cloud-amd64) and no series (6.1-cloud)", wanted));
  if (name->is_series) {
    release = newest_of_series(*name, wanted, archive);
    console.info(fmt::format("{}: the newest in the archive is {}", wanted, release));
  }
  KernelFiles files;
  bool only_source =
      !given.vmlinux.empty() && !given.config.empty() && !given.symvers.empty() && !given.modules.empty();
  auto there = installed(release, runner);
  if (!there) there = fetched(release, cache, archive);
  if (there) {
    files = *there;
  } else if (only_source) {
    files.release = release;
    auto versions = archive.versions(fmt::format("linux-image-{}-dbg", release));
    if (!versions.empty()) files.version = archive.newest(versions).version;
  } else {
    files = fetch(release, cache, archive, runner, console);
  }
  auto take = [](fs::path& field, const fs::path& value) {
    if (!value.empty()) field = value;
  };
  take(files.config, given.config);
  take(files.vmlinux, given.vmlinux);
  take(files.symvers, given.symvers);
  if (!given.modules.empty()) {
    files.modules = given.modules;
    files.debug_modules.clear();
  }
  if (!given.source.empty()) {
    files.source = given.source;
    files.source_identity = given.source_identity;
  } else {
    add_source(files, cache, archive, runner, console);
  }
  return files;
}

}  // namespace kpatch
