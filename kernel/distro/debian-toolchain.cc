// A root with a kernel's own compiler, for machines that have another one.
//
// Which suite: the one whose package of the compiler has the version that the kernel's config names,
//
//     CONFIG_CC_VERSION_TEXT="x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0"      gcc-14 = 14.2.0-19: trixie
//
// since binutils, pahole and rustc are then that suite's too; whether they are those of the kernel is checked when the root is
// used. mmdebstrap only unpacks the packages ("extract": no script of theirs runs, and it needs no root), which leaves
// out what those scripts would have made: two links.
//
// Measured: 15 s and 350 MB for gcc-14; Rust is 1.2 GB more.
#include "kernel/distro/debian-toolchain.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <vector>

#include "kernel/distro/apt.h"
#include "kernel/distro/debian-suites.h"
#include "kernel/distro/unpacked.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

// What the kernel's build runs or includes, beside the compiler.
constexpr std::initializer_list<const char*> always = {
    "base-files", "bash",     "bc",         "binutils",  "bison",      "coreutils",  "cpio",          "dash",
    "diffutils",  "dwarves",  "findutils",  "flex",      "gawk",       "gcc",        "grep",          "gzip",
    "hostname",   "kmod",     "libc6-dev",  "libdw-dev", "libelf-dev", "libssl-dev", "libxxhash-dev", "lz4",
    "make",       "openssl",  "patch",      "perl",      "python3",    "rsync",      "sed",           "tar",
    "util-linux", "xz-utils", "zlib1g-dev", "zstd",
};

struct Found {
  SuiteGroup group;
  SuiteArchive archive;
};

bool same_version(std::string_view package, std::string_view wanted) {
  // "12.2.0-14+deb12u1" calls itself "12.2.0-14+deb12u1", and "14.2.0-19+b1" (rebuilt) "14.2.0-19".
  return package == wanted || (package.starts_with(wanted) && package.substr(wanted.size()).starts_with("+b"));
}

// The group whose newest compiler is the wanted one. seen: what the others have, for the message.
std::optional<Found> group_with(const PackagedCompiler& compiler, std::string_view release, const DistroTools& tools,
                                std::vector<std::string>& seen) {
  for (const SuiteGroup& group : groups_of_release(release)) {
    try {
      SuiteArchive suites = open_suites(group, tools);
      AptArchive archive(tools.executor, tools.console, suites.config);
      const auto versions = archive.versions(compiler.package);
      if (versions.empty()) continue;
      const std::string newest = archive.newest(versions).version;
      if (same_version(newest, compiler.version)) return Found{group, std::move(suites)};
      seen.push_back(fmt::format("{} {}", group.name, newest));
    } catch (const Error& error) {
      seen.push_back(fmt::format("{} can't be looked into: {}", group.name, error.what()));
    }
  }
  return std::nullopt;
}

void link_unless_there(const fs::path& root, const char* name, std::initializer_list<const char*> targets) {
  std::error_code ignored;
  for (const char* folder : {"usr/bin", "bin"})
    if (fs::exists(fs::symlink_status(root / folder / name, ignored))) return;
  for (const char* target : targets)
    for (const char* folder : {"usr/bin", "bin"})
      if (fs::exists(root / folder / target, ignored)) {
        fs::create_symlink(target, root / folder / name);
        return;
      }
}

// Was this machine's apt told to take lists that are out of date (an archive that stands still)?
bool takes_expired(Executor& executor) {
  const CommandResult result = executor.run({{"apt-config", "dump", "Acquire::Check-Valid-Until"}, {}, {}, true});
  return result.output.find("\"false\"") != std::string::npos;
}

// What nothing of a build reads: half of the files, a third of the size.
void slim(const fs::path& root) {
  for (const char* folder :
       {"dev", "proc", "sys", "run", "tmp", "var", "usr/share/doc", "usr/share/man", "usr/share/info",
        "usr/share/locale", "usr/share/lintian", "usr/share/bug", "usr/share/zoneinfo"})
    remove_tree(root / folder);
}

}  // namespace

PackagedCompiler packaged_compiler(std::string_view text) {
  constexpr std::string_view mark = "(Debian ";
  const size_t at = text.find(mark), end = text.find(')', at);
  if (at == std::string_view::npos || end == std::string_view::npos) return {};
  const std::string_view version = text.substr(at + mark.size(), end - at - mark.size());
  std::string_view program = text.substr(0, text.find(' '));
  for (const std::string_view compiler : {"gcc", "clang"}) {
    const size_t name = program.rfind(compiler);
    if (name == std::string_view::npos) continue;
    program.remove_prefix(name);
    if (program.size() > compiler.size()) return {std::string(program), std::string(version)};
    return {fmt::format("{}-{}", compiler, version.substr(0, version.find('.'))), std::string(version)};
  }
  return {};
}

void make_debian_toolchain(const ToolchainNeeds& needs, std::string_view release, const fs::path& root,
                           const DistroTools& tools) {
  const PackagedCompiler compiler = packaged_compiler(needs.compiler);
  if (compiler.package.empty()) throw Error("it isn't one of Debian's");
  if (!find_program("mmdebstrap")) throw Error("mmdebstrap isn't installed" + package_hint({"mmdebstrap"}));
  std::vector<std::string> seen;
  const auto found = group_with(compiler, release, tools, seen);
  if (!found)
    throw Error(fmt::format("no suite of the archive has {} {} (any more){}", compiler.package, compiler.version,
                            seen.empty() ? "" : fmt::format(": {}", fmt::join(seen, ", "))));
  std::vector<std::string> packages(always.begin(), always.end());
  packages.push_back(compiler.package);
  if (needs.gcc_plugins) packages.push_back(compiler.package + "-plugin-dev");
  if (!needs.rustc.empty()) packages.insert(packages.end(), {"rustc", "rust-src", "bindgen"});

  Console::Stage stage(tools.console,
                       fmt::format("toolchain of {}: {} {}", found->group.name, compiler.package, compiler.version));
  fs::create_directories(root);
  // mmdebstrap has apt write through a descriptor of its own, by a shell that knows those below 10 alone; we hand our
  // locks on, which may be many.
  std::vector<std::string> argv = {"sh", "-c", "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; exec \"$@\"", "sh"};
  argv.insert(argv.end(),
              {"mmdebstrap", "--variant=extract", geteuid() == 0 ? "--mode=root" : "--mode=chrootless",
               "--format=directory", "--include=" + joined(packages, ","), found->group.suites[0], root.string()});
  // mmdebstrap doesn't read this machine's apt.conf.
  if (!tools.archive.empty() || takes_expired(tools.executor))
    argv.emplace_back("--aptopt=Acquire::Check-Valid-Until \"false\"");
  argv.insert(argv.end(), found->archive.sources.begin(), found->archive.sources.end());
  const CommandResult result = tools.executor.run({argv, {}, {}, true}, [&](std::string_view line) {
    if (line.starts_with("I: ")) stage.note(std::string(line.substr(3)));
  });
  if (!result.ok()) tools.executor.fail("mmdebstrap can't make the root", result);
  slim(root);
  link_unless_there(root, "sh", {"dash", "bash"});
  link_unless_there(root, "awk", {"gawk", "mawk"});
  clean_unpacked(root, "the toolchain of " + found->group.name, Links::anywhere);
}

}  // namespace kpatch
