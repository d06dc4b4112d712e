// Kernels of Ubuntu, installed or as packages.
//
//     6.8.0-45-generic      an ABI number and a flavour; 6.8.0 is the series, whatever the source's version is
//
// linux-modules-R, linux-headers-R, linux-image-unsigned-R-dbgsym (.ddeb, from an archive of its own) and linux-source-6.8.0 hold a
// kernel. Its config names the upstream version that it is of (CONFIG_VERSION_SIGNATURE), and base-maker.cc compares it
// with the source's.
#include "kernel/distro/ubuntu.h"

#include "kernel/distro/layout.h"

namespace kpatch {

namespace {

// X.Y.Z-ABI-FLAVOUR; Debian's flavours end with the machine, and come first.
bool matches(std::string_view release) {
  const auto parts = release_parts(release);
  return parts && !parts->flavour.empty() && parts->build.find('.') == std::string_view::npos &&
         parts->flavour != "default";
}

std::optional<KernelFiles> locate(const std::string& release, const DistroTools& tools) {
  return installed_files(ubuntu_layout, release, tools);
}

}  // namespace

// A system of Ubuntu's is one of Debian's kind: apt, dpkg, and the same names of packages.
constinit const Distro ubuntu = {
    .name = "Ubuntu",
    .matches = matches,
    .locate = locate,
    .without_fetch =
        "fetch linux-modules, linux-headers, linux-image-unsigned-…-dbgsym and linux-source and name their "
        "folder with --packages",
    .packaging_folder = "debian.master/",
    .install_command = "apt-get install",
};

}  // namespace kpatch
