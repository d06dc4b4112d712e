// Kernels from a folder of packages: packages of a few bytes, made by dpkg-deb and rpmbuild.
#include "kernel/distro/package-folder.h"

#include <archive.h>
#include <gtest/gtest.h>

#include <map>

#include "arch/arch.h"
#include "kernel/base-maker.h"
#include "kernel/distro/debug-package.h"
#include "kernel/distro/debuginfod.h"
#include "support/command.h"
#include "support/error.h"
#include "support/files.h"
#include "unit/fake-programs.h"
#include "unit/packer.h"
#include "unit/skip.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

using Files = std::map<std::string, std::string>;  // by their paths from the root

const DistroFacts& here() { return find_arch(host_machine())->distro; }

class PackageFolder : public FakePrograms {
 protected:
  void SetUp() override {
    for (const char* program : {"dpkg-deb", "rpmbuild", "rpm"})
      if (!find_program(program)) SKIP_PACKAGE(std::string(program) + " isn't installed");
    unsetenv("DEBUGINFOD_URLS");
    fs::create_directories(packages_);
    tools_.packages = packages_;
  }

  void deb(const std::string& name, const std::string& version, const Files& files, std::string arch = {},
           const std::string& extension = ".deb") {
    if (arch.empty()) arch = here().debian;
    const fs::path tree = folder_.path() / "tree";
    for (const auto& [path, text] : files) folder_.write("tree/" + path, text);
    folder_.write("tree/DEBIAN/control", "Package: " + name + "\nVersion: " + version + "\nArchitecture: " + arch +
                                             "\nMaintainer: nobody <a@b>\nDescription: test\n");
    run({"dpkg-deb", "-b", tree, packages_ / (name + "_" + version + extension)});
    fs::remove_all(tree);
  }

  void rpm(const std::string& name, const std::string& version, const Files& files, std::string arch = {}) {
    if (arch.empty()) arch = here().rpm;
    std::string list;
    for (const auto& [path, text] : files) {
      folder_.write("tree/" + path, text);
      list += "/" + path + "\n";
    }
    const size_t dash = version.find('-');
    const fs::path spec = folder_.write(
        name + ".spec", "Name: " + name + "\nVersion: " + version.substr(0, dash) +
                            "\nRelease: " + version.substr(dash + 1) +
                            "\nSummary: test\nLicense: GPL\nAutoReqProv: no\n%global __os_install_post %{nil}\n%global "
                            "debug_package %{nil}\n%description\nt\n%install\ncp -a " +
                            (folder_.path() / "tree").string() + "/. %{buildroot}\n%files\n" + list);
    run({"rpmbuild", "-bb", "--quiet", "--target", arch, "--define", "_topdir " + (folder_.path() / "rpm").string(),
         "--define", "_rpmdir " + packages_.string(), "--define",
         "_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm", spec});
    fs::remove_all(folder_.path() / "tree");
  }

  void run(const std::vector<std::string>& argv) {
    const CommandResult result = executor_.run({argv, {}, {}});
    ASSERT_TRUE(result.ok()) << result.output;
  }

  void ubuntu_kernel(const std::string& r = "6.8.0-45-generic", const std::string& version = "6.8.0-45.45") {
    deb("linux-modules-" + r, version,
        {{"boot/config-" + r, "c"}, {"lib/modules/" + r + "/kernel/net/a.ko", "shipped"}});
    deb("linux-headers-" + r, version, {{"usr/src/linux-headers-" + r + "/Module.symvers", "s"}});
    deb("linux-image-unsigned-" + r, version, {{"boot/vmlinuz-" + r, "k"}});
    deb("linux-image-unsigned-" + r + "-dbgsym", version,
        {{"usr/lib/debug/boot/vmlinux-" + r, "v"}, {"usr/lib/debug/lib/modules/" + r + "/kernel/net/a.ko", "symbols"}},
        {}, ".ddeb");
  }
  void ubuntu_source(const std::string& version = "6.8.0-45.45") {
    const std::string folder = "linux-source-6.8.0";
    folder_.write("source/" + folder + "/Makefile", "m");
    run({"tar", "-C", folder_.path() / "source", "-cjf", folder_.path() / "s.tar.bz2", folder});
    deb(folder, version, {{"usr/src/" + folder + "/" + folder + ".tar.bz2", read_file(folder_.path() / "s.tar.bz2")}},
        "all");
  }
  std::string rhel_release() { return "5.14.0-503.el9." + std::string(here().rpm); }
  void rhel_kernel(const std::string& build = "503.el9") {
    const std::string version = "5.14.0-" + build, r = version + "." + std::string(here().rpm);
    rpm("kernel-core", version,
        {{"lib/modules/" + r + "/config", "c"},
         {"lib/modules/" + r + "/symvers.gz", packed("s", archive_write_add_filter_gzip)},
         {"lib/modules/" + r + "/vmlinuz", "k"}});
    rpm("kernel-modules-core", version, {{"lib/modules/" + r + "/kernel/net/a.ko", "shipped"}});
    rpm("kernel-debuginfo", version,
        {{"usr/lib/debug/lib/modules/" + r + "/vmlinux", "v"},
         {"usr/lib/debug/lib/modules/" + r + "/kernel/net/a.ko.debug", "symbols"}});
  }

  KernelFiles find(const std::string& release, bool with_source = false) {
    KernelFiles given;
    if (!with_source) given.source = folder_.path();
    return find_release(release, given, tools_, nullptr);
  }
  std::string error_of(const std::string& release, bool with_source = false) {
    return message_of<Error>([&] { find(release, with_source); });
  }
  void expect_error(const std::string& release, const std::vector<std::string>& parts, bool with_source = false) {
    const std::string error = error_of(release, with_source);
    for (const std::string& part : parts) EXPECT_NE(error.find(part), std::string::npos) << part << " in: " << error;
    EXPECT_TRUE(cache_.entries("packages").empty() || with_source);
  }

  fs::path packages_ = folder_.path() / "packages";
};

TEST_F(PackageFolder, UbuntusKernel) {
  ubuntu_kernel();
  ubuntu_source();
  const KernelFiles files = find("6.8.0-45-generic", true);
  EXPECT_EQ(files.version, "6.8.0-45.45");
  EXPECT_EQ(read_file(files.vmlinux), "v");
  EXPECT_EQ(read_file(files.config), "c");
  EXPECT_EQ(read_file(files.symvers), "s");
  EXPECT_EQ(read_file(files.image), "k");
  EXPECT_EQ(read_file(files.modules / "net/a.ko"), "shipped");
  EXPECT_EQ(read_file(files.source / "Makefile"), "m");
  Base base;
  base.modules = files.modules;
  base.debug_modules = files.debug_modules;
  base.debug_package = files.debug_package;
  EXPECT_FALSE(fs::exists(files.debug_modules / "net/a.ko"));
  unpack_debug_modules(base, std::vector<std::string>{"net/a"}, cache_, executor_, console_);
  EXPECT_EQ(read_file(files.debug_modules / "net/a.ko"), "symbols");
  EXPECT_TRUE(fs::exists(packages_ / "linux-source-6.8.0_6.8.0-45.45.deb"));  // what the user has stays
}

TEST_F(PackageFolder, RhelsKernel) {
  rhel_kernel();
  const KernelFiles files = find(rhel_release());
  EXPECT_EQ(files.version, "5.14.0-503.el9");
  EXPECT_EQ(read_file(files.vmlinux), "v");
  EXPECT_EQ(read_file(files.config), "c");
  EXPECT_EQ(read_file(files.symvers), "s");  // unpacked
  EXPECT_EQ(read_file(files.image), "k");
  EXPECT_EQ(read_file(files.modules / "net/a.ko"), "shipped");
  // Symbols that don't fit the module are left out: it has its own.
  Base base;
  base.modules = files.modules;
  base.debug_modules = files.debug_modules;
  base.debug_package = files.debug_package;
  EXPECT_TRUE(files.debug_package.string().ends_with("/kernel-debuginfo.rpm"));
  unpack_debug_modules(base, std::vector<std::string>{"net/a"}, cache_, executor_, console_);
  EXPECT_FALSE(fs::exists(files.debug_modules / "net/a.ko"));
}

// Its version counts rebuilds, its release doesn't; the source is in two packages.
TEST_F(PackageFolder, SusesSourceIsInTwoPackages) {
  const std::string r = "6.4.0-150600.21-default", version = "6.4.0-150600.21.3";
  rpm("kernel-default", version,
      {{"boot/config-" + r, "c"}, {"usr/lib/modules/" + r + "/kernel/a.ko", "m"}, {"boot/vmlinux-" + r + ".gz", "z"}});
  rpm("kernel-default-devel", version,
      {{"usr/src/linux-6.4.0-150600.21-obj/" + std::string(here().rpm) + "/default/Module.symvers", "s"}});
  rpm("kernel-default-debuginfo", version, {{"usr/lib/debug/boot/vmlinux-" + r + ".debug", "d"}});
  expect_error(r, {"lacks the source of " + r, "kernel-source of SUSE"}, true);
  rpm("kernel-source", "6.4.0-150600.21.2", {{"usr/src/linux-6.4.0-150600.21/kernel/fork.c", "f"}}, "noarch");
  expect_error(r, {"half of it, without its Makefile", "kernel-devel (noarch)"}, true);
  rpm("kernel-devel", "6.4.0-150600.21.2", {{"usr/src/linux-6.4.0-150600.21/Makefile", "m"}}, "noarch");
  // All there is but a vmlinux that is one.
  expect_error(r, {"can't unpack", "vmlinux-" + r + ".debug"}, true);
  ASSERT_EQ(cache_.entries("source").size(), 1U);
  const fs::path tree = cache_.entries("source")[0].directory / "tree";
  EXPECT_EQ(read_file(tree / "Makefile") + read_file(tree / "kernel/fork.c"), "mf");
}

TEST_F(PackageFolder, AMissingPackageIsNamedAsItsDistributionDoes) {
  ubuntu_kernel();
  const std::string r = "6.8.0-45-generic";
  for (const auto& [package, what] : {std::pair("linux-image-unsigned-" + r + "-dbgsym", "the debug package"),
                                      std::pair("linux-headers-" + r, "the package with Module.symvers"),
                                      std::pair("linux-modules-" + r, "the package with the kernel's config")}) {
    for (const auto& entry : entries_of(packages_))
      if (entry.path().filename().string().starts_with(package + "_"))
        fs::rename(entry.path(), folder_.path() / "away");
    expect_error(r, {packages_.string() + " lacks " + what, package + " of Ubuntu"});
    fs::rename(folder_.path() / "away", packages_ / (package + "_" + (package.ends_with("sym") ? ".ddeb" : ".deb")));
  }
  EXPECT_EQ(error_of(r), "");
}

TEST_F(PackageFolder, AMissingDebuginfoIsNotTakenFromAnotherKernel) {
  rhel_kernel();
  fs::remove(packages_ / ("kernel-debuginfo-5.14.0-503.el9." + std::string(here().rpm) + ".rpm"));
  expect_error(rhel_release(), {"lacks the debug package", "kernel-debuginfo of Fedora or RHEL"});
  const std::string other = "5.14.0-427.el9." + std::string(here().rpm);
  rpm("kernel-debuginfo", "5.14.0-427.el9", {{"usr/lib/debug/lib/modules/" + other + "/vmlinux", "v"}});
  expect_error(rhel_release(), {"kernel-debuginfo-" + other + ".rpm is of another kernel"});
}

TEST_F(PackageFolder, PackagesOfTwoVersionsAreNotMixed) {
  ubuntu_kernel();
  const std::string r = "6.8.0-45-generic";
  fs::remove(packages_ / ("linux-headers-" + r + "_6.8.0-45.45.deb"));
  deb("linux-headers-" + r, "6.8.0-45.46", {{"usr/src/linux-headers-" + r + "/Module.symvers", "s"}});
  expect_error(r, {"in two versions", "linux-headers-" + r + " is 6.8.0-45.46", "6.8.0-45.45", "take one version's"});
}

TEST_F(PackageFolder, SourceOfAnotherVersionIsNoSource) {
  ubuntu_kernel();
  ubuntu_source("6.8.0-44.44");
  folder_.write("packages/linux_6.8.0-44.44.dsc", "");
  expect_error("6.8.0-45-generic",
               {"lacks the source of 6.8.0-45-generic, in version 6.8.0-45.45",
                "linux-source-6.8.0_6.8.0-44.44.deb, linux_6.8.0-44.44.dsc is of another version", "-s DIR"},
               true);
}

TEST_F(PackageFolder, SourceMayBeADsc) {
  ubuntu_kernel();
  folder_.write("packages/linux_6.8.0-45.45.dsc", "d");
  program("dpkg-source",
          "#!/bin/sh\nwhile case $1 in -*) true ;; *) false ;; esac; do shift; done\nmkdir \"$2\" && cp \"$1\" "
          "\"$2/Makefile\"\n");
  EXPECT_EQ(read_file(find("6.8.0-45-generic", true).source / "Makefile"), "d");
}

TEST_F(PackageFolder, AKernelOfAnotherArchitecture) {
  const std::string r = "6.8.0-45-generic", other = here().debian == "arm64" ? "amd64" : "arm64";
  deb("linux-image-unsigned-" + r, "6.8.0-45.45", {{"boot/vmlinuz-" + r, "k"}}, other);
  expect_error(r, {"of another architecture", "is of " + other, "this machine is " + std::string(here().debian)});
  const std::string foreign = "5.14.0-503.el9.riscv64";
  rpm("kernel-core", "5.14.0-503.el9", {{"lib/modules/" + foreign + "/config", "c"}}, "riscv64");
  expect_error(foreign, {"of another architecture", "kernel-core-5.14.0-503.el9.riscv64.rpm is of riscv64"});
}

TEST_F(PackageFolder, DamagedPackagesAreNamed) {
  ubuntu_kernel();
  const std::string r = "6.8.0-45-generic";
  const fs::path headers = packages_ / ("linux-headers-" + r + "_6.8.0-45.45.deb");
  const std::string whole = read_file(headers);
  write_file(headers, whole.substr(0, whole.size() - 40));  // its data is cut off
  expect_error(r, {"can't unpack linux-headers-" + r});
  write_file(headers, whole.substr(0, 80));
  expect_error(r, {"can't read " + headers.string()});
  write_file(headers, "");
  expect_error(r, {"can't read " + headers.string()});
  write_file(headers, whole);
  folder_.write("packages/half.rpm", "no rpm");
  expect_error(r, {"can't read", "half.rpm"});
}

// What tar had written by then is no vmlinux.
TEST_F(PackageFolder, ADebugPackageThatIsCutOffWithinVmlinux) {
  const std::string r = "6.8.0-45-generic", name = "linux-image-unsigned-" + r + "-dbgsym";
  ubuntu_kernel();
  std::string noise;
  for (uint32_t i = 0, x = 1; i < 3'000'000; i++) noise += char((x = x * 1664525 + 1013904223) >> 24);
  deb(name, "6.8.0-45.45", {{"usr/lib/debug/boot/vmlinux-" + r, noise}}, {}, ".ddeb");
  const fs::path file = packages_ / (name + "_6.8.0-45.45.ddeb");
  EXPECT_EQ(read_file(find(r).vmlinux).size(), noise.size());
  fs::remove_all(cache_.entries("packages").at(0).directory);
  fs::resize_file(file, fs::file_size(file) / 2);
  expect_error(r, {"can't unpack vmlinux from " + name});
}

TEST_F(PackageFolder, AnRpmThatIsCutOff) {
  rhel_kernel();
  const fs::path core = packages_ / ("kernel-core-" + rhel_release() + ".rpm");
  const std::string whole = read_file(core);
  write_file(core, whole.substr(0, whole.size() - 30));
  expect_error(rhel_release(), {"can't unpack " + core.string()});
}

TEST_F(PackageFolder, APackageWithoutTheFileIsNamed) {
  const std::string r = "6.8.0-45-generic";
  ubuntu_kernel();
  fs::remove(packages_ / ("linux-headers-" + r + "_6.8.0-45.45.deb"));
  deb("linux-headers-" + r, "6.8.0-45.45", {{"usr/share/doc/x", "s"}});
  expect_error(r, {"don't hold Module.symvers where Ubuntu has it: usr/src/linux-headers-" + r + "/Module.symvers"});
}

TEST_F(PackageFolder, NoFolderNoPackages) {
  expect_error("6.8.0-45-generic", {"--packages " + packages_.string(), "there is no .deb, .ddeb, .rpm or .dsc in it"});
  folder_.write("packages/readme.txt", "");
  expect_error("6.8.0-45-generic", {"there is no .deb"});
  tools_.packages = folder_.write("file", "");
  expect_error("6.8.0-45-generic", {"a file, not a folder"});
  tools_.packages = folder_.path() / "none";
  expect_error("6.8.0-45-generic", {"no such folder"});
}

TEST_F(PackageFolder, TheReleasesThatAreThere) {
  ubuntu_kernel();
  rhel_kernel();
  expect_error("6.8.0-46-generic",
               {"has no packages of the kernel 6.8.0-46-generic; it has " + rhel_release() + ", 6.8.0-45-generic"});
  expect_error("", {"name one release with -a; it has " + rhel_release() + ", 6.8.0-45-generic"});
  expect_error("6.1-cloud", {"no kernel of that series"});
  expect_error("nonsense", {"'nonsense' is no kernel release"});
  EXPECT_EQ(find("6.8").release, "6.8.0-45-generic");
  fs::remove_all(packages_);
  fs::create_directory(packages_);
  ubuntu_kernel();
  EXPECT_EQ(find("").release, "6.8.0-45-generic");  // there is no other
}

// Archives lose kernels: what was taken from a folder once is found by its release.
// What boots needs no debug information and no headers, and what a build needs isn't kept for one.
TEST_F(PackageFolder, ImageAndModulesAreEnoughToBoot) {
  ubuntu_kernel();
  const std::string r = "6.8.0-45-generic";
  for (const auto& entry : entries_of(packages_)) {
    const std::string name = entry.path().filename();
    if (name.find("dbgsym") != std::string::npos || name.starts_with("linux-headers")) fs::remove(entry.path());
  }
  const fs::path to = folder_.path() / "boot";
  fs::create_directory(to);
  const KernelFiles files = files_to_boot(packages_, r, to, tools_);
  EXPECT_EQ(files.release, r);
  EXPECT_EQ(read_file(files.image), "k");
  EXPECT_EQ(read_file(files.modules / "net/a.ko"), "shipped");
  EXPECT_TRUE(files.vmlinux.empty());
  EXPECT_TRUE(cache_.entries("packages").empty());
  expect_error(r, {"lacks the debug package"});  // a build
}

TEST_F(PackageFolder, WhatCantBeBooted) {
  ubuntu_kernel();
  const fs::path to = folder_.path() / "boot";
  const auto error = [&](const std::string& wanted) {
    remove_tree(to);
    fs::create_directory(to);
    return message_of<Error>([&] { files_to_boot(packages_, wanted, to, tools_); });
  };
  EXPECT_EQ(error(""), "");
  EXPECT_EQ(error("6.8-generic"), "");
  EXPECT_NE(error("6.8.0-46-generic").find("has no packages of the kernel 6.8.0-46-generic; it has 6.8.0-45-generic"),
            std::string::npos);
  EXPECT_NE(error("6.9-generic").find("no kernel of that series"), std::string::npos);
  fs::remove(packages_ / "linux-image-unsigned-6.8.0-45-generic_6.8.0-45.45.deb");
  EXPECT_NE(error("6.8.0-45-generic").find("lacks the package with the kernel's image of 6.8.0-45-generic"),
            std::string::npos);
  deb("linux-image-unsigned-6.8.0-45-generic", "6.8.0-45.46", {{"boot/vmlinuz-6.8.0-45-generic", "k"}});
  EXPECT_NE(error("6.8.0-45-generic").find("two versions"), std::string::npos);
  fs::remove(packages_ / "linux-image-unsigned-6.8.0-45-generic_6.8.0-45.46.deb");
  deb("linux-image-unsigned-6.8.0-45-generic", "6.8.0-45.45", {{"boot/other", "k"}});
  EXPECT_NE(error("6.8.0-45-generic").find("don't hold the image where Ubuntu has it"), std::string::npos);
}

TEST_F(PackageFolder, IsInTheCacheFromThenOn) {
  ubuntu_kernel();
  ubuntu_source();
  const KernelFiles first = find("6.8.0-45-generic", true);
  tools_.packages.clear();
  fs::remove_all(packages_);
  const KernelFiles again = find("6.8.0-45-generic", true);
  EXPECT_EQ(again.vmlinux, first.vmlinux);
  EXPECT_EQ(again.source, first.source);
  EXPECT_EQ(again.source_identity, first.source_identity);
  EXPECT_EQ(again.debug_package, first.debug_package);
  expect_error("6.8.0-46-generic", {"6.8.0-46-generic is a kernel of Ubuntu", "--packages"}, true);
}

TEST_F(PackageFolder, OtherPackagesAreOtherFiles) {
  ubuntu_kernel();
  const fs::path first = find("6.8.0-45-generic").vmlinux;
  EXPECT_EQ(find("6.8.0-45-generic").vmlinux, first);
  const std::string r = "6.8.0-45-generic";
  deb("linux-headers-" + r, "6.8.0-45.45", {{"usr/src/linux-headers-" + r + "/Module.symvers", "t"}});
  EXPECT_EQ(read_file(find(r).symvers), "t");
}

// A server that knows the build id of /bin/true; as a vmlinux it is as good as any here.
class Debuginfod : public PackageFolder {
 protected:
  void SetUp() override {
    PackageFolder::SetUp();
    if (!here().payload) SKIP_MACHINE("images of this architecture aren't taken apart");
    setenv("DEBUGINFOD_URLS", "http://localhost:1", 1);
    const std::string vmlinux = packed(read_file("/bin/true"), archive_write_add_filter_gzip);
    image_ = std::string(0x400, '\0') + vmlinux;
    image_[0x1f1] = 1;
    image_.replace(0x202, 6, std::string("HdrS\x0f\x02", 6));
    image_[0x24c] = char(vmlinux.size() & 0xff), image_[0x24d] = char(vmlinux.size() >> 8 & 0xff);
    image_[0x24e] = char(vmlinux.size() >> 16);
    program("debuginfod-find", R"sh(#!/bin/sh
echo "$@" >>"$FAKE/calls"
[ ! -e "$FAKE/unknown" ] || { echo "Server query failed: No such file or directory" >&2; exit 1; }
mkdir -p "$DEBUGINFOD_CACHE_PATH"; cp /bin/true "$DEBUGINFOD_CACHE_PATH/debuginfo"
echo "$DEBUGINFOD_CACHE_PATH/debuginfo"
)sh");
  }
  void TearDown() override { unsetenv("DEBUGINFOD_URLS"); }
  std::string image_;
};

TEST_F(Debuginfod, GivesTheVmlinuxOfAnImage) {
  const fs::path image = folder_.write("vmlinuz", image_);
  const fs::path vmlinux = fetch_vmlinux(image, "6.8.0-45-generic", tools_);
  EXPECT_EQ(read_file(vmlinux), read_file("/bin/true"));
  const CommandResult notes = executor_.run({{"readelf", "-n", "/bin/true"}, {}, {}});
  std::string asked = calls();
  EXPECT_TRUE(asked.starts_with("debuginfo ")) << asked;
  asked = asked.substr(10, asked.size() - 11);
  EXPECT_GE(asked.size(), 16U);
  EXPECT_NE(notes.output.find(asked), std::string::npos) << asked;
  EXPECT_EQ(fetch_vmlinux(image, "6.8.0-45-generic", tools_), vmlinux);
  EXPECT_EQ(calls().size(), asked.size() + 11);  // it wasn't asked again
}

TEST_F(Debuginfod, StandsInForTheDebugPackage) {
  const std::string r = "6.8.0-45-generic";
  ubuntu_kernel();
  fs::remove(packages_ / ("linux-image-unsigned-" + r + "-dbgsym_6.8.0-45.45.ddeb"));
  fs::remove(packages_ / ("linux-image-unsigned-" + r + "_6.8.0-45.45.deb"));
  expect_error(r, {"lacks the debug package"});  // and there is no image
  deb("linux-image-unsigned-" + r, "6.8.0-45.45", {{"boot/vmlinuz-" + r, image_}});
  EXPECT_EQ(read_file(find(r).vmlinux), read_file("/bin/true"));
  unsetenv("DEBUGINFOD_URLS");
  EXPECT_NE(error_of(r).find("lacks the debug package"), std::string::npos);
}

TEST_F(Debuginfod, ThatDoesNotKnowIt) {
  folder_.write("unknown", "");
  const fs::path image = folder_.write("vmlinuz", image_);
  const auto problem = [&] { return message_of<Error>([&] { fetch_vmlinux(image, "R", tools_); }); };
  EXPECT_NE(problem().find("no server of DEBUGINFOD_URLS gives the vmlinux of R (build id "), std::string::npos);
  EXPECT_NE(problem().find("Server query failed"), std::string::npos);
  EXPECT_TRUE(cache_.entries("packages").empty());
}

TEST_F(Debuginfod, ImagesThatAreNone) {
  const auto problem = [&](const std::string& bytes) {
    const fs::path image = folder_.write("vmlinuz", bytes);
    return message_of<Error>([&] { fetch_vmlinux(image, "R", tools_); });
  };
  EXPECT_NE(problem("MZ").find("is no image of a kernel"), std::string::npos);
  EXPECT_NE(problem(image_.substr(0, 0x300)).find("is no image of a kernel"), std::string::npos);
  EXPECT_NE(problem(image_.substr(0, image_.size() - 9)).find("is no image of a kernel"), std::string::npos);
  std::string other = image_;
  other.replace(0x410, 64, std::string(64, 'x'));
  EXPECT_NE(problem(other), "");
  EXPECT_EQ(calls(), "");
}

}  // namespace
}  // namespace kpatch
