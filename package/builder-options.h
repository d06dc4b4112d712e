// The command line of kpatch-package-builder.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "package/contents.h"

namespace kpatch {

struct BuilderOptions {
  std::filesystem::path patch;     // or a module that is ready
  std::filesystem::path manifest;  // in its place
  std::string output;              // of the spec; "-": standard output; empty: named after the patch
  bool build_rpm = false;
  std::string kernel;                           // as given; empty: the running one
  std::string arch;                             // as given; empty: the host's
  std::optional<std::string> release, version;  // of the package
  bool debug = false;
};

// Empty: help or version was asked for and has been printed. Throws UsageError.
std::optional<BuilderOptions> parse_builder_options(int argc, char** argv);
std::string builder_usage();

// A command line that can't be: exit code 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What they ask for. Throws Error, with the manifest's line where it is to blame.
std::vector<Package> packages_of(const BuilderOptions& options, const std::string& running_kernel);

}  // namespace kpatch
