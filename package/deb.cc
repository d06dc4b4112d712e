// The Debian twin of the RPM
//
//     /var/lib/kpatch/6.12.117+deb12-cloud-amd64/kpatch-livepatch-test.ko
//     /usr/share/doc/kpatch-module-livepatch-test/{copyright,changelog.Debian.gz}
//
// dpkg-deb packs a tree as it finds it: each file gets its mode and its time here, owners are root's by its option, and
// its archive is sorted. It takes the times that it writes itself from SOURCE_DATE_EPOCH. So equal modules and an equal
// epoch give equal bytes, whoever packs them in which folder.
#include "package/deb.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "package/output.h"
#include "package/scriptlets.h"
#include "support/error.h"
#include "support/executor.h"
#include "support/files.h"
#include "support/scratch.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

constexpr mode_t folder_mode = 0755, file_mode = 0644, script_mode = 0755;

class Tree {
 public:
  Tree(fs::path top, long long epoch) : top_(std::move(top)), epoch_(epoch) {}

  void put(const fs::path& file, const std::string& contents, mode_t mode = file_mode) {
    fs::create_directories((top_ / file).parent_path());
    write_file(top_ / file, contents, Flush::no);
    set(top_ / file, mode);
  }
  // Last: writing into a folder changes its time.
  void settle() const {
    std::vector<fs::path> folders = {top_};
    walk(top_, [&](const fs::directory_entry& entry) {
      if (entry.is_directory()) folders.push_back(entry.path());
      return true;
    });
    for (const fs::path& folder : folders) set(folder, folder_mode);
  }
  unsigned long kibibytes() const {
    unsigned long sum = 0;
    walk(top_, [&](const fs::directory_entry& entry) {
      constexpr uintmax_t unit = 1024;
      sum += entry.is_directory() ? 1 : static_cast<unsigned long>((entry.file_size() + unit - 1) / unit);
      return true;
    });
    return sum;
  }
  const fs::path& top() const { return top_; }

 private:
  void set(const fs::path& path, mode_t mode) const {
    const timespec times[2] = {{epoch_, 0}, {epoch_, 0}};
    if (chmod(path.c_str(), mode) != 0 || utimensat(AT_FDCWD, path.c_str(), times, 0) != 0)
      throw Error(fmt::format("{}: {}", path.string(), std::strerror(errno)));
  }
  fs::path top_;
  long long epoch_;
};

std::string run(Executor& executor, std::vector<std::string> argv, const fs::path& directory = {},
                long long epoch = 0) {
  Command command;
  command.argv = std::move(argv);
  command.directory = directory;
  command.environment = {{"SOURCE_DATE_EPOCH", std::to_string(epoch)}};
  if (!find_program(command.argv.front()))
    throw Error(fmt::format("{} isn't installed; Debian packages are made with it", command.argv.front()));
  const CommandResult result = executor.run(command);
  if (!result.ok())
    throw Error(fmt::format("{} failed with {}{}", command.argv.front(), result.status, last_lines(result.output)));
  return result.output;
}

std::string copyright() {
  return "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"
         "Files: *\n"
         "Copyright: the authors of the Linux kernel and of the livepatch\n"
         "License: GPL-2\n"
         " A livepatch is made from source of the Linux kernel, and is under its license.\n"
         " On Debian systems /usr/share/common-licenses/GPL-2 has its text.\n";
}

std::string changelog(const Package& package, const DebBuild& build) {
  const std::string description = description_of(package);
  const std::string entry = joined(lines_of(description), "\n    ");
  return fmt::format("{} ({}-{}) unstable; urgency=medium\n\n  * {}\n\n -- {}  {:%a, %d %b %Y %H:%M:%S} +0000\n",
                     deb_package_name(package), package.version, package.revision, entry, build.maintainer,
                     fmt::gmtime(static_cast<std::time_t>(build.epoch)));
}

void put_modules(Tree& tree, const Package& package) {
  for (const PackagedModule& module : package.modules)
    tree.put(fs::path("var/lib/kpatch") / module.release / (module.name + ".ko"), read_file(module.source));
}

void put_control(Tree& tree, const Package& package, const DebBuild& build, const std::string& sums,
                 unsigned long kibibytes) {
  tree.put("DEBIAN/control", deb_control(package, build.maintainer, kibibytes));
  tree.put("DEBIAN/md5sums", sums);
  const std::pair<const char*, Moment> scripts[] = {
      {"postinst", Moment::after_install}, {"prerm", Moment::before_removal}, {"postrm", Moment::after_removal}};
  for (const auto& [name, moment] : scripts)
    tree.put(std::string("DEBIAN/") + name, "#!/bin/sh\n" + scriptlet(package, PackageFormat::deb, moment),
             script_mode);
}

}  // namespace

std::string deb_package_name(const Package& package) {
  std::string name = package.name;
  for (char& c : name) c = c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

std::string deb_name(const Package& package) {
  const auto arch = package_arch(package.arch);
  return fmt::format("{}_{}-{}_{}.deb", deb_package_name(package), package.version, package.revision,
                     arch ? arch->debian : package.arch);
}

std::string deb_control(const Package& package, const std::string& maintainer, unsigned long kibibytes) {
  std::vector<std::string> kernels, provided;
  for (const std::string& release : releases_of(package)) kernels.push_back("linux-image-" + release);
  for (const PackagedModule& module : package.modules) {
    std::string name = "kpatch-module-file-" + kernel_spelling(module.name);
    for (char& c : name) c = c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    name += fmt::format(" (= {}-{})", package.version, package.revision);
    if (std::ranges::count(provided, name) == 0) provided.push_back(name);
  }
  const auto arch = package_arch(package.arch);
  const std::string description = description_of(package);
  std::string text = fmt::format(
      "Package: {}\n"
      "Version: {}-{}\n"
      "Architecture: {}\n"
      "Maintainer: {}\n"
      "Installed-Size: {}\n"
      "Depends: kpatch, {}\n"
      "Provides: {}\n"
      "Section: kernel\n"
      "Priority: optional\n"
      "Description: kpatch livepatch module\n",
      deb_package_name(package), package.version, package.revision, arch ? arch->debian : package.arch, maintainer,
      kibibytes, joined(kernels, " | "), joined(provided, ", "));
  for (const std::string_view line : lines_of(description)) text += fmt::format(" {}\n", line);
  return text + fmt::format(" .\n For the kernel {}.\n", joined(releases_of(package), ", "));
}

fs::path build_deb(const Package& package, const DebBuild& build) {
  const Scratch scratch;
  Executor executor(scratch.path() / "log");
  Tree tree(scratch.path() / "tree", build.epoch);
  const fs::path documents = fs::path("usr/share/doc") / deb_package_name(package);
  put_modules(tree, package);
  tree.put(documents / "copyright", copyright());
  const fs::path log = documents / "changelog.Debian";
  tree.put(log, changelog(package, build));
  run(executor, {"gzip", "-9n", (tree.top() / log).string()});

  std::vector<std::string> sums = {"md5sum"};
  walk(tree.top(), [&](const fs::directory_entry& entry) {
    if (!entry.is_directory()) sums.push_back(entry.path().lexically_relative(tree.top()).string());
    return true;
  });
  const unsigned long size = tree.kibibytes();
  put_control(tree, package, build, run(executor, sums, tree.top()), size);
  tree.settle();

  // Written beside its place first: dpkg-deb that is killed leaves a part.
  const std::string name = deb_name(package);
  const fs::path packed = scratch.path() / name;
  run(executor, {"dpkg-deb", "--root-owner-group", "-Zxz", "--build", tree.top().string(), packed.string()}, {},
      build.epoch);
  write_file(build.output / name, read_file(packed));
  return build.output / name;
}

}  // namespace kpatch
