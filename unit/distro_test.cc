// What distributions call their kernels, where they put the files and which packages hold what; fetching, against an
// apt made of shell scripts.
#include "kernel/distro/distro.h"

#include <archive.h>
#include <gtest/gtest.h>

#include <map>

#include "arch/arch.h"
#include "kernel/distro/debian-source.h"
#include "kernel/distro/debian.h"
#include "kernel/distro/debug-package.h"
#include "kernel/distro/layout.h"
#include "kernel/distro/rpm.h"
#include "kernel/distro/suse.h"
#include "kernel/distro/ubuntu.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"
#include "unit/fake-programs.h"
#include "unit/packer.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

TEST(ReleaseName, IsTakenApart) {
  struct Case {
    const char* text;
    const char* series;
    const char* flavour;
    bool is_series;
  };
  for (auto& c : {
           Case{"6.12.117+deb12-cloud-amd64", "6.12", "cloud-amd64", false},
           Case{"6.1.0-56-cloud-amd64", "6.1", "cloud-amd64", false},
           Case{"6.1.0-56-amd64", "6.1", "amd64", false},
           Case{"6.12.8", "6.12", "", false},
           Case{"6.12-cloud", "6.12", "cloud", true},
           Case{"6.12-cloud-amd64", "6.12", "cloud-amd64", true},
           Case{"6.12", "6.12", "", true},
       }) {
    auto name = parse_release(c.text);
    ASSERT_TRUE(name) << c.text;
    EXPECT_EQ(name->series, c.series) << c.text;
    EXPECT_EQ(name->flavour, c.flavour) << c.text;
    EXPECT_EQ(name->is_series, c.is_series) << c.text;
  }
  for (const char* text : {"", "6", "6.", "six.one", "cloud", "6.x", "6.1_2"})
    EXPECT_FALSE(parse_release(text)) << text;
}

TEST(ReleaseName, BelongsToItsSeries) {
  auto in = [](const char* series, const char* release) { return in_series(*parse_release(series), release, "amd64"); };
  EXPECT_TRUE(in("6.12-cloud", "6.12.117+deb12-cloud-amd64"));
  EXPECT_TRUE(in("6.12-cloud-amd64", "6.12.117+deb12-cloud-amd64"));
  EXPECT_TRUE(in("6.1-cloud", "6.1.0-56-cloud-amd64"));
  EXPECT_FALSE(in("6.1-cloud", "6.12.117+deb12-cloud-amd64"));
  EXPECT_FALSE(in("6.12-cloud", "6.12.117+deb12-amd64"));
  EXPECT_FALSE(in("6.12", "6.12.117+deb12-cloud-amd64"));
  EXPECT_TRUE(in("6.12", "6.12.117+deb12-amd64"));
  EXPECT_FALSE(in("6.12-rt", "6.12.117+deb12-cloud-amd64"));
}

TEST(Distro, IsKnownByTheReleasesName) {
  for (const char* release : {"6.12.117+deb12-cloud-amd64", "6.1.0-56-amd64", "6.1.0-56-cloud-arm64",
                              "6.1.0-56-powerpc64le", "6.1.0-56-s390x", "6.12.8+deb13-686-pae"})
    EXPECT_EQ(distro_of_release(release), &debian) << release;
  for (const char* release : {"5.14.0-503.el9.x86_64", "6.11.4-301.fc41.aarch64", "5.14.0-503.el9.x86_64+debug",
                              "4.18.0-553.el8.ppc64le", "4.18.0-553.el8.s390x"})
    EXPECT_EQ(distro_of_release(release), &rpm) << release;
  for (const char* release : {"6.8.0-45-generic", "6.8.0-1017-azure", "5.15.0-91-lowlatency"})
    EXPECT_EQ(distro_of_release(release), &ubuntu) << release;
  for (const char* release : {"6.4.0-150600.21-default", "6.11.3-1-default", "6.4.0-150600.8.5-azure"})
    EXPECT_EQ(distro_of_release(release), &suse) << release;
  // A series, a kernel of one's own.
  for (const char* release :
       {"6.12-cloud", "6.12-amd64-mine", "6.13.0-rc2+", "6.12.8", "6.12.8-mine-2", "6.12.8-1", ""})
    EXPECT_EQ(distro_of_release(release), nullptr) << release;
}

TEST(Distro, IsKnownByOsRelease) {
  EXPECT_EQ(distro_of_system("PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n"), &debian);
  EXPECT_EQ(distro_of_system("ID_LIKE=debian\nID=ubuntu\n"), &debian);
  EXPECT_EQ(distro_of_system("ID=fedora"), &rpm);
  EXPECT_EQ(distro_of_system("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), &rpm);
  EXPECT_EQ(distro_of_system("ID='rhel'"), &rpm);
  EXPECT_EQ(distro_of_system("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n"), &suse);
  for (const char* text : {"", "ID=arch\n", "NAME=debian\nVARIANT_ID=debian\nID=other", "ID_LIKE=\"debianish\""})
    EXPECT_EQ(distro_of_system(text), nullptr) << text;
}

TEST(Distro, NamesThePackageOfWhatIsMissing) {
  auto hint = [](const Distro* system, const std::vector<std::string>& needs) { return package_hint(needs, system); };
  EXPECT_EQ(hint(&debian, {"flex", "ld"}), " (apt-get install flex binutils)");
  EXPECT_EQ(hint(&debian, {"gelf.h", "libelf.h"}), " (apt-get install libelf-dev)");
  EXPECT_EQ(hint(&debian, {"gcc-99"}), " (apt-get install gcc-99)");
  EXPECT_EQ(hint(&debian, {"pahole"}), " (apt-get install dwarves)");
  EXPECT_EQ(hint(&rpm, {"gcc-11"}), " (dnf install gcc)");
  EXPECT_EQ(hint(&suse, {"openssl/opensslv.h", "flex"}), " (zypper install libopenssl-devel flex)");
  EXPECT_EQ(hint(&rpm, {"openssl/opensslv.h", "ld", "bc"}), " (dnf install openssl-devel binutils bc)");
  // Nobody knows which package holds any header; a system that isn't known has none.
  EXPECT_EQ(hint(&debian, {"other.h"}), "");
  EXPECT_EQ(hint(&rpm, {"other.h"}), "");
  EXPECT_EQ(hint(nullptr, {"flex", "ld"}), "");
}

// Only Debian's banner has the version beside the release.
TEST(Distro, ReadsItsBanner) {
  EXPECT_EQ(package_version_of_banner("Linux version 6.1.0-9-amd64 (a) (b) #1 SMP Debian 6.1.27-1 (2023-05-08)"),
            "6.1.27");
  EXPECT_EQ(
      build_variables_of_banner("Linux version 6.12.1+deb12-amd64 (a) (b) #1 SMP Debian 6.12.1-1~deb12u1 (2026-11-14)"),
      (std::vector<std::string>{"DISTRIBUTION_OFFICIAL_BUILD=1", "DISTRIBUTOR=Debian",
                                "DISTRIBUTION_VERSION=6.12.1-1~deb12u1"}));
  EXPECT_TRUE(
      build_variables_of_banner("Linux version 6.1.0 (a) (gcc (Debian 12.2.0-14) 12.2.0, GNU ld 2) #1").empty());
  EXPECT_EQ(package_version_of_banner("Linux version 5.14.0-503.el9.x86_64 (a) (gcc (GCC) 11, GNU ld 2) #1 SMP"), "");
  EXPECT_EQ(package_version_of_banner("Linux version 6.1.0 (a) (gcc (Debian 12.2.0-14) 12.2.0, GNU ld 2) #1"), "");
}

TEST(Distro, KnowsItsPackaging) {
  EXPECT_TRUE(is_packaging("debian/rules"));
  for (const char* path : {"kernel/fork.c", "fs/debian/x.c", "debian", ""}) EXPECT_FALSE(is_packaging(path)) << path;
}

TEST(Layout, FilesLieWhereTheirPackagesPutThem) {
  struct Case {
    const InstalledLayout& layout;
    const char* release;
    std::initializer_list<const char*> places;  // vmlinux, config, symvers, a module, the image
  };
  for (const Case& c : {
           Case{rpm_layout,
                "5.14.0-503.el9.x86_64",
                {"usr/lib/debug/lib/modules/5.14.0-503.el9.x86_64/vmlinux", "lib/modules/5.14.0-503.el9.x86_64/config",
                 "usr/src/kernels/5.14.0-503.el9.x86_64/Module.symvers",
                 "lib/modules/5.14.0-503.el9.x86_64/kernel/fs/x.ko.xz", "lib/modules/5.14.0-503.el9.x86_64/vmlinuz"}},
           Case{rpm_layout,
                "6.11.4-301.fc41.x86_64",
                {"usr/lib/debug/usr/lib/modules/6.11.4-301.fc41.x86_64/vmlinux",
                 "usr/lib/modules/6.11.4-301.fc41.x86_64/config", "usr/lib/modules/6.11.4-301.fc41.x86_64/symvers.xz",
                 "usr/lib/modules/6.11.4-301.fc41.x86_64/kernel/fs/x.ko.xz", "boot/vmlinuz-6.11.4-301.fc41.x86_64"}},
           Case{ubuntu_layout,
                "6.8.0-45-generic",
                {"usr/lib/debug/boot/vmlinux-6.8.0-45-generic", "boot/config-6.8.0-45-generic",
                 "usr/src/linux-headers-6.8.0-45-generic/Module.symvers",
                 "lib/modules/6.8.0-45-generic/kernel/fs/x.ko.zst", "boot/vmlinuz-6.8.0-45-generic"}},
           Case{suse_layout,
                "6.4.0-150600.21-default",
                {"usr/lib/debug/boot/vmlinux-6.4.0-150600.21-default.debug", "boot/config-6.4.0-150600.21-default",
                 "usr/src/linux-6.4.0-150600.21-obj/MACHINE/default/Module.symvers",
                 "usr/lib/modules/6.4.0-150600.21-default/kernel/fs/x.ko.zst", "boot/vmlinuz-6.4.0-150600.21-default"}},
           Case{debian_layout,
                "7.2.12+deb14-cloud-amd64",
                {"usr/lib/debug/lib/modules/7.2.12+deb14-cloud-amd64/vmlinux",
                 "usr/lib/modules/7.2.12+deb14-cloud-amd64/config",
                 "usr/src/linux-headers-7.2.12+deb14-cloud-amd64/Module.symvers",
                 "usr/lib/modules/7.2.12+deb14-cloud-amd64/kernel/fs/x.ko.xz",
                 "usr/lib/modules/7.2.12+deb14-cloud-amd64/vmlinuz"}},
           Case{arch_layout,
                "6.12.1-arch1-1",
                {"usr/lib/modules/6.12.1-arch1-1/build/vmlinux", "usr/lib/modules/6.12.1-arch1-1/build/.config",
                 "usr/lib/modules/6.12.1-arch1-1/build/Module.symvers",
                 "usr/lib/modules/6.12.1-arch1-1/kernel/fs/x.ko.zst", "usr/lib/modules/6.12.1-arch1-1/vmlinuz"}},
       }) {
    TemporaryFolder folder;
    EXPECT_EQ(files_below(c.layout, folder.path(), c.release).vmlinux, "") << c.release;
    std::vector<fs::path> at;
    for (std::string place : c.places) {
      if (const size_t machine = place.find("MACHINE"); machine != std::string::npos)
        place.replace(machine, 7, find_arch(host_machine())->distro.rpm);
      at.push_back(folder.write(place, ""));
    }
    const KernelFiles files = files_below(c.layout, folder.path(), c.release);
    EXPECT_EQ(files.vmlinux, at[0]);
    EXPECT_EQ(files.config, at[1]);
    EXPECT_EQ(files.symvers, at[2]);
    EXPECT_EQ(files.modules, at[3].parent_path().parent_path());
    EXPECT_EQ(files.image, at[4]);
    EXPECT_EQ(files_below(folder.path(), c.release).symvers, at[2]);  // whoever's it is
    EXPECT_EQ(files_below(c.layout, folder.path(), "9" + std::string(c.release)).config, "");
  }
}

// apt with three releases of 9.9 (9.9.10 is newer than 9.9.9), one of 9.1; 9.9.11 is only mentioned by others.
constexpr const char* apt_cache = R"sh(#!/bin/sh
for kept; do case $kept in Dir::Cache::pkgcache=*) echo "${kept#*=}" >>"$FAKE/kept" ;; esac; done
echo "$@" >>"$FAKE/calls"
[ -e "$FAKE/lists" ] || exit 0
case $1 in
pkgnames) for r in 9.9.9+t-cloud-amd64 9.9.10+t-cloud-amd64 9.9.11+t-cloud-amd64 9.1.0-5-cloud-amd64 9.9.10+t-amd64 \
        $(cat "$FAKE/more" 2>/dev/null); do
    echo linux-image-$r; echo linux-image-$r-dbg; done
    echo linux-image-9.9-cloud-amd64; echo linux-image-9.9-cloud-amd64-dbg ;;
show) case $2 in
    *9.9.11*) echo "E: No packages found" >&2; exit 100 ;;
    *9.9.9* | *6.12.9*) v=9.9.9-1 ;;
    *9.9.10*) v=9.9.10-1 ;;
    *9.1.0-5*) v=9.1.50-2 ;;
    linux-source-9.9) echo "Package: x"; echo "Version: 9.9.10-1"; echo "Size: 1"; echo; v=9.9.9-1 ;;
    linux-source-9.1) v=9.1.49-1 ;;
    *) exit 100 ;;
    esac
    case $2 in
    *-unsigned) exit 100 ;;
    linux-binary-* | linux-modules-* | linux-base-*) [ -e "$FAKE/split" ] || exit 100 ;;
    esac
    echo "Package: $2"; echo "Version: $v"; echo "Size: 2000000" ;;
esac
)sh";
constexpr const char* apt_get = R"sh(#!/bin/sh
echo "$@" >>"$FAKE/calls"
case "$*" in
*update*) : >"$FAKE/lists" ;;
*download*)
    for last; do :; done
    [ ! -e "$FAKE/gone" ] || { echo "Err:1 https://archive main ${last%%=*}"; echo "  404  Not Found [IP: ::1]"; exit 100; }
    echo "dlstatus:1:50.0:Retrieving"
    echo "$last" >"${last%%=*}.deb" ;;
esac
)sh";
constexpr const char* dpkg_deb = R"sh(#!/bin/sh
# dpkg-deb -x FILE DIR, dpkg-deb --fsys-tarfile FILE: the file holds NAME=VERSION
echo "dpkg-deb $*" >>"$FAKE/calls"
read -r what <"$2"; name=${what%%=*}; r=${name#linux-image-}; r=${r#linux-headers-}; r=${r%-dbg}
r=${r#linux-binary-}; r=${r#linux-modules-}; r=${r#linux-base-}
to=$3
if [ -e "$FAKE/split" ]; then lib=usr/lib/modules/$r vmlinux=usr/lib/debug/lib/modules/$r/vmlinux; else vmlinux=usr/lib/debug/boot/vmlinux-$r; fi
[ "$1" = -x ] || { to=$FAKE/tree.$$; mkdir "$to"; }
case $name in
*-dbg) mkdir -p "$to/usr/lib/debug/boot" "$to/${vmlinux%/*}"; echo "$what" >"$to/$vmlinux"
    [ -e "$to/usr/lib/debug/boot/vmlinux-$r" ] || ln -s "../lib/modules/$r/vmlinux" "$to/usr/lib/debug/boot/vmlinux-$r"
    modules=$to/usr/lib/debug$MODULES_BELOW/lib/modules/$r/kernel
    mkdir -p "$modules/net"; for m in a b; do echo "symbols of $m" >"$modules/net/$m.ko"; done
    ln -s /etc/passwd "$modules/net/link.ko" ;;
linux-headers*) mkdir -p "$to/usr/src/linux-headers-$r"; echo s >"$to/usr/src/linux-headers-$r/Module.symvers" ;;
linux-binary*) mkdir -p "$to/$lib"; echo k >"$to/$lib/vmlinuz" ;;
linux-modules*) mkdir -p "$to/$lib/kernel" ;;
linux-base*) mkdir -p "$to/$lib"; echo c >"$to/$lib/config" ;;
linux-image*) [ ! -e "$FAKE/split" ] || { mkdir "$to/usr"; exit 0; }
    mkdir -p "$to/boot" "$to$MODULES_BELOW/lib/modules/$r/kernel"; echo c >"$to/boot/config-$r"; echo k >"$to/boot/vmlinuz-$r" ;;
linux-source*) mkdir -p "$to/usr/src/t/$name"; echo "$what" >"$to/usr/src/t/$name/Makefile"
    tar -C "$to/usr/src/t" -cJf "$to/usr/src/$name.tar.xz" "$name" ;;
esac
[ "$1" = -x ] || { tar -C "$to" -cf - ./usr/lib/debug/boot ./usr; rm -r "$to"; }
)sh";
constexpr const char* dpkg = R"sh(#!/bin/sh
case $1 in
--print-architecture) echo amd64 ;;
--compare-versions) [ "$2" != "$4" ] && [ "$(printf '%s\n' "$2" "$4" | sort -V | tail -n1)" = "$2" ] ;;
esac
)sh";

class Debian : public FakePrograms {
 protected:
  Debian() {
    program("apt-cache", apt_cache);
    program("apt-get", apt_get);
    program("dpkg-deb", dpkg_deb);
    program("dpkg", dpkg);
    folder_.write("lists", "");
  }
  KernelFiles find(const char* release, const KernelFiles& given = {}) {
    return find_release(release, given, tools_, system_);
  }
  std::string error_of(const char* release) {
    return message_of<Error>([&] { find(release); });
  }
  const Distro* system_ = &debian;
};

// Debian 13: /lib is in /usr.
TEST_F(Debian, ModulesMayLieBelowUsr) {
  setenv("MODULES_BELOW", "/usr", 1);
  const KernelFiles files = find("9.9.9+t-cloud-amd64");
  Base base;
  base.debug_modules = files.debug_modules;
  base.debug_package = files.debug_package;
  unpack_debug_modules(base, std::vector<std::string>{"net/a"}, cache_, executor_, console_);
  unsetenv("MODULES_BELOW");
  EXPECT_EQ(read_file(files.debug_modules / "net/a.ko"), "symbols of a\n");
  EXPECT_TRUE(files.modules.string().ends_with("/usr/lib/modules/9.9.9+t-cloud-amd64/kernel")) << files.modules;
}

// Since 7.2: the image, the modules and the config are packages of their own, and vmlinux lies beside the modules' symbols.
TEST_F(Debian, AnImageMayBeSeveralPackages) {
  folder_.write("split", "");
  const KernelFiles files = find("9.9.9+t-cloud-amd64");
  EXPECT_EQ(read_file(files.vmlinux), "linux-image-9.9.9+t-cloud-amd64-dbg=9.9.9-1\n");
  EXPECT_EQ(read_file(files.config), "c\n");
  EXPECT_EQ(read_file(files.image), "k\n");
  EXPECT_TRUE(files.modules.string().ends_with("/usr/lib/modules/9.9.9+t-cloud-amd64/kernel")) << files.modules;
}

// Where apt keeps nothing, each call would read all lists.
TEST_F(Debian, WhatAptReadOfItsListsIsKeptForTheRun) {
  find("9.9.9+t-cloud-amd64");
  std::map<std::string, int> places;
  const std::string text = read_file(folder_.path() / "kept");
  for (const std::string_view line : lines_of(text)) places[std::string(line)]++;
  ASSERT_EQ(places.size(), 1u) << text;
  EXPECT_GT(places.begin()->second, 2);
  EXPECT_TRUE(fs::is_directory(fs::path(places.begin()->first).parent_path())) << text;
}

TEST_F(Debian, WhatTheArchiveListsAndDoesNotHoldIsNamed) {
  folder_.write("gone", "");
  EXPECT_EQ(error_of("9.9.9+t-cloud-amd64"),
            "the archive lists linux-source-9.9 9.9.9-1, but doesn't hold it (any more); take another "
            "release (--list-kernels)");
}

// An rt kernel's source is that of its source package, with debian/patches-rt on top.
class DebianRt : public Debian {
 protected:
  DebianRt() {
    tools_.archive = "https://archive/debian";
    tools_.archive_key = folder_.write("key", "");
    folder_.write("more", "6.12.9+t-rt-amd64");
    program("apt-get", R"sh(#!/bin/sh
echo "$@" >>"$FAKE/calls"
case "$*" in
*indextargets*) for suite in bullseye bookworm trixie forky; do echo "Sources $suite"; echo "Packages $suite"; done ;;
*source*)
    [ ! -e "$FAKE/gone" ] || { echo "  404  Not Found [IP: ::1]"; exit 100; }
    for last; do :; done; echo "$last" >linux_9.9.9-1.dsc ;;
*download*) for last; do :; done; echo "$last" >"${last%%=*}.deb" ;;
esac
)sh");
    program("dpkg-source", R"sh(#!/bin/sh
while case $1 in -*) true ;; *) false ;; esac; do shift; done
mkdir -p "$2/debian/patches-rt/net" && cp "$1" "$2/Makefile" && echo a >"$2/a.c" && cp "$FAKE"/series "$2/debian/patches-rt/" &&
  cp "$FAKE"/*.patch "$2/debian/patches-rt/net/"
)sh");
    folder_.write("series", "# of 6.12\nnet/one.patch\n\n  net/two.patch  # the last\n");
    folder_.write("one.patch", "--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-a\n+b\n");
    folder_.write("two.patch", "--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-b\n+c\n");
  }
};

TEST_F(DebianRt, HasTheSourcePackageAndItsPatches) {
  const KernelFiles files = find("6.12.9+t-rt-amd64");
  EXPECT_EQ(read_file(files.source / "Makefile"), "linux-image-6.12.9+t-rt-amd64-dbg=9.9.9-1\n");
  EXPECT_EQ(read_file(files.source / "a.c"), "c\n");
  EXPECT_EQ(files.source_identity, "linux 9.9.9-1 with rt patches");
  EXPECT_NE(calls().find("source --download-only"), std::string::npos);
  EXPECT_FALSE(fs::exists(files.source.parent_path() / "package"));  // 140 MB
}

TEST_F(DebianRt, APatchThatDoesNotApplyIsNamed) {
  folder_.write("two.patch", "--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-x\n+c\n");
  EXPECT_NE(error_of("6.12.9+t-rt-amd64").find("the patch net/two.patch of linux_9.9.9-1.dsc doesn't apply"),
            std::string::npos);
  folder_.write("series", "net/three.patch\n");
  EXPECT_NE(error_of("6.12.9+t-rt-amd64").find("lacks the patch net/three.patch"), std::string::npos);
}

TEST_F(DebianRt, ASourcePackageThatIsGoneIsNamed) {
  folder_.write("gone", "");
  const std::string message = error_of("6.12.9+t-rt-amd64");
  EXPECT_NE(message.find("its source package can't be fetched"), std::string::npos) << message;
  EXPECT_NE(message.find("doesn't hold it (any more)"), std::string::npos) << message;
  EXPECT_NE(message.find("-s DIR"), std::string::npos) << message;
}

// Since 6.13 linux-source is the rt kernel's, too; and a tree of an ordinary flavour has none of the patches.
TEST_F(DebianRt, OtherKernelsAreWithout) {
  EXPECT_EQ(debian_source_flavour("6.13.1+deb13-rt-amd64"), "");
  EXPECT_EQ(debian_source_flavour("6.1.0-47-rt-amd64"), "rt");
  EXPECT_EQ(debian_source_flavour("5.10.0-9-rt-arm64"), "rt");
  EXPECT_EQ(debian_source_flavour("6.12.9+t-cloud-amd64"), "");
  const fs::path dsc = folder_.write("linux_9.9.9-1.dsc", "d");
  EXPECT_EQ(read_file(unpack_source_package(dsc, "6.12.9+t-cloud-amd64", tools_).source / "a.c"), "a\n");
  EXPECT_EQ(read_file(unpack_source_package(dsc, "6.12.9+t-rt-amd64", tools_).source / "a.c"), "c\n");
}

TEST_F(Debian, AReleaseComesWithEverything) {
  KernelFiles files = find("9.9.9+t-cloud-amd64");
  EXPECT_EQ(files.version, "9.9.9-1");
  EXPECT_EQ(read_file(files.vmlinux), "linux-image-9.9.9+t-cloud-amd64-dbg=9.9.9-1\n");
  EXPECT_EQ(read_file(files.source / "Makefile"), "linux-source-9.9=9.9.9-1\n");
  EXPECT_EQ(read_file(files.config), "c\n");
  EXPECT_EQ(read_file(files.symvers), "s\n");
  EXPECT_TRUE(fs::is_directory(files.modules));
  EXPECT_EQ(read_file(files.image), "k\n");
  EXPECT_EQ(files.source_identity, "linux-source-9.9 9.9.9-1");
}

TEST_F(Debian, OfTheSymbolsThoseOfVmlinuxAreUnpacked) {
  const KernelFiles files = find("9.9.9+t-cloud-amd64");
  EXPECT_TRUE(fs::is_empty(files.debug_modules));
  EXPECT_TRUE(files.debug_package.string().ends_with("/linux-image-9.9.9+t-cloud-amd64-dbg.deb"));
  EXPECT_EQ(calls().find("dpkg-deb -x linux-image-9.9.9+t-cloud-amd64-dbg.deb"), std::string::npos);
  EXPECT_EQ(find("9.9.9+t-cloud-amd64").debug_package, files.debug_package);  // of a second run, too
}

// The rest of what is needed comes while the source is unpacked; whatever fails then leaves neither.
TEST_F(Debian, HalfOfItIsNothing) {
  folder_.write("bin/dpkg-deb",
                std::string(dpkg_deb).replace(0, 10, "#!/bin/sh\ncase $2 in *headers*) exit 2 ;; esac\n"), true);
  EXPECT_EQ(error_of("9.9.9+t-cloud-amd64").find("can't unpack linux-headers-9.9.9+t-cloud-amd64.deb (exit status 2)"),
            0U);
  EXPECT_TRUE(cache_.entries("packages").empty());
  EXPECT_TRUE(cache_.entries("source").empty());
  folder_.write("bin/dpkg-deb", dpkg_deb, true);
  folder_.write("bin/tar", "#!/bin/sh\ncase $* in *--strip*) exit 2 ;; esac\nexec /bin/tar \"$@\"\n", true);
  EXPECT_EQ(error_of("9.9.9+t-cloud-amd64").find("can't unpack linux-source-9.9.tar.xz (exit status 2)"), 0U);
  EXPECT_EQ(cache_.entries("packages").size(), 1U);  // it is whole
  EXPECT_TRUE(cache_.entries("source").empty());
  fs::remove(folder_.path() / "bin/tar");
  EXPECT_EQ(error_of("9.9.9+t-cloud-amd64"), "");
}

class DebugModules : public Debian {
 protected:
  DebugModules() {
    const KernelFiles files = find("9.9.9+t-cloud-amd64");
    base_.debug_modules = files.debug_modules;
    base_.debug_package = files.debug_package;
    fs::remove(folder_.path() / "calls");
  }
  std::string problem(std::vector<std::string> modules) {
    return message_of<Error>([&] { unpack_debug_modules(base_, modules, cache_, executor_, console_); });
  }
  std::string symbols(const std::string& module) { return read_file_if_any(base_.debug_modules / (module + ".ko")); }
  Base base_;
};

TEST_F(DebugModules, AreUnpackedWhenTheyAreWanted) {
  EXPECT_EQ(problem({"", "net/a"}), "");
  EXPECT_EQ(symbols("net/a"), "symbols of a\n");
  EXPECT_EQ(symbols("net/b"), "");
  EXPECT_EQ(problem({"net/b", "net/a"}), "");
  EXPECT_EQ(symbols("net/b"), "symbols of b\n");
  const std::string two = calls();
  EXPECT_EQ(lines_of(two).size(), 2U) << two;
  EXPECT_FALSE(fs::exists(base_.debug_package.parent_path() / ".unpacked-symbols"));
}

TEST_F(DebugModules, ThatAreThereAreReadOnce) {
  EXPECT_EQ(problem({"net/a"}), "");
  fs::remove(folder_.path() / "calls");
  EXPECT_EQ(problem({"net/a", ""}), "");
  EXPECT_EQ(calls(), "");
  base_.debug_package.clear();  // installed, or unpacked as a whole
  EXPECT_EQ(problem({"net/b"}), "");
  EXPECT_EQ(calls(), "");
}

TEST_F(DebugModules, OneThatThePackageDoesNotHoldStaysMissing) {
  EXPECT_EQ(problem({"net/none", "net/a"}), "");
  EXPECT_EQ(symbols("net/a"), "symbols of a\n");
  EXPECT_EQ(symbols("net/none"), "");
  EXPECT_EQ(problem({"net/*"}), "");
  EXPECT_EQ(symbols("net/b"), "");
}

TEST_F(DebugModules, APackageThatIsDamagedIsNotTakenForOneWithoutThem) {
  folder_.write("bin/dpkg-deb", "#!/bin/sh\necho damaged >&2\nexit 2\n", true);
  EXPECT_EQ(problem({"net/a"}).find("can't unpack linux-image-9.9.9+t-cloud-amd64-dbg.deb (exit status 2)"), 0U);
  EXPECT_EQ(symbols("net/a"), "");
  EXPECT_FALSE(fs::exists(base_.debug_package.parent_path() / ".unpacked-symbols"));
}

TEST_F(DebugModules, LinksLeadNowhere) {
  EXPECT_NE(problem({"net/link"}).find("a link out of it"), std::string::npos);
  EXPECT_FALSE(fs::exists(fs::symlink_status(base_.debug_modules / "net/link.ko")));
  // Another package of the release may have put one where the folder goes.
  fs::create_directory(folder_.path() / "elsewhere");
  fs::create_symlink(folder_.path() / "elsewhere", base_.debug_modules / "net");
  EXPECT_NE(problem({"net/a"}).find("kernel/net, which is no folder"), std::string::npos);
  EXPECT_TRUE(fs::is_empty(folder_.path() / "elsewhere"));
}

TEST_F(Debian, ASecondLookAsksNobody) {
  KernelFiles first = find("9.9.9+t-cloud-amd64");
  fs::remove(folder_.path() / "calls");
  EXPECT_EQ(find("9.9.9+t-cloud-amd64").vmlinux, first.vmlinux);
  EXPECT_EQ(calls(), "");
}

TEST_F(Debian, ASeriesIsItsNewestRelease) {
  KernelFiles files = find("9.9-cloud");
  EXPECT_EQ(files.release, "9.9.10+t-cloud-amd64");
  EXPECT_EQ(files.version, "9.9.10-1");
  EXPECT_EQ(find("9.9").release, "9.9.10+t-amd64");
}

TEST_F(Debian, GivenFilesAreTaken) {
  KernelFiles given;
  given.config = folder_.write("my.config", "mine");
  given.source = folder_.path();
  given.source_identity = "mine";
  KernelFiles files = find("9.9.9+t-cloud-amd64", given);
  EXPECT_EQ(files.config, given.config);
  EXPECT_EQ(files.source, given.source);
  EXPECT_EQ(calls().find("linux-source"), std::string::npos);
}

TEST_F(Debian, AReleaseThatLeftNamesTheOthers) {
  std::string message = error_of("9.9.8+t-cloud-amd64");
  EXPECT_EQ(message.find("the archive doesn't have the kernel 9.9.8+t-cloud-amd64"), 0U) << message;
  EXPECT_NE(message.find("9.9.10+t-cloud-amd64"), std::string::npos) << message;
  EXPECT_EQ(message.find("9.9.10+t-amd64"), std::string::npos) << message;
  EXPECT_NE(message.find("-a 9.9-cloud takes the newest"), std::string::npos) << message;
  EXPECT_NE(error_of("9.9.11+t-cloud-amd64").find("doesn't have the kernel"), std::string::npos);
}

TEST_F(Debian, NonsenseAndUnknownSeries) {
  EXPECT_NE(error_of("nonsense").find("'nonsense' is no kernel release"), std::string::npos);
  EXPECT_NE(error_of("5.10-cloud").find("no kernel of the series 5.10-cloud"), std::string::npos);
  EXPECT_NE(error_of("4.4.0-1-own-amd64").find("it has 9.1.0-5-cloud-amd64"), std::string::npos);
}

TEST_F(Debian, TheSourceMustBeOfExactlyThatVersion) {
  std::string message = error_of("9.1.0-5-cloud-amd64");
  EXPECT_NE(message.find("doesn't have the source of 9.1.0-5-cloud-amd64: linux-source-9.1 9.1.50-2 (it has 9.1.49-1)"),
            std::string::npos)
      << message;
}

TEST_F(Debian, EmptyListsAreUpdatedByRoot) {
  fs::remove(folder_.path() / "lists");
  if (geteuid() != 0) {
    EXPECT_NE(error_of("9.9-cloud").find("as root run: apt-get update"), std::string::npos);
    return;
  }
  EXPECT_EQ(find("9.9-cloud").release, "9.9.10+t-cloud-amd64");
  EXPECT_NE(calls().find("update"), std::string::npos);
}

// What was fetched once is taken on any system; whatever else a release needs is that of the system that runs.
TEST_F(Debian, IsOneByTheNameOfTheRelease) {
  system_ = nullptr;
  find("9.9.9+t-cloud-amd64");
  fs::remove(folder_.path() / "calls");
  system_ = &rpm;
  EXPECT_EQ(find("9.9.9+t-cloud-amd64").version, "9.9.9-1");
  EXPECT_EQ(calls(), "");
}

TEST_F(Debian, IsNotTakenForAnother) {
  EXPECT_EQ(
      error_of("5.14.0-503.el9.x86_64").find("5.14.0-503.el9.x86_64 is a kernel of Fedora or RHEL, whose packages"),
      0U);
  system_ = &rpm;
  EXPECT_EQ(error_of("9.9-cloud").find("9.9-cloud is a kernel of Fedora or RHEL"), 0U);
  EXPECT_NE(error_of("9.9.8").find("name their folder with --packages, or name the kernel's files with -s"),
            std::string::npos);
  system_ = nullptr;
  EXPECT_EQ(error_of("9.9-cloud").find("9.9-cloud is no kernel of a distribution that is known"), 0U);
  EXPECT_EQ(calls(), "");
}

TEST_F(Debian, UnpacksASourcePackage) {
  fs::path dsc = folder_.write("linux_9.9.9-1.dsc", "d");
  folder_.write("bin/dpkg-source",
                "#!/bin/sh\nwhile case $1 in -*) true ;; *) false ;; esac; do shift; done\nmkdir \"$2\" && cp \"$1\" "
                "\"$2/Makefile\"\n",
                true);
  KernelFiles files = unpack_source_package(dsc, "", tools_);
  EXPECT_EQ(read_file(files.source / "Makefile"), "d");
  EXPECT_NE(files.source_identity.find("linux_9.9.9-1.dsc"), std::string::npos);
}

class RpmPackage : public Debian {
 protected:
  // What rpm says of the sources and patches of a package.
  void says(const std::string& lines) { program("rpm", "#!/bin/sh\nprintf '" + lines + "'\n"); }
  std::string problem(const fs::path& package) {
    return message_of<Error>([&] { unpack_source_package(package, "", tools_); });
  }
};

void cpio(archive* a) { archive_write_set_format_cpio_newc(a); }

const std::string& kernel_tarball() {
  static const std::string bytes =
      Packer([](archive* a) { archive_write_set_format_gnutar(a); }).file("linux-5.14/Makefile", "m\n").bytes();
  return bytes;
}
std::string added(const std::string& before, const std::string& after) {
  return "--- a/Makefile\n+++ b/Makefile\n@@ -1 +1 @@\n-" + before + "\n+" + after + "\n";
}

TEST_F(RpmPackage, ItsPatchesAreAppliedInTheSpecsOrder) {
  const std::string bytes = Packer(cpio)
                                .file("kernel.spec", "s")
                                .file("linux-5.14.tar", kernel_tarball())
                                .file("b.patch", added("m", "n"))
                                .file("a.patch", added("n", "o"))
                                .file("linux-kernel-test.patch", "")
                                .bytes();
  const fs::path package = folder_.write("kernel-5.14.src.rpm", bytes);
  // As rpm 4.18 writes it, and as one that writes what the spec lists from the first on.
  says("other\\nlinux-5.14.tar\\n\\nlinux-kernel-test.patch\\na.patch\\nb.patch\\n");
  const fs::path tree = unpack_source_package(package, "", tools_).source;
  EXPECT_EQ(read_file(tree / "Makefile"), "o\n");
  EXPECT_FALSE(fs::exists(tree.parent_path() / "parts"));
  says("linux-5.14.tar\\nother\\n\\nb.patch\\na.patch\\nlinux-kernel-test.patch\\n");
  const fs::path other = folder_.write("kernel-5.15.src.rpm", bytes);
  EXPECT_EQ(read_file(unpack_source_package(other, "", tools_).source / "Makefile"), "o\n");
}

TEST_F(RpmPackage, APatchThatIsMissingOrDoesNotApplyIsNamed) {
  const fs::path package =
      folder_.write("kernel-5.14.src.rpm",
                    Packer(cpio).file("linux-5.14.tar", kernel_tarball()).file("a.patch", added("x", "y")).bytes());
  says("linux-5.14.tar\\n\\na.patch\\n");
  EXPECT_NE(problem(package).find("the patch a.patch of kernel-5.14.src.rpm doesn't apply"), std::string::npos);
  says("linux-5.14.tar\\n\\nb.patch\\n");
  EXPECT_NE(problem(package).find("lacks the patch b.patch, which its spec applies"), std::string::npos);
  says("linux-5.14.tar\\n\\n");
  EXPECT_EQ(read_file(unpack_source_package(package, "", tools_).source / "Makefile"), "m\n");
}

TEST_F(RpmPackage, PatchesInArchivesOfTheirOwnAreNotLeftOut) {
  const fs::path package =
      folder_.write("kernel-source-6.4.src.rpm",
                    Packer(cpio).file("linux-6.4.tar", kernel_tarball()).file("series.conf", "patches.suse/a").bytes());
  EXPECT_NE(problem(package).find("take kernel-source and kernel-devel (noarch)"), std::string::npos);
}

TEST_F(RpmPackage, ASourcePackageOfSomethingElseIsRefused) {
  fs::path package = folder_.write("bash-5.src.rpm", Packer(cpio).file("bash-5.tar", "b").bytes());
  EXPECT_NE(message_of<Error>([&] { unpack_source_package(package, "", tools_); }).find("holds no linux-*.tar"),
            std::string::npos);
}

TEST_F(RpmPackage, ADamagedOneIsRefused) {
  fs::path package = folder_.write("kernel-1.src.rpm", "x");
  EXPECT_NE(
      message_of<Error>([&] { unpack_source_package(package, "", tools_); }).find("can't unpack " + package.string()),
      std::string::npos);
}

TEST_F(Debian, AMissingUnpackerIsNamed) {
  folder_.write("bin/dpkg-source", "#!/bin/sh\nexit 127\n", true);
  fs::path dsc = folder_.write("linux_1.dsc", "x");
  std::string message = message_of<Error>([&] { unpack_source_package(dsc, "", tools_); });
  EXPECT_NE(message.find("it needs dpkg-source"), std::string::npos) << message;
}

TEST_F(Debian, OtherFilesAreNoSourcePackages) {
  const fs::path zip = folder_.write("a.zip", "");
  EXPECT_EQ(message_of<Error>([&] { unpack_source_package(zip, "", tools_); }),
            zip.string() + " is no source package: .dsc, .src.rpm");
}

}  // namespace
}  // namespace kpatch
