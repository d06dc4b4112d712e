#include "package/builder-options.h"

#include <fmt/format.h>
#include <getopt.h>

#include <cstdio>

#include "package/manifest.h"
#include "support/error.h"

namespace kpatch {
namespace {

constexpr const char* usage = R"(usage: kpatch-package-builder [-h] [-v] [-o FILE | -b] [-k VERSION] [-a ARCH]
                              [--set-release NUM] [--set-version NUM] [-d]
                              (PATCH | -p PATCH | --manifest FILE)
)";

constexpr const char* help = R"(
Build an RPM package or an RPM spec file to install and manage a kpatch
livepatch module.

positional arguments:
  PATCH                 patch file from which to build the livepatch module

optional arguments:
  -h, --help            show this help message and exit
  -v, --version         show program's version number and exit
  -o FILE, --output FILE
                        name of output spec file
  -b, --build-rpm       build an RPM package
  -k VERSION, --kernel VERSION
                        target kernel version to build the livepatch module
                        against. Defaults to the currently running version
  -a ARCH, --arch ARCH  architecture to compile the patch against
  --set-release NUM     package release version
  --set-version NUM     package version number
  -d, --debug           print debug information
  -p PATCH, --patch PATCH
                        the same as the positional argument; a file.ko is a
                        module that is ready, and is packaged as it is
  --manifest FILE       manifest (YAML) describing a mapping between packages,
                        patches and kernel versions

Usage examples:

Build an RPM package for a given patch:

    $ kpatch-package-builder --build-rpm module.patch

Generate a spec file to later build into an RPM:

    $ kpatch-package-builder --output module.spec module.patch

)";

void take_patch(BuilderOptions& options, const std::string& patch) {
  if (patch.empty()) throw UsageError("the patch's name is empty");
  if (!options.patch.empty())
    throw UsageError(
        fmt::format("one patch makes a package: {} and {}; a manifest takes several", options.patch.string(), patch));
  options.patch = patch;
}

void check(const BuilderOptions& options) {
  if (options.patch.empty() && options.manifest.empty())
    throw UsageError("one of the arguments PATCH, -p/--patch, --manifest is required");
  if (!options.patch.empty() && !options.manifest.empty())
    throw UsageError("--manifest isn't allowed with a patch: the manifest names them");
  if (!options.output.empty() && options.build_rpm)
    throw UsageError("argument -b/--build-rpm: not allowed with argument -o/--output");
  if (!options.manifest.empty() && !options.kernel.empty())
    throw UsageError("argument -k/--kernel: not allowed with --manifest, which names kernels");
  if (!options.manifest.empty() && options.version)
    throw UsageError("argument --set-version: not allowed with --manifest, which has versions");
}

// The release that the kernel calls itself; where -k isn't given it is meant as a whole.
std::string kernel_of(const BuilderOptions& options, const std::string& running, const std::string& arch) {
  return release_of(options.kernel.empty() ? running : options.kernel, arch);
}

// All but its name, its version and what it holds.
Package begun(const BuilderOptions& options) {
  Package package;
  package.tool = "kpatch-package-builder";
  package.revision = options.release.value_or("1");
  require_release(PackageFormat::rpm, "--set-release", package.revision);
  const PackageArch host = host_package_arch();
  if (options.arch.empty()) {
    package.arch = host.rpm;
  } else {
    const auto arch = package_arch(options.arch);
    if (!arch)
      throw Error(fmt::format("-a {}: no kernel's architecture is called that; uname -m names this one", options.arch));
    package.arch = arch->rpm;
  }
  return package;
}

Package package_of(const BuilderOptions& options, const std::string& running) {
  Package package = begun(options);
  package.version = options.version.value_or("1");
  require_version(PackageFormat::rpm, "--set-version", package.version);
  const bool ready = options.patch.extension() == ".ko";
  package.modules.push_back(packaged_module(
      options.patch, ready && options.kernel.empty() ? std::string() : kernel_of(options, running, package.arch)));
  package.name = package_name(base_name(options.patch));
  return package;
}

Package package_of(const BuilderOptions& options, const ManifestPackage& entry) {
  const auto at = [&](int line, const auto& act) {
    try {
      act();
    } catch (const Error& error) {
      throw Error(fmt::format("{}:{}: {}", options.manifest.string(), line, error.what()));
    }
  };
  Package package;
  at(entry.line, [&] {
    package = begun(options);
    package.name = package_name(entry.name);
    package.version = entry.version;
    require_version(PackageFormat::rpm, "version", package.version);
  });
  for (const ManifestPatch& patch : entry.patches)
    at(patch.line, [&] {
      for (const std::string& kernel : patch.kernels)
        package.modules.push_back(packaged_module(patch.file, release_of(kernel, package.arch)));
    });
  at(entry.line, [&] { require_distinct(package); });
  return package;
}

}  // namespace

std::string builder_usage() { return usage; }

std::optional<BuilderOptions> parse_builder_options(int argc, char** argv) {
  const option known[] = {{"help", no_argument, nullptr, 'h'},
                          {"version", no_argument, nullptr, 'v'},
                          {"output", required_argument, nullptr, 'o'},
                          {"build-rpm", no_argument, nullptr, 'b'},
                          {"kernel", required_argument, nullptr, 'k'},
                          {"arch", required_argument, nullptr, 'a'},
                          {"set-release", required_argument, nullptr, 'r'},
                          {"set-version", required_argument, nullptr, 's'},
                          {"debug", no_argument, nullptr, 'd'},
                          {"patch", required_argument, nullptr, 'p'},
                          {"manifest", required_argument, nullptr, 'm'},
                          {nullptr, 0, nullptr, 0}};
  BuilderOptions options;
  opterr = 0;
  optind = 0;  // from the start, also the second time
  for (int option = 0; (option = getopt_long(argc, argv, "hvo:bk:a:dp:", known, nullptr)) != -1;) {
    switch (option) {
      case 'h':
        std::fputs(usage, stdout);
        std::fputs(help, stdout);
        return std::nullopt;
      case 'v':
        std::fputs("kpatch-package-builder " KPATCH_VERSION "\n", stdout);
        return std::nullopt;
      case 'o':
        if (*optarg == '\0') throw UsageError("argument -o/--output: a file's name is expected");
        options.output = optarg;
        break;
      case 'b':
        options.build_rpm = true;
        break;
      case 'k':
        if (*optarg == '\0') throw UsageError("argument -k/--kernel: a kernel's version is expected");
        options.kernel = optarg;
        break;
      case 'a':
        options.arch = optarg;
        break;
      case 'r':
        options.release = optarg;
        break;
      case 's':
        options.version = optarg;
        break;
      case 'd':
        options.debug = true;
        break;
      case 'p':
        take_patch(options, optarg);
        break;
      case 'm':
        if (*optarg == '\0') throw UsageError("argument --manifest: a file's name is expected");
        options.manifest = optarg;
        break;
      default:
        throw UsageError(fmt::format("{}: unknown option, or one that lacks its value", argv[optind - 1]));
    }
  }
  for (int i = optind; i < argc; ++i) take_patch(options, argv[i]);
  check(options);
  return options;
}

std::vector<Package> packages_of(const BuilderOptions& options, const std::string& running_kernel) {
  if (options.manifest.empty()) return {package_of(options, running_kernel)};
  std::vector<Package> packages;
  for (const ManifestPackage& entry : read_manifest(options.manifest)) packages.push_back(package_of(options, entry));
  if (packages.size() > 1 && !options.output.empty())
    throw UsageError(fmt::format("argument -o/--output: names one spec file, and {} has {} packages",
                                 options.manifest.string(), packages.size()));
  return packages;
}

}  // namespace kpatch
