#include "kernel/distro/apt.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <thread>

#include "kernel/distro/release-name.h"
#include "kernel/distro/unpacked.h"
#include "support/error.h"
#include "support/files.h"
#include "support/scratch.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

// Where apt keeps what it has read of its lists, a folder for each archive. Containers' apt is set up to keep nothing, and
// a user's can't: there each call reads all lists again. apt looks whether what is kept is still true.
fs::path index_folder(const fs::path& config) {
  static const Scratch scratch;
  fs::path folder = scratch.path() / fmt::format("{:x}", std::hash<std::string>()(config.string()));
  fs::create_directory(folder);
  return folder;
}

}  // namespace

const std::string& AptArchive::architecture() {
  if (architecture_.empty()) {
    CommandResult result = run({"dpkg", "--print-architecture"});
    if (!result.ok()) executor_.fail("dpkg doesn't say what this machine is", result);
    const auto lines = lines_of(result.output);
    if (!lines.empty()) architecture_ = lines[0];
  }
  return architecture_;
}

std::vector<std::string> AptArchive::releases() {
  if (releases_) return *releases_;
  auto found = read_releases();
  if (found.empty() && config_.empty()) {
    update("apt knows no kernel packages");
    found = read_releases();
  }
  releases_ = found;
  return found;
}

std::vector<AptPackage> AptArchive::versions(const std::string& name) {
  CommandResult result = ask({"show", name});
  std::vector<AptPackage> packages;
  if (!result.ok()) return packages;
  for (const auto line : lines_of(result.output)) {
    if (line.starts_with("Package: "))
      packages.push_back({.version = {}, .size = 0, .source = std::string(line.substr(9))});
    if (packages.empty()) continue;
    if (line.starts_with("Source: ")) packages.back().source = words_of(line.substr(8))[0];  // "linux (6.1.170-3)"
    if (line.starts_with("Version: ")) packages.back().version = line.substr(9);
    if (line.starts_with("Size: "))
      packages.back().size = std::strtoull(std::string{line.substr(6)}.c_str(), nullptr, 10);
  }
  std::erase_if(packages, [](auto& package) { return package.version.empty(); });
  return packages;
}

std::map<std::string, std::vector<std::string>> AptArchive::versions_of(std::vector<std::string> names) {
  std::map<std::string, std::vector<std::string>> versions;
  if (names.empty()) return versions;
  names.insert(names.begin(), "show");
  const CommandResult result = ask(std::move(names));  // not ok where one of them isn't known
  std::vector<std::string>* of = nullptr;
  for (const auto line : lines_of(result.output)) {
    if (line.starts_with("Package: ")) of = &versions[std::string(line.substr(9))];
    if (line.starts_with("Version: ") && of) of->emplace_back(line.substr(9));
  }
  return versions;
}

bool AptArchive::newer(const std::string& a, const std::string& b) {
  return run({"dpkg", "--compare-versions", a, "gt", b}).ok();
}

AptPackage AptArchive::newest(const std::vector<AptPackage>& packages) {
  AptPackage best = packages[0];
  for (const AptPackage& package : packages)
    if (package.version != best.version && newer(package.version, best.version)) best = package;
  return best;
}

void AptArchive::download(const std::string& name, const AptPackage& package, const fs::path& directory) {
  Console::Stage stage(console_, fmt::format("fetching {} ({} MB)", name, package.size >> 20));
  std::vector<std::string> argv = {"apt-get", "-q", "-o", "APT::Status-Fd=1", "-o", "Acquire::Retries=3"};
  std::ranges::move(index_options(), std::back_inserter(argv));
  argv.insert(argv.end(), {"download", fmt::format("{}={}", name, package.version)});
  Command command{std::move(argv), directory, environment(), true};
  auto progress = [&](std::string_view line) {
    // "dlstatus:1:42.5:Retrieving file 1 of 1"
    if (!line.starts_with("dlstatus:")) return;
    size_t at = line.find(':', 9);
    if (at != std::string_view::npos)
      stage.progress(size_t(std::strtod(std::string(line.substr(at + 1)).c_str(), nullptr)), 100);
  };
  CommandResult result = executor_.run(command, progress);
  if (!result.ok() && result.output.find("No space left") == std::string::npos && config_.empty() && geteuid() == 0) {
    update(fmt::format("{} {} could not be fetched", name, package.version));
    result = executor_.run(command, progress);
  }
  if (!result.ok() && result.output.find("404  Not Found") != std::string::npos)
    throw Error(
        fmt::format("the archive lists {} {}, but doesn't hold it (any more); take another release "
                    "(--list-kernels)",
                    name, package.version));
  if (!result.ok()) executor_.fail(fmt::format("can't fetch {} {}", name, package.version), result);
}

void AptArchive::download_source(const std::string& name, const std::string& version, const fs::path& directory) {
  Console::Stage stage(console_, "fetching the source package " + name);
  std::vector<std::string> argv = {"apt-get", "-q", "-o", "Acquire::Retries=3"};
  std::ranges::move(index_options(), std::back_inserter(argv));
  argv.insert(argv.end(), {"source", "--download-only", fmt::format("{}={}", name, version)});
  const CommandResult result = executor_.run({std::move(argv), directory, environment(), true});
  if (result.ok()) return;
  if (result.output.find("404  Not Found") != std::string::npos)
    throw Error(
        fmt::format("the archive lists the source package {} {}, but doesn't hold it (any more)", name, version));
  executor_.fail(fmt::format("can't fetch the source package {} {}", name, version), result);
}

std::vector<std::pair<std::string, std::string>> AptArchive::environment() const {
  if (config_.empty()) return {};
  return {{"APT_CONFIG", config_.string()}};
}

std::vector<std::string> AptArchive::index_options() const {
  const fs::path folder = index_folder(config_);
  return {"-o", "Dir::Cache::pkgcache=" + (folder / "pkgcache.bin").string(), "-o",
          "Dir::Cache::srcpkgcache=" + (folder / "srcpkgcache.bin").string()};
}

CommandResult AptArchive::ask(std::vector<std::string> question) {
  question.insert(question.begin(), "apt-cache");
  std::ranges::move(index_options(), std::back_inserter(question));
  return run(std::move(question));
}

CommandResult AptArchive::run(std::vector<std::string> argv) {
  try {
    return executor_.run({std::move(argv), {}, environment(), true});  // apt writes to its own caches
  } catch (const Error& error) {
    throw Error(
        fmt::format("{}; packages are fetched with apt. Name the kernel's files with -s, -c, -v, --symvers "
                    "and -m instead",
                    error.what()));
  }
}

std::vector<std::string> AptArchive::read_releases() {
  CommandResult result = ask({"pkgnames", "linux-image-"});
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

void AptArchive::update(const std::string& why) {
  if (geteuid() != 0) throw Error(fmt::format("{}; as root run: apt-get update", why));
  Console::Stage stage(console_, "apt-get update");
  CommandResult result = run({"apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", "update"});
  if (!result.ok()) executor_.fail(why + ", and apt-get update failed", result);
}

Command unpack_files_command(const DebFiles& files, const fs::path& folder) {
  // dpkg-deb is ended by SIGPIPE as soon as tar has what it wants; the status is tar's.
  Command command{.argv = {"sh", "-c", R"(package=$1; shift; dpkg-deb --fsys-tarfile "$package" | tar "$@")", "sh",
                           files.package.string(), "-x", "--no-same-owner", "--no-same-permissions", "--occurrence=1",
                           "--wildcards", "-C", folder.string(), "--"},
                  .directory = {},
                  .environment = {},
                  .ours = true,
                  .largest_file = largest_unpacked_file};
  command.argv.insert(command.argv.end(), files.patterns.begin(), files.patterns.end());
  return command;
}

fs::path package_in(const fs::path& directory) {
  for (const auto& item : entries_if_any(directory))
    if ((item.path().extension() == ".deb" || item.path().extension() == ".rpm") && item.is_regular_file() &&
        !item.is_symlink())
      return item.path();
  return {};
}

void unpack_debs(const fs::path& directory, const std::string& what, Executor& executor, Console& console,
                 const std::optional<DebFiles>& part) {
  Console::Stage stage(console, "unpacking " + what);
  std::vector<fs::path> packages;
  for (auto& item : entries_of(directory))
    if (item.path().extension() == ".deb") packages.push_back(item.path());
  std::vector<Command> commands;
  std::vector<fs::path> folders;
  for (auto& package : packages) {
    folders.push_back(directory / fmt::format(".unpacked-{}", folders.size()));
    fs::create_directory(folders.back());
    if (part && package == part->package) {
      commands.push_back(unpack_files_command(*part, folders.back()));
      continue;
    }
    commands.push_back({.argv = {"dpkg-deb", "-x", package.string(), folders.back().string()},
                        .directory = {},
                        .environment = {},
                        .ours = true,
                        .largest_file = largest_unpacked_file});
  }
  auto results = executor.run_all(commands, std::max(std::thread::hardware_concurrency(), 1U));
  for (size_t i = 0; i < packages.size(); i++) {
    if (!results[i].ok()) executor.fail("can't unpack " + packages[i].filename().string(), results[i]);
    if (!part || packages[i] != part->package) fs::remove(packages[i]);
    clean_unpacked(folders[i], packages[i].filename().string(), Links::anywhere);
    merge_unpacked(folders[i], directory, packages[i].filename().string());
    fs::remove_all(folders[i]);
  }
}

}  // namespace kpatch
