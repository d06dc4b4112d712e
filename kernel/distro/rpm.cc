// Kernels of Fedora, RHEL and what is made from them, installed or as a source package.
//
//     kernel-core         boot/config-R, boot/vmlinuz-R, or both as lib/modules/R/{config,vmlinuz}
//     kernel-modules*     lib/modules/R/kernel/…/x.ko.xz
//     kernel-devel        usr/src/kernels/R/{.config,Module.symvers}
//     kernel-debuginfo    usr/lib/debug/lib/modules/R/vmlinux
//     kernel-….src.rpm    linux-V.tar.xz, patches, and kernel.spec
//
// A release has the architecture behind a dot, as rpm writes it: 5.14.0-503.el9.x86_64. Installed files are of one
// build, since R has the package's release in it. Nothing is fetched.
//
// A .src.rpm is a cpio archive. RHEL's tarball holds its changes already, Fedora's and others' is upstream's, and the spec
// applies patches to it, in its order, from one folder up (-p1). rpm knows them by their names.
#include "kernel/distro/rpm.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "arch/arch.h"
#include "kernel/distro/layout.h"
#include "kernel/distro/unpacked.h"
#include "support/archive.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

bool matches(std::string_view release) {
  release = release.substr(0, release.find('+'));  // "+debug", "+rt"
  return std::ranges::any_of(architectures(),
                             [&](const Arch* arch) { return release.ends_with(fmt::format(".{}", arch->distro.rpm)); });
}

std::optional<KernelFiles> locate(const std::string& release, const DistroTools& tools) {
  return installed_files(rpm_layout, release, tools);
}

// The patches that the package was built with, in the order of its spec. rpm before 4.20 writes what the spec lists
// backwards, sources and patches alike: the first source is the kernel's archive.
std::vector<std::string> patches_of(const fs::path& package, const fs::path& archive, Executor& executor) {
  const std::string text = read_by_tool(
      {"rpm", "-qp", "--nosignature", "--qf", "[%{SOURCE}\\n]\\n[%{PATCH}\\n]", package.string()}, package, executor);
  const auto lines = lines_of(text);
  const auto middle = std::ranges::find(lines, "");
  std::vector<std::string> patches(middle == lines.end() ? middle : middle + 1, lines.end());
  const bool forwards = middle - lines.begin() > 1 && lines.front() == archive.filename().string();
  if (!forwards) std::ranges::reverse(patches);
  return patches;
}

// As the spec's %prep does: those that are empty are for whoever builds the package.
void apply_patches(const fs::path& package, const fs::path& parts, const std::vector<std::string>& patches,
                   const fs::path& tree, const DistroTools& tools) {
  for (const std::string& name : patches) {
    const fs::path patch = parts / fs::path(name).filename();
    std::error_code error;
    if (!fs::is_regular_file(fs::symlink_status(patch, error)))
      throw Error(fmt::format("{} lacks the patch {}, which its spec applies", package.string(), name));
    if (fs::file_size(patch) == 0) continue;
    apply_packaged_patch(patch, name, tree, 1, package, tools.executor);
  }
}

void unpack_source(const fs::path& package, const fs::path& directory, std::string_view /*flavour*/,
                   const DistroTools& tools) {
  fs::path parts = directory / "parts";
  fs::create_directories(parts);
  extract(package, parts);
  fs::path tarball, series;
  for (auto& item : entries_of(parts)) {
    std::string name = item.path().filename().string();
    if (item.is_symlink() || !item.is_regular_file()) continue;
    if (name == "series.conf") series = item.path();
    if (name.starts_with("linux-") && name.find(".tar") != std::string::npos &&
        (tarball.empty() || item.file_size() > fs::file_size(tarball)))
      tarball = item.path();
  }
  if (tarball.empty()) throw Error(fmt::format("{} holds no linux-*.tar archive: is it a kernel's?", package.string()));
  if (!series.empty())
    throw Error(
        fmt::format("{} keeps its patches in archives of their own (series.conf); take kernel-source and "
                    "kernel-devel (noarch) of the same version, which have them applied",
                    package.string()));
  const std::vector<std::string> patches = patches_of(package, tarball, tools.executor);
  const fs::path tree = directory / "tree";
  fs::create_directory(tree);
  run_unpacker(unpack_tree_command(tarball, tree), {"tar", "xz"}, package, tools.executor);
  clean_unpacked(tree, package.filename().string(), Links::inside);
  apply_patches(package, parts, patches, tree, tools);
  fs::remove_all(parts);
}

constexpr auto packages = std::to_array<NeededPackage>({
    {"bwrap", "bubblewrap"},
    {"debuginfod-find", "elfutils-debuginfod-client"},
    {"dpkg-source", "dpkg-dev"},
    {"eu-unstrip", "elfutils"},
    {"gcc-plugin.h", "gcc-plugin-devel"},
    {"gelf.h", "elfutils-libelf-devel"},
    {"ld", "binutils"},
    {"libelf.h", "elfutils-libelf-devel"},
    {"openssl/opensslv.h", "openssl-devel"},
    {"pahole", "dwarves"},
    {"stdio.h", "glibc-devel"},
    {"zlib.h", "zlib-devel"},
});

constexpr std::array<std::string_view, 2> ids = {"fedora", "rhel"};

}  // namespace

constinit const Distro rpm = {
    .name = "Fedora or RHEL",
    .ids = ids,
    .matches = matches,
    .locate = locate,
    .without_fetch =
        "fetch kernel-core, kernel-modules-core, kernel-modules, kernel-devel, kernel-debuginfo and the .src.rpm and "
        "name their folder with --packages",
    .source_package = ".src.rpm",
    .unpack_source = unpack_source,
    .install_command = "dnf install",
    .packages = packages,
    .one_compiler = true,
};

}  // namespace kpatch
