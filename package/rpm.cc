// rpmbuild in a tree of its own: %_topdir, the data base and the place for scripts are a scratch folder, so that neither
// ~/rpmbuild nor an rpm data base is needed, or touched. Sources are copied there under their names.
//
// With SOURCE_DATE_EPOCH set the same input gives the same bytes; else an RPM says when and where it was built.
#include "package/rpm.h"

#include <fmt/format.h>

#include "package/output.h"
#include "package/spec.h"
#include "support/error.h"
#include "support/executor.h"
#include "support/files.h"
#include "support/scratch.h"
#include "support/source-date.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

Command rpmbuild(const Package& package, const fs::path& spec, const fs::path& top) {
  Command command;
  command.argv = {"rpmbuild", "-bb", "--target", package.arch + "-linux"};
  const auto define = [&](const std::string& name, const std::string& value) {
    command.argv.insert(command.argv.end(), {"--define", name + " " + value});
  };
  for (const char* folder : {"build", "sources", "rpms", "tmp", "db"}) fs::create_directories(top / folder);
  define("_topdir", top.string());
  define("_builddir", (top / "build").string());
  define("_buildrootdir", (top / "root").string());
  define("_sourcedir", (top / "sources").string());
  define("_rpmdir", (top / "rpms").string());
  define("_tmppath", (top / "tmp").string());
  define("_dbpath", (top / "db").string());
  define("_rpmfilename", "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm");
  if (source_date_epoch()) {
    define("use_source_date_epoch_as_buildtime", "1");
    define("clamp_mtime_to_source_date_epoch", "1");
    define("_buildhost", "localhost");
  }
  command.argv.push_back(spec.string());
  return command;
}

}  // namespace

std::string rpm_name(const Package& package) {
  return fmt::format("{}-{}-{}.{}.rpm", package.name, package.version, package.revision, package.arch);
}

fs::path build_rpm(const Package& package, const RpmBuild& build) {
  if (!find_program("rpmbuild"))
    throw Error("rpmbuild isn't installed: Debian has it in the package rpm, Fedora and RHEL in rpm-build");
  const Scratch scratch;
  const fs::path top = scratch.path();
  const Command command = rpmbuild(package, build.spec, top);
  for (const fs::path& source : sources_of(package))
    write_file(top / "sources" / source.filename(), read_file(source), Flush::no);
  Executor executor(top / "log");
  const CommandResult result = executor.run(command, build.on_line);
  if (!result.ok()) throw Error(fmt::format("rpmbuild failed with {}{}", result.status, last_lines(result.output)));
  const std::string name = rpm_name(package);
  if (build.on_result) build.on_result(name);
  write_file(build.output / name, read_file(top / "rpms" / name));
  return build.output / name;
}

}  // namespace kpatch
