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
// A .src.rpm is a cpio archive; the kernel's tarball holds the distribution's changes already, besides the small
// patches that the spec lists, which only rpmbuild could apply: they are named in a warning.
#include "kernel/distro/rpm.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "arch/arch.h"
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

std::optional<KernelFiles> locate(const std::string& release, const DistroTools& /*tools*/) {
  KernelFiles files = files_of_rpms("/", release);
  if (files.vmlinux.empty() || files.config.empty() || files.symvers.empty() || files.modules.empty())
    return std::nullopt;
  return files;
}

void unpack_source(const fs::path& package, const fs::path& directory, const DistroTools& tools) {
  fs::path parts = directory / "parts";
  fs::create_directories(parts);
  extract(package, parts);
  fs::path tarball;
  std::vector<std::string> patches;
  for (auto& item : entries_of(parts)) {
    std::string name = item.path().filename().string();
    if (item.is_symlink() || !item.is_regular_file()) continue;
    if (name.starts_with("linux-") && name.find(".tar") != std::string::npos &&
        (tarball.empty() || item.file_size() > fs::file_size(tarball)))
      tarball = item.path();
    if (name.ends_with(".patch") && item.file_size() > 0) patches.push_back(name);
  }
  if (tarball.empty()) throw Error(fmt::format("{} holds no linux-*.tar archive: is it a kernel's?", package.string()));
  fs::create_directory(directory / "tree");
  run_unpacker(unpack_tree_command(tarball, directory / "tree"), {"tar", "xz"}, package, tools.executor);
  clean_unpacked(directory / "tree", package.filename().string(), Links::inside);
  fs::remove_all(parts);
  if (!patches.empty())
    tools.console.warning(fmt::format("patches in {} are not applied (its spec file says how): {}",
                                      package.filename().string(), joined(patches, ", ")));
}

std::string package_for(std::string_view need) {
  struct Entry {
    std::string_view need, package;
  };
  static constexpr std::array table = {
      Entry{"dpkg-source", "dpkg-dev"},
      Entry{"gcc-plugin.h", "gcc-plugin-devel"},
      Entry{"gelf.h", "elfutils-libelf-devel"},
      Entry{"ld", "binutils"},
      Entry{"libelf.h", "elfutils-libelf-devel"},
      Entry{"openssl/opensslv.h", "openssl-devel"},
      Entry{"pahole", "dwarves"},
      Entry{"stdio.h", "glibc-devel"},
      Entry{"zlib.h", "zlib-devel"},
  };
  if (auto it = std::ranges::find(table, need, &Entry::need); it != table.end()) return std::string(it->package);
  // There is one version of a compiler.
  for (std::string_view compiler : {"gcc", "clang"})
    if (need.starts_with(compiler)) return std::string(compiler);
  return need.ends_with(".h") ? "" : std::string(need);  // bc, bison, cpio, flex, make, perl, python3, rsync, tar, xz
}

constexpr std::array<std::string_view, 2> ids = {"fedora", "rhel"};

}  // namespace

KernelFiles files_of_rpms(const fs::path& root, const std::string& release) {
  KernelFiles files;
  std::error_code ignored;
  auto first_of = [&](std::initializer_list<fs::path> places) {
    for (const fs::path& place : places)
      if (fs::exists(place, ignored)) return place;
    return fs::path();
  };
  const fs::path modules = root / "lib/modules" / release, devel = root / "usr/src/kernels" / release;
  files.release = release;
  files.vmlinux = first_of({root / "usr/lib/debug/lib/modules" / release / "vmlinux"});
  files.config = first_of({root / ("boot/config-" + release), modules / "config", devel / ".config"});
  files.symvers = first_of({devel / "Module.symvers"});
  files.modules = first_of({modules / "kernel"});
  files.image = first_of({root / ("boot/vmlinuz-" + release), modules / "vmlinuz"});
  return files;
}

constinit const Distro rpm = {
    .name = "Fedora or RHEL",
    .ids = ids,
    .matches = matches,
    .version_of = nullptr,  // the release begins with it
    .locate = locate,
    .newest_release = nullptr,
    .list = nullptr,
    .newest_version = nullptr,
    .fetch = nullptr,
    .fetch_source = nullptr,
    .make_toolchain = nullptr,
    .without_fetch = "install its kernel-devel and kernel-debuginfo and give its source with --sourcerpm",
    .source_package = ".src.rpm",
    .unpack_source = unpack_source,
    .packaging_folder = "",
    .install_command = "dnf install",
    .package_for = package_for,
};

}  // namespace kpatch
