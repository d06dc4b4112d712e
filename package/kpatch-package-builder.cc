// kpatch-package-builder: an RPM package, or its spec file, from a patch.
//
//     $ kpatch-package-builder -b livepatch-test.patch
//     kpatch-package-builder: generating spec file...
//     kpatch-package-builder: building RPM...
//     kpatch-package-builder: writing spec file to /tmp/kpatch_3I6mHJ.spec...
//     kpatch-package-builder: writing kpatch-module-livepatch-test-1-1.x86_64.rpm...
//
// Its command line and these lines are those of the program of that name of 2015, which scripts know.
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <string>

#include "package/package.h"
#include "support/error.h"
#include "support/files.h"
#include "support/signals.h"
#include "support/standard-output.h"

namespace {

using namespace kpatch;
namespace fs = std::filesystem;

constexpr int exit_usage = 2;

void log(const std::string& message) {
  std::fputs(fmt::format("kpatch-package-builder: {}\n", message).c_str(), stderr);
}

std::string running_kernel() {
  utsname name{};
  if (uname(&name) != 0) throw Error(fmt::format("can't tell the running kernel: {}", std::strerror(errno)));
  return name.release;
}

// A spec that rpmbuild reads, and nobody later.
class TemporarySpec {
 public:
  TemporarySpec() : path_((fs::temp_directory_path() / "kpatch_XXXXXX.spec").string()) {
    constexpr int suffix = 5;
    const int fd = mkstemps(path_.data(), suffix);
    if (fd < 0) throw Error(fmt::format("can't make a file like {}: {}", path_, std::strerror(errno)));
    close(fd);
  }
  ~TemporarySpec() { unlink(path_.c_str()); }
  TemporarySpec(const TemporarySpec&) = delete;
  TemporarySpec& operator=(const TemporarySpec&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void build(const Package& package, const std::string& spec, bool debug) {
  log("building RPM...");
  const TemporarySpec file;
  log(fmt::format("writing spec file to {}...", file.path()));
  write_file(file.path(), spec);
  RpmBuild build;
  build.spec = file.path();
  if (debug) build.on_line = [](std::string_view line) { std::fputs(fmt::format("{}\n", line).c_str(), stderr); };
  build.on_result = [](const std::string& name) { log(fmt::format("writing {}...", name)); };
  build_rpm(package, build);
}

void write_spec(const BuilderOptions& options, const Package& package, const std::string& spec) {
  if (options.output == "-") {
    if (std::fputs(spec.c_str(), stdout) < 0 || std::fflush(stdout) != 0)
      throw Error(fmt::format("can't write the spec: {}", std::strerror(errno)));
    return;
  }
  // As the patch is called, and of a manifest each package.
  constexpr size_t prefix = std::string_view("kpatch-module-").size();
  const std::string name = options.output.empty() ? package.name.substr(prefix) + ".spec" : options.output;
  log(fmt::format("writing {}...", name));
  write_file(name, spec);
}

void run(const BuilderOptions& options) {
  for (const Package& package : packages_of(options, running_kernel())) {
    if (!options.manifest.empty()) log(fmt::format("building {} version {}...", package.name, package.version));
    log("generating spec file...");
    const std::string spec = spec_of(package);
    if (options.build_rpm)
      build(package, spec, options.debug);
    else
      write_spec(options, package, spec);
  }
}

}  // namespace

int main(int argc, char** argv) {
  handle_signals();
  try {
    if (const auto options = parse_builder_options(argc, argv)) run(*options);
    return after_output(exit_ok);
  } catch (const UsageError& error) {
    std::fputs(builder_usage().c_str(), stderr);
    log(fmt::format("error: {}", error.what()));
    return exit_usage;
  } catch (const Interrupted& interrupted) {
    log("interrupted");
    return 128 + interrupted.signal;
  } catch (const std::exception& error) {
    log(fmt::format("error: {}", error.what()));
    return exit_error;
  }
}
