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

constexpr auto packages = std::to_array<NeededPackage>({
    {"bwrap", "bubblewrap"},
    {"dpkg-source", "dpkg"},
    {"eu-unstrip", "elfutils"},
    {"gelf.h", "libelf-devel"},
    {"ld", "binutils"},
    {"libelf.h", "libelf-devel"},
    {"openssl/opensslv.h", "libopenssl-devel"},
    {"pahole", "dwarves"},
    {"stdio.h", "glibc-devel"},
    {"zlib.h", "zlib-devel"},
});

constexpr std::array<std::string_view, 2> ids = {"suse", "opensuse"};

}  // namespace

constinit const Distro suse = {
    .name = "SUSE",
    .ids = ids,
    .matches = matches,
    .locate = locate,
    .without_fetch =
        "fetch kernel-default, kernel-default-devel, kernel-default-debuginfo, kernel-source and "
        "kernel-devel and name their folder with --packages",
    .install_command = "zypper install",
    .packages = packages,
    .one_compiler = true,
};

}  // namespace kpatch
