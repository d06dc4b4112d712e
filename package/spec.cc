// A spec that builds by itself
//
//     Source0: livepatch-test.patch
//     %build
//     kpatch-build -a 6.12.117+deb12-cloud-amd64 -n kpatch-livepatch-test -o . "%{SOURCE0}"
//
// rpmbuild finds the sources by their names in %_sourcedir, and needs nothing else: no kernel source package (kpatch-build
// has the kernel's files in its cache, or fetches them), no tool to set up a tree. kpatch-build isn't a BuildRequires:
// where it came otherwise than by RPM, rpmbuild would refuse.
#include "package/spec.h"

#include <fmt/format.h>

#include <algorithm>

#include "package/scriptlets.h"
#include "support/error.h"
#include "support/text.h"

namespace kpatch {
namespace {

constexpr const char* place = "/var/lib/kpatch";

// Which of the kernels that it is for has to be there: one at least.
std::string kernel_requirement(const Package& package) {
  std::vector<std::string> kernels;
  for (const std::string& release : releases_of(package))
    kernels.push_back(rpm_kernel(release, package.arch).empty() ? "linux-image-" + release
                                                                : "kernel-uname-r = " + release);
  return kernels.size() == 1 ? kernels.front() : fmt::format("({})", joined(kernels, " or "));
}

// Several patches for one kernel in a package are meant to be in effect at the same time.
bool shares_kernel(const Package& package, const PackagedModule& module) {
  return std::ranges::count(package.modules, module.release, &PackagedModule::release) > 1;
}

std::string folder_in_build(const Package& package, const PackagedModule& module) {
  return package.modules.size() == 1 ? "." : module.release;
}

std::string preamble(const Package& package) {
  std::string text = fmt::format(
      "# A module may be signed, and its digest is known: nothing strips it after it was built.\n"
      "%global debug_package %{{nil}}\n"
      "%global __os_install_post %{{nil}}\n\n"
      "Name:           {}\n"
      "Version:        {}\n"
      "Release:        {}\n"
      "Summary:        kpatch livepatch module\n"
      "Group:          System Environment/Kernel\n"
      "License:        GPLv2\n",
      package.name, package.version, package.revision);
  const std::vector<std::filesystem::path> sources = sources_of(package);
  for (size_t i = 0; i < sources.size(); ++i)
    text += fmt::format("{:<16}{}\n", fmt::format("Source{}:", i), sources[i].filename().string());
  text += fmt::format(
      "ExclusiveArch:  {}\n"
      "AutoReqProv:    no\n"
      "Requires:       kpatch\n"
      "Requires:       {}\n",
      package.arch, kernel_requirement(package));
  for (const PackagedModule& module : package.modules) {
    const std::string line = fmt::format("Provides:       kpatch-module({}) = {}-{}\n", kernel_spelling(module.name),
                                         package.version, package.revision);
    if (text.find(line) == std::string::npos) text += line;
  }
  // No older release stays beside a newer one, not with rpm -i either.
  return text + fmt::format("Conflicts:      {} < {}-{}\n", package.name, package.version, package.revision);
}

std::string build_commands(const Package& package) {
  const std::vector<std::filesystem::path> sources = sources_of(package);
  std::string text;
  for (const PackagedModule& module : package.modules) {
    const auto source = std::ranges::find(sources, module.source) - sources.begin();
    const std::string folder = folder_in_build(package, module);
    if (module.ready)
      text += fmt::format("install -D -m 0644 \"%{{SOURCE{}}}\" {}/{}.ko\n", source, folder, module.name);
    else
      text += fmt::format("kpatch-build -a {} -n {}{} -o {} \"%{{SOURCE{}}}\"\n", module.release, module.name,
                          shares_kernel(package, module) ? " -R" : "", folder, source);
  }
  return text;
}

}  // namespace

std::vector<std::filesystem::path> sources_of(const Package& package) {
  std::vector<std::filesystem::path> sources;
  for (const PackagedModule& module : package.modules) {
    if (std::ranges::find(sources, module.source) != sources.end()) continue;
    for (const std::filesystem::path& other : sources)
      if (other.filename() == module.source.filename())
        throw Error(fmt::format("{} and {}: rpmbuild knows sources by their file names alone; rename one",
                                other.string(), module.source.string()));
    sources.push_back(module.source);
  }
  return sources;
}

std::string spec_of(const Package& package) {
  std::string install, files;
  for (const PackagedModule& module : package.modules) {
    const std::string file = fmt::format("{}/{}/{}.ko", place, module.release, module.name);
    install += fmt::format("install -D -m 0644 {}/{}.ko \"%{{buildroot}}{}\"\n", folder_in_build(package, module),
                           module.name, file);
    files += file + "\n";
  }
  const auto script = [&](Moment moment) { return scriptlet(package, PackageFormat::rpm, moment); };
  return preamble(package) + fmt::format(
                                 "\n%description\n{}\n"
                                 "\n%prep\n%setup -q -c -T\n"
                                 "\n%build\n{}"
                                 "\n%install\n{}"
                                 "\n%post\n{}"
                                 "\n%preun\n{}"
                                 "\n%postun\n{}"
                                 "\n%files\n{}",
                                 description_of(package), build_commands(package), install,
                                 script(Moment::after_install), script(Moment::before_removal),
                                 script(Moment::after_removal), files);
}

}  // namespace kpatch
