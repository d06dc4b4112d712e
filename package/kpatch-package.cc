// kpatch-package: a package of a livepatch that is built. `kpatch package` runs it.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <string>

#include "package/package.h"
#include "support/command.h"
#include "support/error.h"
#include "support/files.h"
#include "support/program.h"
#include "support/source-date.h"

namespace {

using namespace kpatch;
namespace fs = std::filesystem;

// SOURCE_DATE_EPOCH, else when the newest module was written.
long long epoch_of(const Package& package) {
  if (const auto given = source_date_epoch()) return *given;
  std::chrono::file_clock::time_point newest = fs::last_write_time(package.modules.front().source);
  for (const PackagedModule& module : package.modules) newest = std::max(newest, fs::last_write_time(module.source));
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::file_clock::to_sys(newest).time_since_epoch())
      .count();
}

// As Debian's own tools ask for it. The machine's name is no part of it: equal input gives equal bytes.
std::string maintainer_of(const PackageOptions& options) {
  if (!options.maintainer.empty()) return options.maintainer;
  const char* name = std::getenv("DEBFULLNAME");
  const char* address = std::getenv("DEBEMAIL");
  if (address == nullptr || *address == '\0') return "root <root@localhost>";
  if (std::strchr(address, '<') != nullptr) return require_maintainer("DEBEMAIL", address);
  return require_maintainer("DEBFULLNAME, DEBEMAIL",
                            fmt::format("{} <{}>", name != nullptr && *name != '\0' ? name : "root", address));
}

fs::path rpm(const Package& package, const fs::path& output) {
  const Scratch scratch;
  RpmBuild build;
  build.spec = scratch.path() / (package.name + ".spec");
  build.output = output;
  write_file(build.spec, spec_of(package), Flush::no);
  return build_rpm(package, build);
}

void run(const PackageOptions& options) {
  const std::vector<Package> packages = packages_of(options);
  fs::create_directories(options.output);
  for (const Package& package : packages) {
    const fs::path made = options.format == PackageFormat::rpm
                              ? rpm(package, options.output)
                              : build_deb(package, {maintainer_of(options), epoch_of(package), options.output});
    std::fputs(fmt::format("{}\n", made.lexically_normal().string()).c_str(), stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  return run_program([&] {
    if (const auto options = parse_package_options(argc, argv)) run(*options);
    return exit_ok;
  });
}
