// Which packages of a folder are a release's, and unpacking them.
//
//     linux-image-unsigned-6.8.0-45-generic-dbgsym_6.8.0-45.45_amd64.ddeb     by its name: dpkg-deb would have to unpack
//                                                                             1 GB to say what it holds
//     kernel-default-debuginfo-6.4.0-150600.21.3.x86_64.rpm                   by the paths in its header, which has no
//                                                                             release: that is 6.4.0-150600.21-default
//
// All of a release's packages are of one version; its source is the one of that version, or comes from the distribution's
// archive where the folder has none. What dpkg-deb, rpm and
// libarchive tell of a package is believed, a package's file name only of a .dsc.
//
// What was unpacked is kept under the digests of the packages: the same files give the same entry, wherever they lie, and a
// later run by release alone takes it from there.
#include "kernel/distro/package-folder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <span>

#include "arch/arch.h"
#include "kernel/distro/apt.h"
#include "kernel/distro/debuginfod.h"
#include "kernel/distro/layout.h"
#include "kernel/distro/unpacked.h"
#include "support/archive.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

using Kind = FoundPackage::Kind;
using Packages = std::vector<const FoundPackage*>;

FoundPackage read_deb(const fs::path& file, Executor& executor) {
  const std::string text = read_by_tool(
      {"dpkg-deb", "-W", "--showformat=${Package}\\t${Version}\\t${Architecture}\\n", file.string()}, file, executor);
  const auto fields = fields_of(trimmed(text), '\t');
  if (fields.size() != 3) throw Error(fmt::format("can't read {}: it names no package and version", file.string()));
  return {file, std::string(fields[0]), std::string(fields[1]), std::string(fields[2])};
}

FoundPackage read_rpm(const fs::path& file, Executor& executor) {
  const std::string text =
      read_by_tool({"rpm", "-qp", "--nosignature", "--qf",
                    "%{NAME}\\t%{VERSION}-%{RELEASE}\\t%{ARCH}\\t%{SOURCERPM}\\t%{SOURCEPACKAGE}\\n[%{FILENAMES}\\n]",
                    file.string()},
                   file, executor);
  const auto lines = lines_of(text);
  const auto fields = lines.empty() ? std::vector<std::string_view>() : fields_of(lines[0], '\t');
  if (fields.size() != 5) throw Error(fmt::format("can't read {}: it names no package and version", file.string()));
  FoundPackage package{file, std::string(fields[0]), std::string(fields[1]), std::string(fields[2])};
  package.made_from = fields[3];
  package.kind = fields[4] == "1" ? Kind::source_rpm : Kind::rpm;
  for (const std::string_view line : lines.empty() ? lines : std::vector(lines.begin() + 1, lines.end()))
    if (line.starts_with('/')) package.holds.emplace_back(line.substr(1));
  return package;
}

// "linux_6.8.0-45.45.dsc". The version lacks its epoch there, as in the file names of .deb.
FoundPackage read_dsc(const fs::path& file) {
  const std::string stem = file.stem();
  const size_t line = stem.find('_');
  return {.file = file,
          .name = stem.substr(0, line),
          .version = line == std::string::npos ? "" : stem.substr(line + 1),
          .architecture = "source",
          .kind = Kind::dsc};
}

std::string without_epoch(std::string_view version) {
  return std::string(version.substr(version.find(':') == std::string_view::npos ? 0 : version.find(':') + 1));
}

bool lies_at(std::string_view path, std::string_view place) {
  return path == place || (path.starts_with(place) && path[place.size()] == '/');
}

bool is_named(const LayoutPart& part, const FoundPackage& package, std::string_view release) {
  return std::ranges::count(layout_words(part.packages, release), package.name) != 0;
}

bool holds_file_of(const LayoutPart& part, const FoundPackage& package, std::string_view release) {
  const auto places = layout_words(part.places, release);
  return std::ranges::any_of(package.holds, [&](const std::string& path) {
    return std::ranges::any_of(places, [&](const std::string& place) { return lies_at(path, place); });
  });
}

// May it hold that file of the release? Of a .deb by its name.
bool may_hold(const LayoutPart& part, const FoundPackage& package, std::string_view release) {
  if (package.kind == Kind::rpm) return holds_file_of(part, package, release);
  return package.kind == Kind::deb && is_named(part, package, release);
}

constexpr std::array parts = {&InstalledLayout::vmlinux, &InstalledLayout::stripped, &InstalledLayout::config,
                              &InstalledLayout::symvers, &InstalledLayout::modules,  &InstalledLayout::debug_modules,
                              &InstalledLayout::image};

// What it takes to boot a kernel.
constexpr std::array boot_parts = {&InstalledLayout::modules, &InstalledLayout::image};

using Parts = std::span<LayoutPart InstalledLayout::*const>;

// The packages that may hold one of the parts.
Packages of_release(const InstalledLayout& layout, const std::vector<FoundPackage>& packages, std::string_view release,
                    Parts wanted = parts) {
  Packages found;
  for (const FoundPackage& package : packages)
    if (std::ranges::any_of(wanted, [&](auto part) { return may_hold(layout.*part, package, release); }))
      found.push_back(&package);
  return found;
}

// The layout that fits the packages best: by those that it knows by their names, then by those that hold a file of it.
const InstalledLayout& layout_of(const std::vector<FoundPackage>& packages, std::string_view release) {
  const InstalledLayout* best = layouts()[0];
  std::pair<size_t, size_t> most{};
  for (const InstalledLayout* layout : layouts()) {
    std::pair<size_t, size_t> fits{};
    for (const FoundPackage* package : of_release(*layout, packages, release)) {
      fits.second++;
      if (std::ranges::any_of(parts, [&](auto part) { return is_named(layout->*part, *package, release); }))
        fits.first++;
    }
    if (fits > most) best = layout, most = fits;
  }
  return *best;
}

std::string names_of(const Packages& packages) {
  std::vector<std::string> names;
  for (const FoundPackage* package : packages) names.push_back(package->file.filename().string());
  return some_of(names);
}

// "no kernel of R is there; there are …".
[[noreturn]] void unknown_release(const fs::path& folder, std::string_view release,
                                  const std::vector<FoundPackage>& packages) {
  const auto there = releases_of(packages);
  throw Error(fmt::format("{} has no packages of the kernel {}; it has {}", folder.string(), release,
                          there.empty() ? "none of any kernel" : fmt::format("{}", fmt::join(there, ", "))));
}

void require_our_architecture(const Packages& packages, std::string_view release) {
  const Arch* arch = find_arch(host_machine());
  for (const FoundPackage* package : packages) {
    const std::string& is = package->architecture;
    if (is == "all" || is == "noarch" || !arch || is == arch->distro.debian || is == arch->distro.rpm) continue;
    throw Error(fmt::format("{} is a kernel of another architecture: {} is of {}, this machine is {}", release,
                            package->file.filename().string(), is,
                            package->kind == Kind::deb ? arch->distro.debian : arch->distro.rpm));
  }
}

void require_one_version(const fs::path& folder, const Packages& packages, std::string_view release) {
  for (const FoundPackage* package : packages)
    if (package->version != packages[0]->version)
      throw Error(fmt::format("{} has packages of {} in two versions: {} is {}, {} is {}; take one version's alone",
                              folder.string(), release, packages[0]->name, packages[0]->version, package->name,
                              package->version));
}

// Those that have the name of the missing one, of other releases: what somebody fetched for it by mistake.
std::string instead(const LayoutPart& part, const std::vector<FoundPackage>& packages, std::string_view release) {
  Packages others;
  for (const FoundPackage& package : packages)
    if (package.kind == Kind::rpm && is_named(part, package, release)) others.push_back(&package);
  return others.empty() ? "" : fmt::format(" ({} is of another kernel)", names_of(others));
}

struct NamedPart {
  LayoutPart InstalledLayout::*part;
  const char* what;
};

constexpr std::array needed_to_build = {
    NamedPart{&InstalledLayout::vmlinux, "the debug package (vmlinux with its symbols)"},
    NamedPart{&InstalledLayout::config, "the package with the kernel's config"},
    NamedPart{&InstalledLayout::symvers, "the package with Module.symvers"},
    NamedPart{&InstalledLayout::modules, "the package with the modules"}};
constexpr std::array needed_to_boot = {NamedPart{&InstalledLayout::modules, "the package with the modules"},
                                       NamedPart{&InstalledLayout::image, "the package with the kernel's image"}};

void require_parts(const fs::path& folder, const InstalledLayout& layout, const std::vector<FoundPackage>& packages,
                   std::string_view release, std::span<const NamedPart> needed) {
  for (const NamedPart& wanted : needed) {
    const LayoutPart& part = layout.*wanted.part;
    const auto is_there = [&](const LayoutPart& wanted_part) {
      return std::ranges::any_of(packages, [&](const FoundPackage& p) { return may_hold(wanted_part, p, release); });
    };
    if (is_there(part) || (wanted.part == &InstalledLayout::vmlinux && has_debuginfod() && is_there(layout.image)))
      continue;
    throw Error(fmt::format(
        "{} lacks {} of {}: {} of {}{}{}", folder.string(), wanted.what, release,
        layout_words(part.packages, release)[0], layout.distribution, instead(part, packages, release),
        wanted.part == &InstalledLayout::vmlinux ? "; or name a server that has it in DEBUGINFOD_URLS" : ""));
  }
}

void copy_package(const fs::path& file, const fs::path& to) {
  std::error_code error;
  fs::copy_file(file, to, error);
  if (error) throw Error(fmt::format("can't copy {} to {}: {}", file.string(), to.string(), error.message()));
}

// A name in the entry for a package that is unpacked there and goes again: without copying it, where that can be done.
// What stays is a copy, since the caller's file may be written to later.
void take_file(const fs::path& file, const fs::path& to) {
  std::error_code error;
  fs::create_hard_link(file, to, error);
  if (error) copy_package(file, to);
}

// kernel-source and, of the same folder, kernel-devel: what both have is in the latter alone.
bool is_expanded_source(const FoundPackage& package, std::string_view release) {
  const std::string tree = layout_words("usr/src/linux-{V}", release)[0];
  return package.kind == Kind::rpm &&
         std::ranges::any_of(package.holds, [&](const std::string& path) { return lies_at(path, tree); });
}

bool is_source_of(const FoundPackage& package, const FoundPackage& kernel, std::string_view release) {
  switch (package.kind) {
    case Kind::deb:
      return package.name.starts_with("linux-source-") && package.version == kernel.version;
    case Kind::dsc:
      return package.version == without_epoch(kernel.version);
    case Kind::source_rpm:
      return package.file.filename() == kernel.made_from || package.version == kernel.version;
    case Kind::rpm:
      return package.name.starts_with("kernel-source") && is_expanded_source(package, release);
  }
  return false;
}

bool is_source(const FoundPackage& package) {
  return package.kind == Kind::dsc || package.kind == Kind::source_rpm || package.name.starts_with("linux-source-") ||
         package.name.starts_with("kernel-source");
}

// What is below one of the places; the list of what is built in lies beside the modules.
bool is_wanted(std::string_view path, const std::vector<std::string>& places) {
  while (path.starts_with("./") || path.starts_with("/")) path.remove_prefix(path.find('/') + 1);
  return std::ranges::any_of(places, [&](const std::string& place) {
    return lies_at(path, place) || (place.ends_with("/kernel") && path.ends_with("/modules.builtin") &&
                                    fs::path(path).parent_path() == fs::path(place).parent_path());
  });
}

void unpack_rpm(const FoundPackage& package, const fs::path& target, const std::vector<std::string>& places) {
  const std::string name = package.file.filename();
  const fs::path folder = target / ".unpacked";
  fs::create_directory(folder);
  extract(package.file, folder, [&](std::string_view path) { return is_wanted(path, places); });
  clean_unpacked(folder, name, Links::anywhere);
  merge_unpacked(folder, target, name);
  remove_tree(folder);
}

// vmlinux alone, from the first place that has it (a link isn't enough).
void unpack_vmlinux(const fs::path& package, const InstalledLayout& layout, const std::string& release,
                    const fs::path& target, Executor& executor) {
  const fs::path folder = target / ".unpacked";
  CommandResult result;
  for (const std::string& place : layout_words(layout.vmlinux.places, release)) {
    fs::create_directory(folder);
    result = executor.run(unpack_files_command({package, {"./" + place}}, folder));
    clean_unpacked(folder, package.filename(), Links::anywhere);
    merge_unpacked(folder, target, package.filename());
    remove_tree(folder);
    if (place_below(target, layout.vmlinux, release).empty()) continue;
    if (!result.ok()) break;  // half of it
    return;
  }
  executor.fail(fmt::format("can't unpack vmlinux from {}", package.filename().string()), result);
}

void unpack_debs_of(const Packages& packages, const InstalledLayout& layout, const std::string& release,
                    const fs::path& target, const DistroTools& tools) {
  const FoundPackage* debug = nullptr;
  for (const FoundPackage* package : packages)
    if (is_named(layout.vmlinux, *package, release))
      debug = package;
    else
      take_file(package->file, target / (package->name + ".deb"));
  unpack_debs(target, release, tools.executor, tools.console);
  if (!debug) return;
  const Console::Stage stage(tools.console, "unpacking vmlinux");
  const fs::path kept = target / (debug->name + ".deb");
  copy_package(debug->file, kept);
  unpack_vmlinux(kept, layout, release, target, tools.executor);
}

void unpack_rpms_of(const Packages& packages, const InstalledLayout& layout, const std::string& release,
                    const fs::path& target, const DistroTools& tools) {
  std::vector<std::string> places;
  for (auto part : parts)
    if (part != &InstalledLayout::debug_modules)
      std::ranges::move(layout_words((layout.*part).places, release), std::back_inserter(places));
  Console::Stage stage(tools.console, "unpacking " + release);
  size_t done = 0;
  for (const FoundPackage* package : packages) {
    stage.note(package->name);
    unpack_rpm(*package, target, places);
    if (holds_file_of(layout.debug_modules, *package, release))
      copy_package(package->file, target / (package->name + ".rpm"));
    stage.progress(++done, packages.size());
  }
}

void unpack_packages(const fs::path& target, const Packages& packages, const InstalledLayout& layout,
                     const std::string& release, const DistroTools& tools) {
  Packages debs, rpms;
  for (const FoundPackage* package : packages) (package->kind == Kind::deb ? debs : rpms).push_back(package);
  if (!debs.empty()) unpack_debs_of(debs, layout, release, target, tools);
  if (!rpms.empty()) unpack_rpms_of(rpms, layout, release, target, tools);
}

[[noreturn]] void not_held(const std::string& what, std::string_view name, const InstalledLayout& layout,
                           const LayoutPart& part, const std::string& release) {
  throw Error(fmt::format("{} don't hold {} where {} has it: {}", what, name, layout.distribution,
                          joined(layout_words(part.places, release), ", ")));
}

void fill_entry(const fs::path& target, const Packages& packages, const InstalledLayout& layout,
                const std::string& release, const DistroTools& tools) {
  unpack_packages(target, packages, layout, release, tools);
  const std::string what = "the packages of " + release;
  make_folders(target, layout_words(layout.debug_modules.places, release)[0], what);
  const KernelFiles files = files_below(layout, target, release);
  for (const auto& [file, part, name] :
       {std::tuple(files.vmlinux, layout.vmlinux, "vmlinux"), std::tuple(files.config, layout.config, "the config"),
        std::tuple(files.symvers, layout.symvers, "Module.symvers"),
        std::tuple(files.modules, layout.modules, "the modules")})
    if (file.empty() && (std::string_view(name) != "vmlinux" || !has_debuginfod() || files.image.empty()))
      not_held(what, name, layout, part, release);
  for (const fs::path* file :
       {&files.vmlinux, &files.config, &files.symvers, &files.modules, &files.debug_modules, &files.image})
    if (!file->empty()) require_inside(*file, target, what);
}

// The tarball of a linux-source package: usr/src/linux-source-6.12.tar.xz, or in a folder of that name.
fs::path tarball_below(const fs::path& folder, const std::string& package) {
  fs::path found;
  walk(folder, [&](const fs::directory_entry& entry) {
    const std::string name = entry.path().filename();
    if (!entry.is_symlink() && entry.is_regular_file() && name.starts_with("linux-source-") &&
        name.find(".tar.") != std::string::npos)
      found = entry.path();
    return true;
  });
  if (found.empty()) throw Error(fmt::format("{} holds no linux-source-*.tar archive", package));
  return found;
}

void unpack_source_deb(const FoundPackage& package, const fs::path& folder, const DistroTools& tools) {
  take_file(package.file, folder / (package.name + ".deb"));
  unpack_debs(folder, package.name, tools.executor, tools.console);
  const fs::path tarball = tarball_below(folder / "usr", package.file.filename());
  fs::create_directory(folder / "tree");
  const Console::Stage stage(tools.console, "unpacking the source");
  run_unpacker(unpack_tree_command(tarball, folder / "tree"), {"tar", "xz"}, package.file, tools.executor);
  clean_unpacked(folder / "tree", tarball.filename(), Links::inside);
  remove_tree(folder / "usr");
}

void unpack_expanded_source(const Packages& packages, const fs::path& folder, const std::string& release,
                            const DistroTools& tools) {
  const Console::Stage stage(tools.console, "unpacking the source");
  const fs::path tree = layout_words("usr/src/linux-{V}", release)[0];
  for (const FoundPackage* package : packages) unpack_rpm(*package, folder, {tree.string()});
  fs::rename(folder / tree, folder / "tree");
  clean_unpacked(folder / "tree", packages[0]->file.filename(), Links::inside);
  remove_tree(folder / "usr");
  if (std::error_code ignored; !fs::exists(folder / "tree/Makefile", ignored))
    throw Error(
        fmt::format("the source in {} is half of it, without its Makefile: the rest is in kernel-devel (noarch)",
                    names_of(packages)));
}

// The package with the source of the kernel's version; with that of SUSE the one that has the rest. Empty: the folder has
// none, but the distribution's archive may. Throws Error where it is nowhere.
Packages source_packages(const fs::path& folder, const std::vector<FoundPackage>& packages, const FoundPackage& kernel,
                         const InstalledLayout& layout, const std::string& release) {
  Packages sources, others;
  for (const FoundPackage& package : packages)
    if (is_source_of(package, kernel, release))
      sources.push_back(&package);
    else if (is_source(package))
      others.push_back(&package);
  if (!sources.empty()) {
    sources.resize(1);
    for (const FoundPackage& package : packages)
      if (&package != sources[0] && sources[0]->kind == Kind::rpm && is_expanded_source(package, release))
        sources.push_back(&package);
    return sources;
  }
  if (const Distro* distro = distro_of_release(release); distro && distro->fetch_source && others.empty()) return {};
  throw Error(fmt::format("{} lacks the source of {}, in version {}: {} of {}{}; or name a tree with -s DIR",
                          folder.string(), release, kernel.version, layout.source, layout.distribution,
                          others.empty() ? "" : fmt::format(" ({} is of another version)", names_of(others))));
}

void take_source(KernelFiles& files, const Packages& used, const DistroTools& tools) {
  if (used.empty()) return distro_of_release(files.release)->fetch_source(files, tools);
  const FoundPackage& source = *used[0];
  CacheKey key;
  key.add("source package", source.name).add("kernel", files.release).add("version", files.version);
  for (const FoundPackage* package : used) key.add("digest", tools.cache.file_digest(package->file));
  const fs::path entry =
      tools.cache.entry("source", key, "the source of " + files.release, [&](const fs::path& directory) {
        if (source.kind == Kind::deb) return unpack_source_deb(source, directory, tools);
        if (source.kind == Kind::rpm) return unpack_expanded_source(used, directory, files.release, tools);
        unpack_source_to(source.file, directory, files.release, tools);
      });
  files.source = entry / "tree";
  files.source_identity = key.text();
}

}  // namespace

std::vector<FoundPackage> packages_in(const fs::path& folder, Executor& executor) {
  std::error_code error;
  if (!fs::is_directory(folder, error))
    throw Error(fmt::format("--packages {}: {}", folder.string(),
                            fs::exists(folder, error) ? "a file, not a folder" : "no such folder"));
  std::vector<FoundPackage> packages;
  for (const auto& entry : entries_of(folder)) {
    const std::string extension = entry.path().extension();
    if (!entry.is_regular_file(error)) continue;
    if (extension == ".deb" || extension == ".ddeb") packages.push_back(read_deb(entry.path(), executor));
    if (extension == ".rpm") packages.push_back(read_rpm(entry.path(), executor));
    if (extension == ".dsc") packages.push_back(read_dsc(entry.path()));
  }
  if (packages.empty())
    throw Error(fmt::format("--packages {}: there is no .deb, .ddeb, .rpm or .dsc in it", folder.string()));
  return packages;
}

std::vector<std::string> releases_of(const std::vector<FoundPackage>& packages) {
  std::set<std::string> releases;
  for (const FoundPackage& package : packages) {
    if (package.kind == Kind::deb && package.name.starts_with("linux-image-")) {
      std::string_view rest = std::string_view(package.name).substr(12);
      if (rest.starts_with("unsigned-")) rest.remove_prefix(9);
      for (const std::string_view end : {"-dbgsym", "-dbg", "-unsigned"})
        if (rest.ends_with(end)) rest.remove_suffix(end.size());
      if (const auto name = parse_release(rest); name && !name->is_series) releases.emplace(rest);
    }
    for (const std::string& path : package.holds) {
      // "usr/lib/debug/lib/modules/R/vmlinux", "lib/modules/R/kernel"
      const size_t at = path.find("lib/modules/");
      if (package.kind != Kind::rpm || at == std::string::npos) continue;
      const std::string_view release = std::string_view(path).substr(at + 12);
      releases.emplace(release.substr(0, release.find('/')));
    }
  }
  return {releases.begin(), releases.end()};
}

std::string release_in(const fs::path& folder, std::string_view wanted, Executor& executor) {
  const auto name = parse_release(wanted);
  if (!wanted.empty() && !name)
    throw Error(fmt::format("'{}' is no kernel release (as uname -r prints it) and no series (6.1-cloud)", wanted));
  if (name && !name->is_series) return std::string(wanted);
  std::vector<std::string> releases = releases_of(packages_in(folder, executor));
  if (name)
    std::erase_if(releases, [&](const std::string& release) {
      return !release.starts_with(name->series + ".") || release.find(name->flavour) == std::string::npos;
    });
  if (releases.size() != 1)
    throw Error(fmt::format(
        "--packages {}: name one release with -a; it has {}", folder.string(),
        releases.empty() ? std::string("no kernel") + (name ? " of that series" : "") : joined(releases, ", ")));
  return releases[0];
}

KernelFiles files_of_packages(const fs::path& folder, const std::string& release, bool with_source,
                              const DistroTools& tools) {
  const std::vector<FoundPackage> all = packages_in(folder, tools.executor);
  const InstalledLayout& layout = layout_of(all, release);
  const Packages packages = of_release(layout, all, release);
  if (packages.empty()) unknown_release(folder, release, all);
  require_our_architecture(packages, release);
  require_one_version(folder, packages, release);
  require_parts(folder, layout, all, release, needed_to_build);
  const Packages sources = with_source ? source_packages(folder, all, *packages[0], layout, release) : Packages();
  CacheKey key;
  key.add("packages", "of a folder 1").add("release", release).add("version", packages[0]->version);
  for (const FoundPackage* package : packages) key.add("digest", tools.cache.file_digest(package->file));
  const fs::path entry = tools.cache.entry("packages", key, "the packages of " + release, [&](const fs::path& target) {
    fill_entry(target, packages, layout, release, tools);
  });
  KernelFiles files = files_below(layout, entry, release);
  files.version = packages[0]->version;
  files.debug_package = package_in(entry);
  if (with_source) take_source(files, sources, tools);
  make_usable(files, entry, tools);
  return files;
}

KernelFiles files_to_boot(const fs::path& folder, std::string_view wanted, const fs::path& target,
                          const DistroTools& tools) {
  const std::string release = release_in(folder, wanted, tools.executor);
  const std::vector<FoundPackage> all = packages_in(folder, tools.executor);
  const InstalledLayout& layout = layout_of(all, release);
  if (of_release(layout, all, release).empty()) unknown_release(folder, release, all);
  require_parts(folder, layout, all, release, needed_to_boot);
  const Packages packages = of_release(layout, all, release, boot_parts);
  require_our_architecture(packages, release);
  require_one_version(folder, packages, release);
  unpack_packages(target, packages, layout, release, tools);
  KernelFiles files = files_below(layout, target, release);
  const std::string what = "the packages of " + release;
  if (files.modules.empty()) not_held(what, "the modules", layout, layout.modules, release);
  if (files.image.empty()) not_held(what, "the image", layout, layout.image, release);
  require_inside(files.modules, target, what);
  require_inside(files.image, target, what);
  files.version = packages[0]->version;
  return files;
}

}  // namespace kpatch
