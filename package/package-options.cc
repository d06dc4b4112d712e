#include "package/package-options.h"

#include <fmt/format.h>
#include <getopt.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "support/command.h"
#include "support/error.h"

namespace kpatch {
namespace {

constexpr const char* help = R"(kpatch-package [OPTION…] MODULE.ko…: packages of livepatches that are built

What they are for stands in the modules. Those of one name for several kernels go into one package.

  --format deb|rpm         default: deb where dpkg-deb is, else rpm
  -o, --output DIR         where the package goes; made if missing (default: here)
  --set-version NUM        of the package (default: 1)
  --set-release NUM        its release (default: 1)
  --maintainer TEXT        deb: "Name <address>" (default: from DEBFULLNAME and DEBEMAIL, else root@localhost)
  -h, --help               print this help
  -v, --version            print the version

The package holds /var/lib/kpatch/RELEASE/MODULE.ko. Its scripts load the module where RELEASE runs and kpatch.enable
isn't 0, and unload it when the package is removed; what fails in them breaks no transaction. With SOURCE_DATE_EPOCH
set, equal modules give equal packages. Exit status: 0 or 1.
)";

PackageFormat format_of(std::string_view text) {
  if (text == "deb") return PackageFormat::deb;
  if (text == "rpm") return PackageFormat::rpm;
  throw Error(fmt::format("--format {}: deb or rpm is meant", text));
}

}  // namespace

std::string require_maintainer(const std::string& from, const std::string& text) {
  const size_t open = text.find(" <");
  const bool plain = open != std::string::npos && open > 0 && text.ends_with('>') &&
                     text.find('@', open) != std::string::npos &&
                     std::ranges::none_of(text, [](unsigned char c) { return c < ' ' || c == 0x7f; });
  if (!plain) throw Error(fmt::format("{}: \"Name <name@example.org>\" is meant", from));
  return text;
}

std::optional<PackageOptions> parse_package_options(int argc, char** argv) {
  const option known[] = {
      {"format", required_argument, nullptr, 'f'},      {"output", required_argument, nullptr, 'o'},
      {"set-version", required_argument, nullptr, 's'}, {"set-release", required_argument, nullptr, 'r'},
      {"maintainer", required_argument, nullptr, 'm'},  {"help", no_argument, nullptr, 'h'},
      {"version", no_argument, nullptr, 'v'},           {nullptr, 0, nullptr, 0}};
  PackageOptions options;
  opterr = 0;
  optind = 0;  // from the start, also the second time
  for (int option = 0; (option = getopt_long(argc, argv, "o:hv", known, nullptr)) != -1;) {
    switch (option) {
      case 'f':
        options.format = format_of(optarg);
        break;
      case 'o':
        options.output = optarg;
        break;
      case 's':
        options.version = optarg;
        break;
      case 'r':
        options.revision = optarg;
        break;
      case 'm':
        options.maintainer = require_maintainer("--maintainer", optarg);
        break;
      case 'h':
        std::fputs(help, stdout);
        return std::nullopt;
      case 'v':
        std::fputs("kpatch-package " KPATCH_VERSION "\n", stdout);
        return std::nullopt;
      default:
        throw Error(fmt::format("{}: unknown option, or one that lacks its value; see --help", argv[optind - 1]));
    }
  }
  options.modules.assign(argv + optind, argv + argc);
  if (options.modules.empty()) throw Error("which module? kpatch-package MODULE.ko…; see --help");
  if (!options.format) options.format = find_program("dpkg-deb") ? PackageFormat::deb : PackageFormat::rpm;
  require_version(*options.format, "--set-version", options.version);
  require_release(*options.format, "--set-release", options.revision);
  return options;
}

std::vector<Package> packages_of(const PackageOptions& options) {
  std::vector<Package> packages;
  for (const std::filesystem::path& file : options.modules) {
    if (file.extension() != ".ko")
      throw Error(fmt::format("{}: it is no .ko; a patch is packaged by kpatch-package-builder", file.string()));
    PackagedModule module = packaged_module(file, {});
    const std::string name = package_name(base_name(file));
    auto package = std::ranges::find(packages, name, &Package::name);
    if (package == packages.end()) {
      packages.push_back({name, options.version, options.revision, host_package_arch().rpm, "kpatch-package", {}});
      package = packages.end() - 1;
    }
    package->modules.push_back(std::move(module));
  }
  for (const Package& package : packages) require_distinct(package);
  return packages;
}

}  // namespace kpatch
