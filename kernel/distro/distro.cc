// Which distribution a release, a system or a source package is of.
//
//     6.12.117+deb12-cloud-amd64     a release's name tells
//     6.12-cloud                     a series is one of the system we run on
//     linux_6.12.117-1.dsc           so does a source package's
//
// A kernel need not be of the system that its patch is made on: what the cache holds of a release is taken anywhere.
// On a system that we don't know, files are named by options, and advice names programs and headers.
#include "kernel/distro/distro.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>
#include <vector>

#include "kernel/distro/debian.h"
#include "kernel/distro/debuginfod.h"
#include "kernel/distro/kept-packages.h"
#include "kernel/distro/layout.h"
#include "kernel/distro/package-folder.h"
#include "kernel/distro/rpm.h"
#include "kernel/distro/suse.h"
#include "kernel/distro/ubuntu.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view name_the_files = "name the kernel's files with -s, -c, -v, --symvers and -m";

// The words of a variable of os-release, quotes taken off: ID=debian, ID_LIKE="rhel centos fedora".
std::vector<std::string_view> words_of_variable(std::string_view os_release, std::string_view variable) {
  std::vector<std::string_view> words;
  for (std::string_view line : lines_of(os_release)) {
    if (!line.starts_with(variable) || !line.substr(variable.size()).starts_with('=')) continue;
    const auto found = words_of(trimmed(line.substr(variable.size() + 1), "\"'"));
    words.insert(words.end(), found.begin(), found.end());
  }
  return words;
}

// Fields that the caller gave are taken as they are.
void take_given(KernelFiles& files, const KernelFiles& given) {
  for (const auto field : {&KernelFiles::config, &KernelFiles::vmlinux, &KernelFiles::symvers})
    if (!(given.*field).empty()) files.*field = given.*field;
  if (!given.modules.empty()) {
    files.modules = given.modules;
    files.debug_modules.clear();
    files.debug_package.clear();
  }
  if (!given.source.empty()) {
    files.source = given.source;
    files.source_identity = given.source_identity;
  }
}

KernelFiles find_in_packages(std::string_view wanted, const KernelFiles& given, const DistroTools& tools) {
  const std::string release = release_in(tools.packages, wanted, tools.executor);
  KernelFiles files = files_of_packages(tools.packages, release, given.source.empty(), tools);
  take_given(files, given);
  return files;
}

// What is installed of a release, but for vmlinux, which a server gives by its build id.
std::optional<KernelFiles> find_by_build_id(const std::string& release, const DistroTools& tools) {
  KernelFiles files = files_below("/", release);
  if (!has_debuginfod() || files.config.empty() || files.symvers.empty() || files.modules.empty() ||
      files.image.empty())
    return std::nullopt;
  files.vmlinux.clear();
  make_usable(files, "/", tools);
  return files;
}

// What to install for a program or a header; empty for a header that the distribution's table doesn't have.
std::string package_for(const Distro& distro, std::string_view need) {
  const auto known = std::ranges::find(distro.packages, need, &NeededPackage::need);
  if (known != distro.packages.end()) return std::string(known->package);
  for (const std::string_view compiler : {"gcc", "clang"})
    if (distro.one_compiler && need.starts_with(compiler)) return std::string(compiler);
  return need.ends_with(".h") ? "" : std::string(need);
}

[[noreturn]] void not_fetched(const Distro& distro, std::string_view release) {
  throw Error(fmt::format("{} is a kernel of {}, whose packages are not fetched; {}, or {}", release, distro.name,
                          distro.without_fetch, name_the_files));
}

KernelFiles fetched_files(const Distro& distro, const std::string& release, bool with_source,
                          const DistroTools& tools) {
  try {
    if (!distro.fetch) not_fetched(distro, release);
    return distro.fetch(release, with_source, tools);
  } catch (const Error& error) {
    if (auto files = find_by_build_id(release, tools)) {
      tools.console.info(
          fmt::format("{}\n>>> its vmlinux is fetched by its build id, the rest is installed", error.what()));
      return *files;
    }
    throw;
  }
}

}  // namespace

std::span<const Distro* const> distros() {
  static constexpr std::array<const Distro*, 4> all = {&debian, &rpm, &suse, &ubuntu};
  return all;
}

const Distro* distro_of_release(std::string_view release) {
  auto it = std::ranges::find_if(distros(), [&](const Distro* distro) { return distro->matches(release); });
  return it == distros().end() ? nullptr : *it;
}

const Distro* distro_of_system(std::string_view os_release) {
  for (const char* variable : {"ID", "ID_LIKE"})
    for (const std::string_view word : words_of_variable(os_release, variable))
      for (const Distro* distro : distros())
        if (std::ranges::find(distro->ids, word) != distro->ids.end()) return distro;
  return nullptr;
}

const Distro* running_distro() {
  std::string text = read_file_if_any("/etc/os-release");
  if (text.empty()) text = read_file_if_any("/usr/lib/os-release");
  return distro_of_system(text);
}

std::string package_hint(std::span<const std::string> needs, const Distro* system) {
  if (!system) return "";
  std::vector<std::string> packages;
  for (const std::string& need : needs) {
    std::string package = package_for(*system, need);
    if (!package.empty() && std::ranges::find(packages, package) == packages.end())
      packages.push_back(std::move(package));
  }
  return packages.empty() ? "" : fmt::format(" ({} {})", system->install_command, fmt::join(packages, " "));
}

std::string package_hint(std::initializer_list<std::string_view> needs) {
  return package_hint(std::vector<std::string>(needs.begin(), needs.end()));
}

std::vector<std::string> build_variables_of_banner(std::string_view banner) {
  for (const Distro* distro : distros())
    if (distro->build_variables)
      if (std::vector<std::string> variables = distro->build_variables(banner); !variables.empty()) return variables;
  return {};
}

std::string package_version_of_banner(std::string_view banner) {
  for (const Distro* distro : distros())
    if (distro->version_of)
      if (std::string version = distro->version_of(banner); !version.empty()) return version;
  return "";
}

bool is_packaging(std::string_view path) {
  return std::ranges::any_of(distros(), [&](const Distro* distro) {
    return !distro->packaging_folder.empty() && path.starts_with(distro->packaging_folder);
  });
}

std::string source_package_kinds() {
  std::vector<std::string_view> kinds;
  for (const Distro* distro : distros())
    if (!distro->source_package.empty()) kinds.push_back(distro->source_package);
  return joined(kinds, ", ");
}

KernelFiles find_release(std::string_view wanted, const KernelFiles& given, const DistroTools& all_tools,
                         const Distro* system) {
  if (!all_tools.packages.empty()) return find_in_packages(wanted, given, all_tools);
  DistroTools tools = all_tools;
  const size_t colon = wanted.find(':');
  if (colon != std::string_view::npos) tools.suite = wanted.substr(0, colon);
  std::string release(colon == std::string_view::npos ? wanted : wanted.substr(colon + 1));
  auto name = parse_release(release);
  if (!name)
    throw Error(fmt::format("'{}' is no kernel release (as uname -r prints it) and no series (6.1-cloud)", wanted));
  const Distro* distro = distro_of_release(release);
  if (!distro) distro = system;
  if (!distro)
    throw Error(fmt::format("{} is no kernel of a distribution that is known, nor is this system one of them; {}",
                            wanted, name_the_files));
  if (name->is_series) {
    if (!distro->newest_release) not_fetched(*distro, wanted);
    release = distro->newest_release(*name, wanted, tools);
    tools.console.info(fmt::format("{}: the newest in the archive is {}", wanted, release));
  }
  KernelFiles files;
  bool only_source =
      !given.vmlinux.empty() && !given.config.empty() && !given.symvers.empty() && !given.modules.empty();
  if (auto there = distro->locate(release, tools)) {
    files = *there;
  } else if (auto kept = kept_files(release, tools)) {
    files = *kept;
  } else if (only_source) {
    files.release = release;
    if (distro->newest_version) files.version = distro->newest_version(release, tools);
  } else {
    files = fetched_files(*distro, release, given.source.empty(), tools);
  }
  take_given(files, given);
  if (files.source.empty()) {
    if (!distro->fetch_source) not_fetched(*distro, release);
    distro->fetch_source(files, tools);
  }
  return files;
}

namespace {

const Distro& distro_of_source(const fs::path& package) {
  const std::string name = package.filename().string();
  auto it = std::ranges::find_if(
      distros(), [&](const Distro* d) { return !d->source_package.empty() && name.ends_with(d->source_package); });
  if (it == distros().end())
    throw Error(fmt::format("{} is no source package: {}", package.string(), source_package_kinds()));
  return **it;
}

std::string_view source_flavour(const Distro& distro, std::string_view release) {
  return distro.source_flavour ? distro.source_flavour(release) : "";
}

}  // namespace

void unpack_source_to(const fs::path& package, const fs::path& directory, std::string_view release,
                      const DistroTools& tools) {
  const Distro& distro = distro_of_source(package);
  const std::string name = package.filename().string();
  Console::Stage stage(tools.console, "unpacking " + name);
  try {
    distro.unpack_source(package, directory, source_flavour(distro, release), tools);
  } catch (const fs::filesystem_error& error) {
    throw Error(fmt::format("can't unpack {}: {}", package.string(), error.what()));
  }
}

KernelFiles unpack_source_package(const fs::path& package, std::string_view release, const DistroTools& tools) {
  const std::string name = package.filename().string();
  CacheKey key;
  key.add("source package", name).add("digest", tools.cache.file_digest(package));
  if (const auto flavour = source_flavour(distro_of_source(package), release); !flavour.empty())
    key.add("flavour", flavour);
  KernelFiles files;
  files.source = tools.cache.entry("source", key, "the source in " + name, [&](const fs::path& directory) {
    unpack_source_to(package, directory, release, tools);
  }) / "tree";
  files.source_identity = key.text();
  return files;
}

void apply_packaged_patch(const fs::path& patch, const std::string& name, const fs::path& tree, unsigned fuzz,
                          const fs::path& package, Executor& executor) {
  const CommandResult result = executor.run(
      {.argv = {"patch", "-s", "-f", "-p1", fmt::format("-F{}", fuzz), "--no-backup-if-mismatch", "-i", patch.string()},
       .directory = tree,
       .environment = {},
       .ours = true});
  if (!result.ok())
    executor.fail(fmt::format("the patch {} of {} doesn't apply", name, package.filename().string()), result);
}

std::string read_by_tool(const std::vector<std::string>& argv, const fs::path& file, Executor& executor) {
  CommandResult result;
  try {
    result = executor.run({.argv = argv, .directory = {}, .environment = {}, .ours = true});
  } catch (const Error& error) {
    throw Error(fmt::format("can't read {}: {}{}", file.string(), error.what(), package_hint({argv[0]})));
  }
  if (!result.ok()) executor.fail("can't read " + file.string(), result);
  return result.output;
}

void run_unpacker(const Command& command, std::initializer_list<std::string_view> needs, const fs::path& file,
                  Executor& executor) {
  CommandResult result;
  try {
    result = executor.run(command);
  } catch (const Error& error) {
    throw Error(fmt::format("can't unpack {}: {}{}", file.string(), error.what(), package_hint(needs)));
  }
  if (result.ok()) return;
  if (result.status == 127)
    throw Error(
        fmt::format("can't unpack {}: it needs {}{}", file.string(), fmt::join(needs, " and "), package_hint(needs)));
  executor.fail("can't unpack " + file.string(), result);
}

}  // namespace kpatch
