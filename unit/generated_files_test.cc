#include "kbuild/generated-files.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace kpatch {
namespace {

namespace fs = std::filesystem;

TEST(GeneratedFiles, MessagesNameWhatIsMissing) {
  const auto missing = missing_files(
      "In file included from /src/security/selinux/hooks.c:1:\n"
      "/src/security/selinux/include/avc.h:15:10: fatal error: flask.h: No such file or directory\n"
      "   15 | #include \"flask.h\"\n"
      "compilation terminated.\n"
      "{standard input}:12: Error: file not found: kernel/config_data.gz\n");
  ASSERT_EQ(missing.size(), 2u);
  EXPECT_EQ(missing[0], (MissingFile{"flask.h", "/src/security/selinux/include/avc.h"}));
  EXPECT_EQ(missing[1], (MissingFile{"kernel/config_data.gz", ""}));
}

TEST(GeneratedFiles, OtherMessagesNameNothing) {
  EXPECT_TRUE(missing_files("").empty());
  EXPECT_TRUE(missing_files("a.c:1:2: error: 'x' undeclared\ncollect2: fatal error: ld terminated").empty());
}

// A source tree with Makefiles in the folders given.
class Targets : public testing::Test {
 protected:
  Targets() : source_(fs::path(testing::TempDir()) / "generated-files-source") {
    for (const char* folder : {"security/selinux", "arch/x86/lib", "kernel"}) {
      fs::create_directories(source_ / folder);
      std::ofstream(source_ / folder / "Makefile") << "#\n";
    }
    std::ofstream(source_ / "Makefile") << "#\n";
  }
  ~Targets() override { fs::remove_all(source_); }
  std::vector<KbuildTarget> targets(const MissingFile& missing, const CompileCommand& command) const {
    return possible_targets(missing, command, {source_, "/view"});
  }
  fs::path source_;
};

TEST_F(Targets, BesideTheObjectThenTheAskingFileThenIncludeFolders) {
  const CompileCommand command{"security/selinux/ss/services.o",
                               "security/selinux/ss/services.c",
                               "",
                               {"gcc", "-I./security/selinux", "-I", "./include", "-I/usr/include"}};
  const auto found = targets({"flask.h", "/view/security/selinux/include/avc.h"}, command);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0], (KbuildTarget{"security/selinux", "security/selinux/ss/flask.h"}));
  EXPECT_EQ(found[1], (KbuildTarget{"security/selinux", "security/selinux/include/flask.h"}));
  EXPECT_EQ(found[2], (KbuildTarget{"security/selinux", "security/selinux/flask.h"}));
}

TEST_F(Targets, OfAnotherFolder) {
  const CompileCommand command{"arch/x86/lib/inat.o", "arch/x86/lib/inat.c", "", {"gcc"}};
  const auto found = targets({"../lib/inat-tables.c", (source_ / "arch/x86/lib/inat.c").string()}, command);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0], (KbuildTarget{"arch/x86/lib", "arch/x86/lib/inat-tables.c"}));
}

TEST_F(Targets, NoneOutsideTheKernelOrWithoutMakefile) {
  const CompileCommand command{"fs/proc/meminfo.o", "fs/proc/meminfo.c", "", {"gcc", "-I/usr/include"}};
  EXPECT_TRUE(targets({"x.h", "/usr/include/y.h"}, command).empty());
  EXPECT_TRUE(targets({"../../../x.h", ""}, command).empty());
  EXPECT_TRUE(targets({"/etc/x.h", ""}, command).empty());
}

TEST_F(Targets, IncludedBinary) {
  const CompileCommand command{"kernel/configs.o", "kernel/configs.c", "", {"gcc"}};
  const auto found = targets({"kernel/config_data.gz", ""}, command);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[1], (KbuildTarget{"kernel", "kernel/config_data.gz"}));
}

}  // namespace
}  // namespace kpatch
