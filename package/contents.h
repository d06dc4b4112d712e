// What a package of livepatches holds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kpatch {

// One module for one kernel.
struct PackagedModule {
  std::filesystem::path source;    // a patch, or a module that is ready
  bool ready = false;              // it is a module
  std::string name;                // of the file, without .ko: "kpatch-livepatch-test"
  std::string release;             // of the kernel: "6.12.117+deb12-cloud-amd64"
  std::vector<std::string> fixes;  // what a ready module says that it fixes
};

struct Package {
  std::string name;  // "kpatch-module-livepatch-test"
  std::string version = "1", revision = "1";
  std::string arch;  // as rpm calls it
  std::string tool;  // who made it
  std::vector<PackagedModule> modules;
};

enum class PackageFormat : uint8_t { rpm, deb };

// How rpm and Debian call an architecture, and its number in ELF files.
struct PackageArch {
  std::string rpm, debian;
};
// By either name; nothing when it isn't known.
std::optional<PackageArch> package_arch(std::string_view name);
PackageArch host_package_arch();

// Kernels of RHEL, Fedora and their kin have the architecture behind the release of their package, 3.10.0-229.el7.x86_64:
// what stands before it is the package's version. Empty for kernels of others.
std::string rpm_kernel(const std::string& release, const std::string& arch);
// The release that is meant by what the user gives with -k: "3.10.0-229.el7" and x86_64 are 3.10.0-229.el7.x86_64.
// Throws Error when it is no release.
std::string release_of(const std::string& given, const std::string& arch);

// "kpatch-module-fix-1.2" for "fix-1.2". Throws Error naming what can't be in it.
std::string package_name(const std::string& base);
// As kpatch-build --name would have it: "kpatch-fix-1-2".
std::string packaged_name(const std::string& base);
// The kernel's spelling: kpatch_fix_1_2.
std::string kernel_spelling(const std::string& name);

// A source that a package is made from: of a patch `release` is for which kernel; a module says so itself, and with
// another `release` (not empty) it is an error. Throws Error when it can't be read, or its name can't stand in a package.
PackagedModule packaged_module(const std::filesystem::path& source, const std::string& release);
// The name of the source without its extension, which packages are named after: "livepatch-test", of a module
// kpatch-livepatch-test.ko too.
std::string base_name(const std::filesystem::path& source);

// Throws Error where rpm or dpkg wouldn't have that version, or that release, of a package.
void require_version(PackageFormat format, const std::string& option, const std::string& text);
void require_release(PackageFormat format, const std::string& option, const std::string& text);
// Throws Error when two modules would be one file.
void require_distinct(const Package& package);

// "Package generated from a.patch by kpatch-package-builder", and what its modules say that they fix.
std::string description_of(const Package& package);
// The releases, each once, in order.
std::vector<std::string> releases_of(const Package& package);

}  // namespace kpatch
