// Packages that were made to harm, through the real dpkg-deb and tar.
#include "kernel/distro/unpacked.h"

#include <archive.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>

#include <fmt/format.h>

#include "kernel/distro/apt.h"
#include "kernel/distro/distro.h"
#include "support/error.h"
#include "support/files.h"
#include "unit/packer.h"
#include "unit/skip.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

void tar(archive* a) { archive_write_set_format_gnutar(a); }
void ar(archive* a) { archive_write_set_format_ar_svr4(a); }
void cpio(archive* a) { archive_write_set_format_cpio_newc(a); }

class Unpacked : public testing::Test {
 protected:
  Unpacked() : console_(0), executor_(folder_.path() / "log") { fs::create_directories(to_); }
  void SetUp() override {
    if (std::system("dpkg-deb --version >/dev/null 2>&1") != 0) SKIP_PACKAGE("dpkg is not installed");
  }

  // A package whose files are these, to be unpacked.
  void deb(const std::string& name, const std::string& data) const {
    const std::string control =
        Packer(tar)
            .file("./control", "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n")
            .bytes();
    const std::string bytes =
        Packer(ar).file("debian-binary", "2.0\n").file("control.tar", control).file("data.tar", data).bytes();
    folder_.write("outer/entry/" + name, bytes);
  }
  std::string problem() {
    return message_of<Error>([&] { unpack_debs(to_, "x", executor_, console_); });
  }
  // A few bytes that stand for a file of 17 GB, usr/big, most of it a hole. Empty where none can be made.
  std::string huge_file() const {
    const std::string command =
        fmt::format("cd '{0}' && mkdir -p usr && truncate -s 17G usr/big && tar -S -cf data.tar ./usr && rm -r usr",
                    elsewhere_.string());
    if (std::system(command.c_str()) != 0) return "";
    const std::string data = read_file(elsewhere_ / "data.tar");
    fs::remove(elsewhere_ / "data.tar");
    EXPECT_LT(data.size(), 100'000U);
    return data;
  }
  // Nothing is beside the entry, nor beside the folder that holds it, but what was there.
  void expect_nothing_outside() const {
    size_t outside = 0;
    for (const auto& entry : fs::directory_iterator(folder_.path() / "outer")) outside += entry.path() != to_ ? 1 : 0;
    EXPECT_EQ(outside, 0U);
    EXPECT_FALSE(fs::exists(folder_.path() / "out"));
    EXPECT_FALSE(fs::exists("/tmp/kpatch-test-out"));
    EXPECT_TRUE(fs::is_empty(elsewhere_));
  }

  TemporaryFolder folder_;
  Console console_;
  Executor executor_;
  const fs::path to_ = folder_.path() / "outer/entry";
  const fs::path elsewhere_ = [this] {
    fs::create_directory(folder_.path() / "elsewhere");
    return folder_.path() / "elsewhere";
  }();
};

TEST_F(Unpacked, PackagesShareFolders) {
  deb("a.deb", Packer(tar).file("./usr/src/a", "1", 0755).symlink("./usr/src/build", "/usr/src/b").bytes());
  deb("b.deb", Packer(tar).file("./usr/src/b", "2").file("./boot/config", "3").bytes());
  EXPECT_EQ(problem(), "");
  EXPECT_EQ(read_file(to_ / "usr/src/a") + read_file(to_ / "usr/src/b") + read_file(to_ / "boot/config"), "123");
  EXPECT_EQ(fs::status(to_ / "usr/src/a").permissions(), fs::perms(0755));
  EXPECT_EQ(fs::read_symlink(to_ / "usr/src/build"), "/usr/src/b");
  size_t there = 0;
  for (const auto& entry : fs::directory_iterator(to_)) there += entry.path().filename() != "" ? 1 : 0;
  EXPECT_EQ(there, 2U);  // no package, no folder of one
}

TEST_F(Unpacked, NamesThatLeadOutWriteNothingThere) {
  for (const char* name : {"../out", "./usr/../../out", "../../out", "/tmp/kpatch-test-out"}) {
    deb("a.deb", Packer(tar).file("./usr/a", "1").file(name, "x").bytes());
    problem();  // refused, or without what leads out
    expect_nothing_outside();
    fs::remove_all(to_);
    fs::create_directories(to_);
  }
}

TEST_F(Unpacked, NothingGoesThroughALinkOfTheSamePackage) {
  for (const std::string& target : {elsewhere_.string(), std::string("../../../../elsewhere")}) {
    deb("a.deb", Packer(tar).symlink("./usr/link", target).file("./usr/link/out", "x").bytes());
    problem();
    expect_nothing_outside();
    fs::remove_all(to_);
    fs::create_directories(to_);
  }
}

TEST_F(Unpacked, NothingGoesThroughALinkOfAnotherPackage) {
  deb("a.deb", Packer(tar).symlink("./usr/src", elsewhere_.string()).bytes());
  deb("b.deb", Packer(tar).file("./usr/src/out", "x").bytes());
  EXPECT_EQ(problem(), "can't unpack b.deb: it holds usr/src, which is there already");
  expect_nothing_outside();
}

TEST_F(Unpacked, NoFileOfOneReplacesAnothers) {
  deb("a.deb", Packer(tar).file("./boot/config", "1").bytes());
  deb("b.deb", Packer(tar).file("./boot/config", "2").bytes());
  EXPECT_EQ(problem(), "can't unpack b.deb: it holds boot/config, which is there already");
}

// The cache's own files are beside what is unpacked.
TEST_F(Unpacked, NoPackageWritesBesideItsFolders) {
  folder_.write("outer/entry/key.txt", "k");
  for (const char* name : {"./complete", "./key.txt", "./b.deb"}) {
    deb("a.deb", Packer(tar).file(name, "x").bytes());
    EXPECT_EQ(problem(), fmt::format("can't unpack a.deb: it holds {}, which is no folder", name + 2));
    fs::remove_all(to_ / ".unpacked-0");
  }
  EXPECT_EQ(read_file(to_ / "key.txt"), "k");
  EXPECT_FALSE(fs::exists(to_ / "complete"));
}

TEST_F(Unpacked, DevicesAndPipesAreRefused) {
  deb("a.deb", Packer(tar).special("./usr/pipe", AE_IFIFO).bytes());
  EXPECT_EQ(problem(), "can't unpack a.deb: it holds usr/pipe, a device or a pipe");
  fs::remove_all(to_ / ".unpacked-0");
  if (geteuid() != 0) return;  // tar can't make it
  deb("a.deb", Packer(tar).special("./usr/null", AE_IFCHR).bytes());
  EXPECT_NE(problem(), "");
}

TEST_F(Unpacked, OwnersAndRightsAreOurs) {
  deb("a.deb", Packer(tar).file("./usr/x", "1", 06777).file("./usr/y", "2", 0).bytes());
  EXPECT_EQ(problem(), "");
  EXPECT_EQ(fs::status(to_ / "usr/x").permissions(), fs::perms(0755));
  EXPECT_EQ(fs::status(to_ / "usr/y").permissions(), fs::perms(0600));
  struct stat info {};
  ASSERT_EQ(stat((to_ / "usr/x").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, geteuid());
}

TEST_F(Unpacked, AnotherOwnerLosesIt) {
  if (geteuid() != 0) SKIP_MACHINE("only root keeps the owners of an archive");
  const fs::path tree = folder_.path() / "tree";
  folder_.write("tree/usr/x", "1");
  fs::create_symlink("x", tree / "usr/link");
  for (const char* name : {"", "usr", "usr/x", "usr/link"}) ASSERT_EQ(lchown((tree / name).c_str(), 12345, 12345), 0);
  clean_unpacked(tree, "a", Links::inside);
  for (const char* name : {"", "usr", "usr/x", "usr/link"}) {
    struct stat info {};
    ASSERT_EQ(lstat((tree / name).c_str(), &info), 0);
    EXPECT_EQ(info.st_uid, 0U) << name;
    EXPECT_EQ(info.st_gid, getegid()) << name;
  }
}

TEST_F(Unpacked, AFileCantGrowWithoutEnd) {
  const std::string data = huge_file();
  if (data.empty()) SKIP_MACHINE("no file of 17 GB, not even an empty one, can be made here");
  deb("a.deb", data);
  EXPECT_EQ(problem().find("can't unpack a.deb (exit status 2)"), 0U) << problem();
}

// --- single files of a package ---

class UnpackedPart : public Unpacked {
 protected:
  std::string problem(const std::string& pattern = "./usr/lib/x") {
    return message_of<Error>([&] { unpack_debs(to_, "x", executor_, console_, DebFiles{to_ / "a.deb", {pattern}}); });
  }
};

TEST_F(UnpackedPart, IsUnpackedAloneAndThePackageStays) {
  deb("a.deb", Packer(tar).file("./usr/lib/x", "1", 06777).file("./usr/lib/x", "2").file("./usr/y", "3").bytes());
  deb("b.deb", Packer(tar).file("./boot/config", "4").bytes());
  EXPECT_EQ(package_in(to_), to_ / "a.deb");
  EXPECT_EQ(problem(), "");
  EXPECT_EQ(read_file(to_ / "usr/lib/x") + read_file(to_ / "boot/config"), "14");
  EXPECT_EQ(fs::status(to_ / "usr/lib/x").permissions(), fs::perms(0755));
  EXPECT_FALSE(fs::exists(to_ / "usr/y"));
  EXPECT_EQ(package_in(to_), to_ / "a.deb");
  EXPECT_FALSE(fs::exists(to_ / "b.deb"));
}

TEST_F(UnpackedPart, MustBeThereAndWhole) {
  deb("a.deb", Packer(tar).file("./usr/y", "1").bytes());
  EXPECT_EQ(problem().find("can't unpack a.deb (exit status 2)"), 0U);
  fs::remove_all(to_ / ".unpacked-0");
  deb("a.deb", Packer(tar).file("./usr/lib/x", std::string(100'000, 'x')).bytes().substr(0, 50'000));
  EXPECT_EQ(problem().find("can't unpack a.deb (exit status 2)"), 0U);
  fs::remove_all(to_ / ".unpacked-0");
  folder_.write("outer/entry/a.deb", "no package");
  EXPECT_EQ(problem().find("can't unpack a.deb (exit status 2)"), 0U);
}

TEST_F(UnpackedPart, NothingGoesThroughALink) {
  for (const std::string& target : {elsewhere_.string(), std::string("../../../../elsewhere")}) {
    deb("a.deb", Packer(tar).symlink("./usr/lib", target).file("./usr/lib/x", "1").bytes());
    problem();
    expect_nothing_outside();
    fs::remove_all(to_);
    fs::create_directories(to_);
  }
  deb("a.deb", Packer(tar).file("./usr/lib/../../../../out", "x").file("./usr/lib/x", "1").bytes());
  problem("*");
  expect_nothing_outside();
}

TEST_F(UnpackedPart, OtherThingsByThatNameAreRefused) {
  deb("a.deb", Packer(tar).special("./usr/lib/x", AE_IFIFO).bytes());
  EXPECT_EQ(problem(), "can't unpack a.deb: it holds usr/lib/x, a device or a pipe");
}

TEST_F(UnpackedPart, OfAnotherPackageIsNotReplaced) {
  deb("a.deb", Packer(tar).file("./usr/lib/x", "1").bytes());
  deb("b.deb", Packer(tar).file("./usr/lib/x", "2").bytes());
  EXPECT_EQ(problem(), "can't unpack b.deb: it holds usr/lib/x, which is there already");
}

TEST_F(UnpackedPart, CantGrowWithoutEnd) {
  const std::string data = huge_file();
  if (data.empty()) SKIP_MACHINE("no file of 17 GB, not even an empty one, can be made here");
  deb("a.deb", data);
  EXPECT_EQ(problem("./usr/big").find("can't unpack a.deb (killed by signal 25)"), 0U);
}

TEST_F(Unpacked, FoldersAreMadeBesideNoLink) {
  fs::create_directories(to_ / "usr");
  make_folders(to_, "usr/lib/debug", "a");
  make_folders(to_, "usr/lib/debug/x", "a");
  EXPECT_TRUE(fs::is_directory(to_ / "usr/lib/debug/x"));
  fs::create_symlink(elsewhere_, to_ / "usr/lib/link");
  EXPECT_EQ(message_of<Error>([&] { make_folders(to_, "usr/lib/link/x", "a"); }),
            "can't unpack a: it holds usr/lib/link, which is no folder");
  EXPECT_TRUE(fs::is_empty(elsewhere_));
}

// --- source ---

class UnpackedSource : public Unpacked {
 protected:
  // rpm, which says that there are no patches, stands in front of this machine's.
  UnpackedSource() {
    folder_.write("bin/rpm", "#!/bin/sh\necho linux-5.14.tar\necho\n", true);
    setenv("PATH", ((folder_.path() / "bin").string() + ":" + path_).c_str(), 1);
  }
  ~UnpackedSource() override { setenv("PATH", path_.c_str(), 1); }
  std::string path_ = std::getenv("PATH");

  std::string problem(const std::string& tarball) {
    Cache cache(folder_.path() / "c", console_);
    const fs::path package = folder_.write("kernel.src.rpm", Packer(cpio).file("linux-5.14.tar", tarball).bytes());
    return message_of<Error>([&] {
      source_ = unpack_source_package(package, "", {cache, executor_, console_}).source;
    });
  }
  fs::path source_;
};

TEST_F(UnpackedSource, RightsAreOurs) {
  EXPECT_EQ(problem(Packer(tar).file("linux/Makefile", "m", 06777).symlink("linux/a/link", "../Makefile").bytes()), "");
  EXPECT_EQ(fs::status(source_ / "Makefile").permissions(), fs::perms(0755));
  EXPECT_EQ(read_file(source_ / "a/link"), "m");
}

TEST_F(UnpackedSource, LinksThatLeadOutAreRefused) {
  for (const char* target : {"/etc/passwd", "../../x", "../tree2/x"})
    EXPECT_EQ(problem(Packer(tar).file("linux/Makefile", "m").symlink("linux/a/link", target).bytes()),
              std::string(target) == "../tree2/x"
                  ? ""
                  : fmt::format("can't unpack kernel.src.rpm: it holds a/link, a link out of it to {}", target))
        << target;
}

TEST_F(UnpackedSource, NothingIsWrittenOutside) {
  for (const char* name : {"linux/../../../../out", "/tmp/kpatch-test-out", "linux/../../out"}) {
    problem(Packer(tar).file("linux/Makefile", "m").file(name, "x").bytes());
    expect_nothing_outside();
  }
  problem(Packer(tar).symlink("linux/link", elsewhere_.string()).file("linux/link/out", "x").bytes());
  expect_nothing_outside();
}

TEST_F(UnpackedSource, ATarballThatIsALinkIsNone) {
  Cache cache(folder_.path() / "c", console_);
  const fs::path package =
      folder_.write("kernel.src.rpm", Packer(cpio).symlink("linux-5.14.tar", "/etc/passwd").bytes());
  EXPECT_NE(message_of<Error>([&] {
              unpack_source_package(package, "", {cache, executor_, console_});
            }).find("holds no linux-*.tar"),
            std::string::npos);
}

TEST_F(Unpacked, AFileThatIsALinkOutIsNoFileOfThePackage) {
  folder_.write("outer/entry/boot/config", "x");
  fs::create_symlink("config", to_ / "boot/inner");
  fs::create_symlink("/etc/passwd", to_ / "boot/outer");
  require_inside(to_ / "boot/config", to_, "a");
  require_inside(to_ / "boot/inner", to_, "a");
  EXPECT_EQ(message_of<Error>([&] { require_inside(to_ / "boot/outer", to_, "the packages of R"); }),
            "can't unpack the packages of R: it holds boot/outer, a link out of it");
}

}  // namespace
}  // namespace kpatch
