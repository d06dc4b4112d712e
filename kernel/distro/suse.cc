// Kernels of SUSE and openSUSE, installed or as packages.
//
//     6.4.0-150600.21-default     the package kernel-default of version 6.4.0-150600.21.3: the last number counts rebuilds
//
// The symbols of vmlinux are split off (kernel-default-debuginfo), so it has to be joined with kernel-default's. Source is
// kernel-source and kernel-devel together, both noarch and expanded.
#include "kernel/distro/suse.h"

#include <algorithm>
#include <array>

#include "kernel/distro/layout.h"

namespace kpatch {

namespace {

bool matches(std::string_view release) {
  const auto parts = release_parts(release);
  return parts && (parts->flavour == "default" || parts->build.find('.') != std::string_view::npos);
}

std::optional<KernelFiles> locate(const std::string& release, const DistroTools& tools) {
  return installed_files(suse_layout, release, tools);
}

std::string package_for(std::string_view need) {
  struct Entry {
    std::string_view need, package;
  };
  static constexpr std::array table = {
      Entry{"bwrap", "bubblewrap"},
      Entry{"dpkg-source", "dpkg"},
      Entry{"eu-unstrip", "elfutils"},
      Entry{"gelf.h", "libelf-devel"},
      Entry{"ld", "binutils"},
      Entry{"libelf.h", "libelf-devel"},
      Entry{"openssl/opensslv.h", "libopenssl-devel"},
      Entry{"pahole", "dwarves"},
      Entry{"stdio.h", "glibc-devel"},
      Entry{"zlib.h", "zlib-devel"},
  };
  if (auto it = std::ranges::find(table, need, &Entry::need); it != table.end()) return std::string(it->package);
  return need.ends_with(".h") ? "" : std::string(need);
}

constexpr std::array<std::string_view, 2> ids = {"suse", "opensuse"};

}  // namespace

constinit const Distro suse = {
    .name = "SUSE",
    .ids = ids,
    .matches = matches,
    .version_of = nullptr,
    .locate = locate,
    .newest_release = nullptr,
    .list = nullptr,
    .newest_version = nullptr,
    .fetch = nullptr,
    .fetch_source = nullptr,
    .make_toolchain = nullptr,
    .without_fetch =
        "fetch kernel-default, kernel-default-devel, kernel-default-debuginfo, kernel-source and "
        "kernel-devel and name their folder with --packages",
    .source_package = "",
    .unpack_source = nullptr,
    .packaging_folder = "",
    .install_command = "zypper install",
    .package_for = package_for,
};

}  // namespace kpatch
