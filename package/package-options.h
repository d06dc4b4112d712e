// The command line of kpatch-package.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "package/contents.h"
#include "package/scriptlets.h"

namespace kpatch {

struct PackageOptions {
  std::vector<std::filesystem::path> modules;
  std::optional<PackageFormat> format;  // set by parse_package_options: what was asked for, else this machine's
  std::filesystem::path output = ".";
  std::string version = "1", revision = "1";
  std::string maintainer;  // empty: as the environment says
};

// Empty: help or version was asked for and has been printed. Throws Error.
std::optional<PackageOptions> parse_package_options(int argc, char** argv);

// The text, when it is a maintainer as Debian writes one. Throws Error naming where it is from.
std::string require_maintainer(const std::string& from, const std::string& text);

// One a name: modules of one name for several kernels go into one. In the order in which they were named.
std::vector<Package> packages_of(const PackageOptions& options);

}  // namespace kpatch
