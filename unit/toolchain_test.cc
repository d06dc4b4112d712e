// Which compiler a kernel is compiled with, against an apt, an mmdebstrap and compilers made of shell scripts.
#include "kernel/toolchain.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "kernel/distro/debian-suites.h"
#include "kernel/distro/debian-toolchain.h"
#include "support/error.h"
#include "support/files.h"
#include "unit/fake-programs.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

Names names_of(const std::vector<SuiteGroup>& groups) {
  Names names;
  for (const SuiteGroup& group : groups) names.push_back(group.name);
  return names;
}

TEST(Suites, AreThoseThatTheReleaseNames) {
  EXPECT_EQ(names_of(groups_of_release("6.12.118+deb13-cloud-amd64")), (Names{"trixie", "trixie-backports"}));
  EXPECT_EQ(names_of(groups_of_release("7.2.12+deb14-amd64")), (Names{"forky", "sid"}));
  EXPECT_EQ(names_of(groups_of_release("6.1.0-0.deb11.52-amd64")), (Names{"bullseye", "bullseye-backports"}));
  EXPECT_EQ(names_of(groups_of_release("5.10.0-46-cloud-amd64")), (Names{"bullseye", "bullseye-backports"}));
  EXPECT_EQ(names_of(groups_of_release("6.1.0-56-cloud-amd64")), (Names{"bookworm", "bookworm-backports"}));
  EXPECT_EQ(names_of(groups_of_release("6.12.1+deb130-amd64")), names_of(all_groups()));
  EXPECT_EQ(names_of(groups_of_release("6.9.1-mine")), names_of(all_groups()));
  EXPECT_EQ(names_of(groups_of_release("6.12.118+deb13")), (Names{"trixie", "trixie-backports"}));
  EXPECT_EQ(names_of(groups_of_release("deb")), names_of(all_groups()));
  EXPECT_EQ(names_of(groups_of_suite("trixie")), (Names{"trixie", "trixie-backports"}));
  EXPECT_EQ(names_of(groups_of_suite("trixie-backports")), Names{"trixie-backports"});
  for (const char* none : {"", "tri", "trixie-", "buster"})
    EXPECT_NE(message_of<Error>([&] { groups_of_suite(none); }).find("is no suite of Debian"), std::string::npos)
        << none;
}

TEST(PackagedCompiler, IsNamedByItsVersionText) {
  const auto of = [](const char* text) {
    const PackagedCompiler found = packaged_compiler(text);
    return found.package + " " + found.version;
  };
  EXPECT_EQ(of("x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0"), "gcc-14 14.2.0-19");
  EXPECT_EQ(of("gcc-10 (Debian 10.2.1-6) 10.2.1 20210110"), "gcc-10 10.2.1-6");
  EXPECT_EQ(of("gcc (Debian 12.2.0-14+deb12u1) 12.2.0"), "gcc-12 12.2.0-14+deb12u1");
  for (const char* other : {"gcc (Ubuntu 13.2.0-23ubuntu4) 13.2.0", "gcc (GCC) 14.1.0", "Debian clang version 16.0.6",
                            "", "cc (Debian 1-1", "tcc (Debian 1-1) 1"})
    EXPECT_EQ(of(other), " ") << other;
}

TEST(ToolchainNeeds, AreWhatTheConfigSays) {
  const KernelConfig config = KernelConfig::parse(
      "CONFIG_CC_VERSION_TEXT=\"gcc-14 (Debian 14.2.0-19) 14.2.0\"\nCONFIG_AS_VERSION=24400\nCONFIG_LD_VERSION=24401\n"
      "CONFIG_PAHOLE_VERSION=130\nCONFIG_RUST=y\nCONFIG_RUSTC_VERSION_TEXT=\"rustc 1.85.1 (x)\"\n"
      "CONFIG_BINDGEN_VERSION_TEXT=\"bindgen 0.71.1\"\n");
  const ToolchainNeeds needs = toolchain_needs(config, "");
  EXPECT_EQ(needs.compiler, "gcc-14 (Debian 14.2.0-19) 14.2.0");
  EXPECT_EQ(toolchain_needs(config, "gcc of the banner").compiler, "gcc of the banner");
  EXPECT_EQ(needs.assembler + needs.linker + needs.pahole, "2440024401130");
  EXPECT_EQ(needs.rustc + needs.bindgen, "rustc 1.85.1 (x)bindgen 0.71.1");
  EXPECT_EQ(toolchain_needs(KernelConfig::parse("CONFIG_RUSTC_VERSION_TEXT=\"rustc 1\"\n"), "").rustc, "");
}

TEST(Misfits, AreToolsOfAnotherVersion) {
  const std::vector<std::pair<std::string, std::string>> here = {
      {"assembler", "GNU assembler (GNU Binutils for Debian) 2.47.50.20261021"},
      {"linker", "GNU ld (GNU Binutils for Debian) 2.35.2"},
      {"pahole", "v1.24"},
      {"rustc", "none"},
      {"host compiler", "gcc 1"}};
  const auto differences = [&](const ToolchainNeeds& needs) { return misfits(needs, here).size(); };
  EXPECT_EQ(differences({}), 0U);
  EXPECT_EQ(differences({.assembler = "24750", .linker = "23502", .pahole = "124"}), 0U);
  EXPECT_EQ(differences({.linker = "235020000"}), 0U);  // as 5.10 counts
  EXPECT_EQ(differences({.assembler = "0", .pahole = "0"}), 0U);
  EXPECT_EQ(differences({.assembler = "24700"}), 1U);
  EXPECT_EQ(differences({.linker = "23501"}), 1U);
  EXPECT_EQ(differences({.linker = "235010000"}), 1U);
  EXPECT_EQ(differences({.pahole = "125"}), 1U);
  const std::vector<std::pair<std::string, std::string>> llvm = {
      {"assembler", "clang version 16.0.6 (https://github.com/llvm/llvm-project 7cbf1a2)"},
      {"linker", "Debian LLD 14.0.6 (compatible with GNU linkers)"}};
  EXPECT_EQ(misfits({.assembler = "160006", .linker = "140006"}, llvm), Names{});
  EXPECT_EQ(misfits({.assembler = "160005", .linker = "140005"}, llvm).size(), 2U);
  EXPECT_EQ(misfits({.rustc = "rustc 1.85.1"}, here), Names{"rustc isn't installed, the kernel's is rustc 1.85.1"});
}

TEST(ProgramIn, FollowsLinksWithinTheRoot) {
  TemporaryFolder folder;
  const fs::path root = folder.path() / "root";
  folder.write("root/usr/bin/x86-gcc", "root's");
  folder.write("gcc-outside", "not the root's");
  fs::create_symlink("x86-gcc", root / "usr/bin/gcc");
  fs::create_symlink("/usr/bin/gcc", root / "usr/bin/cc");
  fs::create_symlink("../../../gcc-outside", root / "usr/bin/out");
  fs::create_symlink("loop", root / "usr/bin/loop");
  EXPECT_EQ(program_in(root, "gcc"), root / "usr/bin/x86-gcc");
  EXPECT_EQ(program_in(root, "cc"), root / "usr/bin/x86-gcc");
  EXPECT_EQ(program_in(root, "/usr/bin/cc"), root / "usr/bin/x86-gcc");
  for (const char* none : {"out", "loop", "clang", "/usr/bin"}) EXPECT_FALSE(program_in(root, none)) << none;
}

constexpr const char* apt_get = R"sh(#!/bin/sh
echo "apt-get $*" >>"$FAKE/calls"
case "$*" in
*LABEL*) echo "Packages Debian https://archive/debian/"; echo "Packages Debian-Security https://archive/security/" ;;
*RELEASE*) for suite in $(cat "$FAKE/suites"); do echo "Packages $suite"; done ;;
*update*) [ ! -e "$FAKE/trouble" ] || { cat "$FAKE/trouble"; exit 100; }
    echo "E: The repository 'https://archive/debian/ trixie-updates Release' does not have a Release file." ;;
esac
)sh";
constexpr const char* apt_cache = R"sh(#!/bin/sh
[ "$1 $2" != "show gcc-99" ] || { echo "Package: gcc-99"; echo "Version: $(cat "$FAKE/version")"; echo "Size: 1"; }
)sh";
constexpr const char* mmdebstrap = R"sh(#!/bin/sh
echo "mmdebstrap $*" >>"$FAKE/calls"
[ ! -e "$FAKE/no-root" ] || { echo "E: $(cat "$FAKE/no-root")"; exit 1; }
while case $1 in --*) true ;; *) false ;; esac; do shift; done
for program in gcc-99 as ld dash mawk; do
  mkdir -p "$2/usr/bin" "$2/etc" "$2/usr/share/doc"
  printf '#!/bin/sh\ncase $1 in -print*) echo "${1#*=}" ;; *) echo "%s (Debian 99.1.0-2) 99.1.0" ;; esac\n' $program \
    >"$2/usr/bin/$program"
  chmod +x "$2/usr/bin/$program"
done
)sh";

class FindToolchain : public FakePrograms {
 protected:
  FindToolchain() {
    program("apt-get", apt_get);
    program("apt-cache", apt_cache);
    program("mmdebstrap", mmdebstrap);
    folder_.write("suites", "trixie trixie-security");
    folder_.write("version", "99.1.0-2");
    tools_.archive_key = folder_.write("key", "");
    options_.enter = [this](const fs::path& root) {
      entered_.push_back(root);
      executor_.enter_root({"env", "PATH=" + (root / "usr/bin").string() + ":/usr/bin:/bin"}, {});
    };
  }

  Toolchain find(const char* release = "9.9.1+deb13-amd64") {
    return find_toolchain(needs_, release, options_, tools_);
  }
  std::string error() {
    return message_of<Error>([&] { find(); });
  }
  fs::path entry() {
    const auto entries = cache_.entries("toolchain");
    return entries.size() == 1 ? entries[0].directory : fs::path();
  }

  ToolchainNeeds needs_{.compiler = "x86_64-linux-gnu-gcc-99 (Debian 99.1.0-2) 99.1.0", .linker = "990100"};
  ToolchainOptions options_;
  std::vector<fs::path> entered_;
};

TEST_F(FindToolchain, ARootIsMadeOfTheReleasesSuite) {
  const Toolchain found = find();
  ASSERT_FALSE(entry().empty());
  EXPECT_EQ(found.root, entry() / "root");
  EXPECT_EQ(entered_, std::vector<fs::path>{found.root});
  EXPECT_EQ(found.compiler.command, Names{"gcc-99"});
  const std::string all = calls(), made = all.substr(all.find("mmdebstrap"));
  EXPECT_NE(made.find(" trixie "), std::string::npos) << made;
  EXPECT_NE(made.find("https://archive/security/ trixie-security main"), std::string::npos) << made;
  EXPECT_EQ(made.find("trixie-updates"), std::string::npos) << made;  // which the archive doesn't have
  EXPECT_NE(made.find(",gcc-99"), std::string::npos) << made;
  EXPECT_EQ(made.find("rust"), std::string::npos) << made;
  // What maintainer scripts would have done, and what nobody reads.
  EXPECT_EQ(fs::read_symlink(found.root / "usr/bin/sh"), "dash");
  EXPECT_EQ(fs::read_symlink(found.root / "usr/bin/awk"), "mawk");
  EXPECT_FALSE(fs::exists(found.root / "usr/share/doc"));
}

TEST_F(FindToolchain, ListsMayBeOutOfDateWhereThisMachineSaysSo) {
  program("apt-config", "#!/bin/sh\necho 'Acquire::Check-Valid-Until \"true\";'\n");
  find();
  EXPECT_EQ(calls().find("--aptopt"), std::string::npos);
  program("apt-config", "#!/bin/sh\necho 'Acquire::Check-Valid-Until \"false\";'\n");
  executor_.enter_root({}, {});
  needs_.pahole = "130";
  error();
  EXPECT_NE(calls().find("--aptopt=Acquire::Check-Valid-Until \"false\""), std::string::npos);
}

TEST_F(FindToolchain, KernelsWithTheSameNeedsShareIt) {
  find();
  fs::remove(folder_.path() / "calls");
  executor_.enter_root({}, {});
  EXPECT_EQ(find("9.9.2+deb13-cloud-amd64").root, entry() / "root");
  EXPECT_EQ(calls(), "");
  needs_.rustc = "rustc 1";
  needs_.bindgen = "bindgen 1";
  executor_.enter_root({}, {});
  error();
  EXPECT_NE(calls().find(",rustc,rust-src,bindgen"), std::string::npos);
}

TEST_F(FindToolchain, WhatFitsHereIsTaken) {
  folder_.write("bin/gcc-99",
                "#!/bin/sh\ncase $1 in -print*) echo as ;; *) echo 'gcc (Debian 99.1.0-2) 99.1.0' ;; esac\n", true);
  needs_.linker.clear();
  const Toolchain found = find();
  EXPECT_TRUE(found.root.empty());
  EXPECT_TRUE(entered_.empty());
  EXPECT_EQ(calls(), "");
  // The compiler alone isn't enough.
  needs_.linker = "990100";
  EXPECT_FALSE(find().root.empty());
}

TEST_F(FindToolchain, AGivenRootIsTakenAsItIs) {
  options_.given = folder_.path() / "mine";
  needs_.linker.clear();
  folder_.write("mine/usr/bin/gcc-99", "#!/bin/sh\necho 'gcc-99 (Debian 99.1.0-2) 99.1.0'\n", true);
  EXPECT_EQ(find().root, options_.given);
  needs_.linker = "1";
  EXPECT_NE(error().find("the toolchain in " + options_.given.string() + " isn't the kernel's: the linker here is "),
            std::string::npos)
      << error();
  needs_.linker.clear();
  folder_.write("mine/usr/bin/gcc-99", "#!/bin/sh\necho 'gcc-99 (Debian 98-1) 98'\n", true);
  EXPECT_NE(error().find("this kernel was compiled by x86_64-linux-gnu-gcc-99 (Debian 99.1.0-2) 99.1.0, here is gcc-99 "
                         "(Debian 98-1) 98"),
            std::string::npos);
  EXPECT_EQ(calls(), "");
}

TEST_F(FindToolchain, ARootThatWasChangedIsNotUsed) {
  find();
  executor_.enter_root({}, {});
  folder_.write(entry() / "root/usr/bin/gcc-99", "#!/bin/sh\necho 'gcc-99 (Debian 99.1.0-2) 99.1.0'; : other code\n");
  EXPECT_NE(error().find("was changed after it was made"), std::string::npos) << error();
}

TEST_F(FindToolchain, WhatTheArchiveDoesNotHaveIsNamed) {
  folder_.write("version", "99.1.0-3");
  EXPECT_NE(error().find("no suite of the archive has gcc-99 99.1.0-2 (any more): trixie 99.1.0-3"), std::string::npos)
      << error();
  EXPECT_NE(error().find("pass --skip-compiler-check"), std::string::npos);
  folder_.write("version", "99.1.0-2+b1");  // rebuilt
  EXPECT_EQ(error(), "");
}

TEST_F(FindToolchain, AnArchiveThatCannotBeReadIsNamedWithAptsWords) {
  folder_.write("suites", "");
  folder_.write("trouble",
                "Hit: nothing\nErr:1 https://archive/debian trixie InRelease\nE: The repository is not signed.\n");
  EXPECT_NE(error().find(
                "the archive doesn't give the suite trixie\n>>> Err:1 https://archive/debian trixie InRelease\n>>> E: "
                "The repository is not signed."),
            std::string::npos)
      << error();
  EXPECT_TRUE(cache_.entries("archive").empty());
}

// What couldn't be fetched would be taken for what isn't there, for a day.
TEST_F(FindToolchain, ASuiteThatCouldNotBeFetchedIsNotTakenForAbsent) {
  folder_.write("suites", "trixie");
  EXPECT_NE(error().find("the archive doesn't give the suite trixie-security"), std::string::npos) << error();
  EXPECT_TRUE(cache_.entries("archive").empty());
}

TEST_F(FindToolchain, ARootThatCouldNotBeMadeIsNotKept) {
  folder_.write("no-root", "Hash Sum mismatch");
  EXPECT_NE(error().find("mmdebstrap can't make the root"), std::string::npos) << error();
  EXPECT_NE(error().find("Hash Sum mismatch"), std::string::npos);
  EXPECT_TRUE(entry().empty());
  fs::remove(folder_.path() / "no-root");
  EXPECT_EQ(error(), "");
}

TEST_F(FindToolchain, AMissingMmdebstrapIsNamed) {
  fs::remove(folder_.path() / "bin/mmdebstrap");
  if (find_program("mmdebstrap")) setenv("PATH", (folder_.path() / "bin").c_str(), 1);
  for (const char* program : {"sh", "cat", "env"})
    if (!fs::exists(folder_.path() / "bin" / program))
      fs::create_symlink(fs::path("/bin") / program, folder_.path() / "bin" / program);
  EXPECT_NE(error().find("mmdebstrap isn't installed"), std::string::npos) << error();
}

TEST_F(FindToolchain, ASuiteWhoseOtherToolsWentOnIsRefused) {
  needs_.linker = "990000";
  EXPECT_NE(
      error().find("the suite of the kernel's compiler has other tools now: the linker here is ld (Debian 99.1.0-2) "
                   "99.1.0, the kernel's is 990000"),
      std::string::npos)
      << error();
}

TEST_F(FindToolchain, ListsAreOfOneDay) {
  const SuiteArchive archive = open_suites({"trixie", {"trixie"}}, tools_);
  EXPECT_EQ(archive.sources.size(), 1U);
  fs::remove(folder_.path() / "calls");
  open_suites({"trixie", {"trixie"}}, tools_);
  EXPECT_EQ(calls().find("update"), std::string::npos);
  // Another archive's are others; a snapshot has its security archive beside it.
  tools_.archive = "https://snapshot/archive/debian/20260101T000000Z";
  const SuiteArchive then = open_suites({"trixie", {"trixie", "trixie-security"}}, tools_);
  EXPECT_NE(then.sources.at(0).find(" https://snapshot/archive/debian/20260101T000000Z trixie main"),
            std::string::npos);
  EXPECT_NE(then.sources.at(1).find(" https://snapshot/archive/debian-security/20260101T000000Z trixie-security main"),
            std::string::npos);
  EXPECT_NE(calls().find("Acquire::Check-Valid-Until=false"), std::string::npos);
  tools_.archive_key = "/no/such/key";
  EXPECT_NE(message_of<Error>([&] {
              open_suites({"trixie", {"trixie"}}, tools_);
            }).find("/no/such/key is missing"),
            std::string::npos);
}

}  // namespace
}  // namespace kpatch
