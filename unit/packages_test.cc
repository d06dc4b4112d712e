// Releases and series, against an apt made of shell scripts.
#include "kernel/distro/debian.h"

#include <gtest/gtest.h>

#include "support/error.h"
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

// apt with three releases of 9.9 (9.9.10 is newer than 9.9.9), one of 9.1; 9.9.11 is only mentioned by others.
constexpr const char* apt_cache = R"sh(#!/bin/sh
echo "$@" >>"$FAKE/calls"
[ -e "$FAKE/lists" ] || exit 0
case $1 in
pkgnames) for r in 9.9.9+t-cloud-amd64 9.9.10+t-cloud-amd64 9.9.11+t-cloud-amd64 9.1.0-5-cloud-amd64 9.9.10+t-amd64; do
    echo linux-image-$r; echo linux-image-$r-dbg; done
    echo linux-image-9.9-cloud-amd64; echo linux-image-9.9-cloud-amd64-dbg ;;
show) case $2 in
    *9.9.11*) echo "E: No packages found" >&2; exit 100 ;;
    *9.9.9*) v=9.9.9-1 ;;
    *9.9.10*) v=9.9.10-1 ;;
    *9.1.0-5*) v=9.1.50-2 ;;
    linux-source-9.9) echo "Package: x"; echo "Version: 9.9.10-1"; echo "Size: 1"; echo; v=9.9.9-1 ;;
    linux-source-9.1) v=9.1.49-1 ;;
    *) exit 100 ;;
    esac
    case $2 in *-unsigned) exit 100 ;; esac
    echo "Package: $2"; echo "Version: $v"; echo "Size: 2000000" ;;
esac
)sh";
constexpr const char* apt_get = R"sh(#!/bin/sh
echo "$@" >>"$FAKE/calls"
case "$*" in
*update*) : >"$FAKE/lists" ;;
*download*)
    for last; do :; done
    echo "dlstatus:1:50.0:Retrieving"
    echo "$last" >"${last%%=*}.deb" ;;
esac
)sh";
constexpr const char* dpkg_deb = R"sh(#!/bin/sh
# dpkg-deb -x FILE DIR: the file holds NAME=VERSION
read -r what <"$2"; name=${what%%=*}; r=${name#linux-image-}; r=${r#linux-headers-}; r=${r%-dbg}
case $name in
*-dbg) mkdir -p "$3/usr/lib/debug/boot"; echo "$what" >"$3/usr/lib/debug/boot/vmlinux-$r" ;;
linux-headers*) mkdir -p "$3/usr/src/linux-headers-$r"; echo s >"$3/usr/src/linux-headers-$r/Module.symvers" ;;
linux-image*) mkdir -p "$3/boot" "$3/lib/modules/$r/kernel"; echo c >"$3/boot/config-$r"; echo k >"$3/boot/vmlinuz-$r" ;;
linux-source*) mkdir -p "$3/usr/src/t/$name"; echo "$what" >"$3/usr/src/t/$name/Makefile"
    tar -C "$3/usr/src/t" -cJf "$3/usr/src/$name.tar.xz" "$name" ;;
esac
)sh";
constexpr const char* dpkg = R"sh(#!/bin/sh
case $1 in
--print-architecture) echo amd64 ;;
--compare-versions) [ "$2" != "$4" ] && [ "$(printf '%s\n' "$2" "$4" | sort -V | tail -n1)" = "$2" ] ;;
esac
)sh";

class Packages : public testing::Test {
 protected:
  Packages()
      : path_(std::getenv("PATH")),
        console_(0),
        runner_(folder_.path() / "log"),
        cache_(folder_.path() / "c", console_) {
    folder_.write("bin/apt-cache", apt_cache, true);
    folder_.write("bin/apt-get", apt_get, true);
    folder_.write("bin/dpkg-deb", dpkg_deb, true);
    folder_.write("bin/dpkg", dpkg, true);
    folder_.write("lists", "");
    setenv("PATH", ((folder_.path() / "bin").string() + ":" + path_).c_str(), 1);
    setenv("FAKE", folder_.path().c_str(), 1);
  }
  ~Packages() override { setenv("PATH", path_.c_str(), 1); }
  KernelFiles find(const char* release, const KernelFiles& given = {}) {
    return find_release(release, given, cache_, runner_, console_);
  }
  std::string error_of(const char* release) {
    return message_of<Error>([&] { find(release); });
  }
  std::string calls() { return fs::exists(folder_.path() / "calls") ? read_file(folder_.path() / "calls") : ""; }

  std::string path_;
  TemporaryFolder folder_;
  Console console_;
  Runner runner_;
  Cache cache_;
};

TEST_F(Packages, AReleaseComesWithEverything) {
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

TEST_F(Packages, ASecondLookAsksNobody) {
  KernelFiles first = find("9.9.9+t-cloud-amd64");
  fs::remove(folder_.path() / "calls");
  EXPECT_EQ(find("9.9.9+t-cloud-amd64").vmlinux, first.vmlinux);
  EXPECT_EQ(calls(), "");
}

TEST_F(Packages, ASeriesIsItsNewestRelease) {
  KernelFiles files = find("9.9-cloud");
  EXPECT_EQ(files.release, "9.9.10+t-cloud-amd64");
  EXPECT_EQ(files.version, "9.9.10-1");
  EXPECT_EQ(find("9.9").release, "9.9.10+t-amd64");
}

TEST_F(Packages, GivenFilesAreTaken) {
  KernelFiles given;
  given.config = folder_.write("my.config", "mine");
  given.source = folder_.path();
  given.source_identity = "mine";
  KernelFiles files = find("9.9.9+t-cloud-amd64", given);
  EXPECT_EQ(files.config, given.config);
  EXPECT_EQ(files.source, given.source);
  EXPECT_EQ(calls().find("linux-source"), std::string::npos);
}

TEST_F(Packages, AReleaseThatLeftNamesTheOthers) {
  std::string message = error_of("9.9.8+t-cloud-amd64");
  EXPECT_EQ(message.find("the archive doesn't have the kernel 9.9.8+t-cloud-amd64"), 0U) << message;
  EXPECT_NE(message.find("9.9.10+t-cloud-amd64"), std::string::npos) << message;
  EXPECT_EQ(message.find("9.9.10+t-amd64"), std::string::npos) << message;
  EXPECT_NE(message.find("-a 9.9-cloud takes the newest"), std::string::npos) << message;
  EXPECT_NE(error_of("9.9.11+t-cloud-amd64").find("doesn't have the kernel"), std::string::npos);
}

TEST_F(Packages, NonsenseAndUnknownSeries) {
  EXPECT_NE(error_of("nonsense").find("'nonsense' is no kernel release"), std::string::npos);
  EXPECT_NE(error_of("5.10-cloud").find("no kernel of the series 5.10-cloud"), std::string::npos);
  EXPECT_NE(error_of("4.4.0-1-generic").find("it has 9.1.0-5-cloud-amd64"), std::string::npos);
}

TEST_F(Packages, TheSourceMustBeOfExactlyThatVersion) {
  std::string message = error_of("9.1.0-5-cloud-amd64");
  EXPECT_NE(message.find("doesn't have the source of 9.1.0-5-cloud-amd64: linux-source-9.1 9.1.50-2 (it has 9.1.49-1)"),
            std::string::npos)
      << message;
}

TEST_F(Packages, EmptyListsAreUpdatedByRoot) {
  fs::remove(folder_.path() / "lists");
  if (geteuid() != 0) {
    EXPECT_NE(error_of("9.9-cloud").find("as root run: apt-get update"), std::string::npos);
    return;
  }
  EXPECT_EQ(find("9.9-cloud").release, "9.9.10+t-cloud-amd64");
  EXPECT_NE(calls().find("update"), std::string::npos);
}

TEST_F(Packages, ASourcePackageNamesTheMissingTool) {
  fs::path rpm = folder_.write("kernel-1.src.rpm", "x");
  folder_.write("bin/rpm2cpio", "#!/bin/sh\nexit 127\n", true);
  std::string message = message_of<Error>([&] { unpack_source_package(rpm, cache_, runner_, console_); });
  EXPECT_FALSE(message.empty());
  EXPECT_THROW(unpack_source_package(folder_.write("a.zip", ""), cache_, runner_, console_), Error);
}

}  // namespace
}  // namespace kpatch
