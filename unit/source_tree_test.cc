// Copies of a user's source: what belongs to it, and when it has changed.
#include "kernel/source-tree.h"

#include <gtest/gtest.h>

#include "support/error.h"
#include "support/files.h"
#include "unit/skip.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> paths_of(const std::vector<SourceFile>& files) {
  std::vector<std::string> paths;
  for (auto& file : files) paths.push_back(file.path);
  return paths;
}

class SourceTreeTest : public testing::Test {
 protected:
  SourceTreeTest() : console_(0), executor_(folder_.path() / "log"), cache_(folder_.path() / "c", console_) {
    write("Makefile", "VERSION = 6\nPATCHLEVEL = 1\n\nmrproper:\n\trm -f scripts/generated.c .config\n");
    write("Kbuild", "");
    write("kernel/fork.c", "int fork;\n");
    write("arch/x86/kernel/vmlinux.lds.S", "x");
  }
  void write(const std::string& name, const std::string& text) { folder_.write("my src/" + name, text); }
  fs::path tree() const { return folder_.path() / "my src"; }
  SourceTree copy() { return private_copy(tree(), cache_, executor_, console_); }
  bool git(const std::vector<std::string>& arguments) {
    std::vector<std::string> argv = {"git", "-C", tree().string(), "-c", "user.name=t", "-c", "user.email=t@t"};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    try {
      return executor_.run({argv, {}, {}}).ok();
    } catch (const Error&) {
      return false;
    }
  }

  TemporaryFolder folder_;
  Console console_;
  Executor executor_;
  Cache cache_;
};

TEST_F(SourceTreeTest, PlainTreesLeaveBuildProductsOut) {
  for (const char* product : {"kernel/fork.o", "kernel/.fork.o.cmd", ".config", "vmlinux", "include/config/auto.conf",
                              "include/generated/x.h", "arch/x86/include/generated/y.h", "net/a.ko", "net/a.mod.c",
                              "modules.order", "Module.symvers", ".tmp_vmlinux1", ".git/HEAD"})
    write(product, "product");
  EXPECT_EQ(paths_of(list_source(tree(), executor_)),
            (std::vector<std::string>{"Kbuild", "Makefile", "arch/x86/kernel/vmlinux.lds.S", "kernel/fork.c"}));
}

TEST_F(SourceTreeTest, GitTreesAreWhatGitSays) {
  if (!git({"init", "-q"})) SKIP_PACKAGE("git is not installed");
  write(".gitignore", "*.o\n/scripts/generated.c\n");
  write("scripts/generated.c", "ignored");
  write("kernel/fork.o", "ignored");
  ASSERT_TRUE(git({"add", "."}));
  ASSERT_TRUE(git({"commit", "-qm", "x"}));
  write("kernel/new.c", "untracked");
  write("kernel/fork.c", "modified");
  fs::remove(tree() / "arch/x86/kernel/vmlinux.lds.S");
  EXPECT_EQ(paths_of(list_source(tree(), executor_)),
            (std::vector<std::string>{".gitignore", "Kbuild", "Makefile", "kernel/fork.c", "kernel/new.c"}));
  EXPECT_EQ(read_file(copy().path / "kernel/fork.c"), "modified");
}

TEST_F(SourceTreeTest, ManifestsComeBack) {
  auto files = list_source(tree(), executor_);
  files.push_back({"odd name\nwith newline", 1, -5, 7, 9});
  EXPECT_EQ(parse_manifest(format_manifest(files)), files);
  std::string text = format_manifest(files);
  for (size_t length = 1; length < text.size(); length++) {
    auto part = parse_manifest(std::string_view(text).substr(0, length));
    EXPECT_TRUE(!part || part->size() < files.size()) << length;
  }
  EXPECT_FALSE(parse_manifest("1 2 3\n"));
}

TEST_F(SourceTreeTest, TheCopyIsMadeOnceAndFollowsChanges) {
  SourceTree first = copy();
  EXPECT_EQ(first.path.string().find(' '), std::string::npos);
  EXPECT_EQ(read_file(first.path / "kernel/fork.c"), "int fork;\n");
  EXPECT_EQ(copy().path, first.path);
  write("kernel/fork.c", "int knife;\n");
  SourceTree second = copy();
  EXPECT_NE(second.identity, first.identity);
  EXPECT_EQ(read_file(first.path / "kernel/fork.c"), "int fork;\n");
  write("kernel/fork.c", "int fork;\n");  // back, with other times
  EXPECT_EQ(copy().path, first.path);
}

TEST_F(SourceTreeTest, ATreeOfTheCacheIsNotCopied) {
  const SourceTree first = copy();
  const SourceTree again = private_copy(first.path, cache_, executor_, console_);
  EXPECT_EQ(again.path, first.path);
  EXPECT_EQ(again.identity, first.identity);

  CacheKey key;
  key.add("source package", "linux-source-6.1").add("version", "6.1.192-2");
  const fs::path entry = cache_.entry("source", key, "a source", [&](const fs::path& directory) {
    fs::copy(tree(), directory / "tree", fs::copy_options::recursive);
  });
  fs::create_directory_symlink(entry, folder_.path() / "link");
  const SourceTree package = private_copy(folder_.path() / "link/tree", cache_, executor_, console_);
  EXPECT_EQ(package.path, fs::canonical(entry / "tree"));
  EXPECT_EQ(package.identity, "linux-source-6.1 6.1.192-2");
  EXPECT_EQ(cache_.entries("source").size(), 2U);
}

TEST_F(SourceTreeTest, ModesAndLinksCount) {
  SourceTree first = copy();
  fs::permissions(tree() / "kernel/fork.c", fs::perms::owner_exec, fs::perm_options::add);
  SourceTree second = copy();
  EXPECT_NE(second.identity, first.identity);
  EXPECT_NE(fs::status(second.path / "kernel/fork.c").permissions() & fs::perms::owner_exec, fs::perms::none);
  fs::create_symlink("fork.c", tree() / "kernel/link.c");
  EXPECT_EQ(fs::read_symlink(copy().path / "kernel/link.c"), "fork.c");
}

TEST_F(SourceTreeTest, AConfiguredTreeIsCleanedInTheCopyAlone) {
  SourceTree clean = copy();
  write(".config", "CONFIG_X=y\n");
  write("scripts/generated.c", "left by a build");
  SourceTree built = copy();
  EXPECT_EQ(built.identity, clean.identity);
  EXPECT_FALSE(fs::exists(built.path / "scripts/generated.c"));
  EXPECT_TRUE(fs::exists(tree() / "scripts/generated.c"));
  EXPECT_TRUE(fs::exists(tree() / ".config"));
}

TEST_F(SourceTreeTest, NothingElseIsAKernel) {
  fs::remove(tree() / "Kbuild");
  EXPECT_NE(message_of<Error>([&] { copy(); }).find("is no kernel source"), std::string::npos);
  EXPECT_THROW(private_copy(folder_.path() / "none", cache_, executor_, console_), Error);
}

// What a link out of the tree leads to counts, and is copied: nothing of ours ever writes through it.
TEST_F(SourceTreeTest, LinksOutOfTheTreeAreFollowed) {
  folder_.write("home/driver/core/a.c", "int a;\n");
  folder_.write("home/driver/a.o", "product");
  folder_.write("home/one.c", "int one;\n");
  fs::create_directories(tree() / "drivers");
  fs::create_directory_symlink(folder_.path() / "home/driver", tree() / "drivers/mine");
  fs::create_symlink("../../home/one.c", tree() / "kernel/one.c");
  fs::create_symlink("fork.c", tree() / "kernel/inside.c");
  fs::create_symlink("/nowhere/at/all", tree() / "kernel/dangling.c");
  fs::create_directory_symlink("../kernel", folder_.path() / "home/driver/core/up");  // dangling from there
  const SourceTree first = copy();
  EXPECT_EQ(read_file(first.path / "drivers/mine/core/a.c"), "int a;\n");
  EXPECT_FALSE(fs::is_symlink(first.path / "drivers/mine"));
  EXPECT_FALSE(fs::exists(first.path / "drivers/mine/a.o"));
  EXPECT_FALSE(fs::is_symlink(first.path / "kernel/one.c"));
  EXPECT_TRUE(fs::is_symlink(first.path / "kernel/inside.c"));
  EXPECT_TRUE(fs::is_symlink(first.path / "kernel/dangling.c"));
  EXPECT_EQ(copy().identity, first.identity);
  for (const char* file : {"home/driver/core/a.c", "home/one.c"}) {  // no stale copy
    const std::string before = copy().identity;
    folder_.write(file, std::string("int changed;\n"));
    EXPECT_NE(copy().identity, before) << file;
  }
  fs::remove_all(copy().path / "drivers");
  EXPECT_TRUE(fs::exists(folder_.path() / "home/driver/core/a.c"));
}

TEST_F(SourceTreeTest, LinksInACircleAreRefused) {
  fs::create_directory_symlink(folder_.path(), tree() / "kernel/all");
  EXPECT_NE(message_of<Error>([&] { copy(); }).find("lies in itself"), std::string::npos);
  fs::remove(tree() / "kernel/all");
  folder_.write("home/x.c", "");
  fs::create_directory_symlink(folder_.path() / "home", tree() / "kernel/home");
  fs::create_directory_symlink(folder_.path() / "home", folder_.path() / "home/again");
  EXPECT_NE(message_of<Error>([&] { copy(); }).find("lies in itself"), std::string::npos);
}

}  // namespace
}  // namespace kpatch
