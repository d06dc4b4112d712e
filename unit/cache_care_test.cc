// What a cache may touch, who uses it, and how it gets smaller.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "kernel/cache-root.h"
#include "kernel/cache.h"
#include "support/error.h"
#include "support/files.h"
#include "support/lock.h"
#include "unit/skip.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

CacheKey key_of(std::string_view what) { return CacheKey().add("release", what); }

// Names and contents of everything below a folder.
std::string listing(const fs::path& top) {
  std::string text;
  walk(top, [&](const fs::directory_entry& entry) {
    text += entry.path().string() + "\n";
    if (entry.is_regular_file()) text += read_file(entry.path()) + "\n";
    return true;
  });
  return text;
}

TEST(CacheRoot, AFolderOfOtherThingsIsLeftAlone) {
  Console console(0);
  const char* const foreign[] = {
      ".bashrc",                                             // a home folder
      "projects/kernel/notes.txt",                           // second-level folders without `complete`
      "base/notes/complete",                                 // a known name, with something else in it
      "logs/mail.log",                                       //
      "scratch/2026/letter",                                 //
      "source/0123456789abcdef0123456789abcdef/../my/tree",  //
      "digests/tree-of-life",                                //
      "base",                                                // no folder
  };
  for (const char* name : foreign) {
    TemporaryFolder folder;
    fs::create_directories((folder.path() / name).parent_path());
    folder.write(name, "mine");
    const std::string before = listing(folder.path());
    const std::string message = message_of<Error>([&] { Cache cache(folder.path(), console); });
    EXPECT_NE(message.find("is no cache of kpatch-build: it holds '"), std::string::npos) << name << ": " << message;
    EXPECT_NE(message.find("KPATCH_CACHE"), std::string::npos) << message;
    EXPECT_EQ(listing(folder.path()), before) << name;
  }
}

TEST(CacheRoot, ACacheFromBeforeTheMarkIsTaken) {
  TemporaryFolder folder;
  Console console(0);
  const std::string digest(32, 'a'), torn(32, 'b');
  folder.write("base/" + digest + "/complete", "");
  folder.write("base/" + digest + "/key.txt", "base: stock 1\n");
  folder.write("base/" + digest + ".lock", "");
  folder.write("base/" + torn + "/half", "");
  folder.write("full/" + digest + ".use.lock", "");
  folder.write("digests/tree-" + digest, "");
  folder.write("logs/2026-11-26-075750-25771.log", "");
  folder.write("scratch/123-0/x", "");
  folder.write("scratch/123-0.lock", "");
  folder.write("lost+found/x", "fsck");
  {
    Cache cache(folder.path(), console);
    EXPECT_EQ(cache.entries("base").size(), 1U);
  }
  EXPECT_TRUE(fs::exists(folder.path() / "kpatch-cache"));
  EXPECT_TRUE(read_file(folder.path() / "CACHEDIR.TAG").starts_with("Signature: 8a477f597d28d172789f06886806bc55"));
  EXPECT_FALSE(fs::exists(folder.path() / "base" / torn));
  EXPECT_FALSE(fs::exists(folder.path() / "scratch/123-0"));
  EXPECT_FALSE(fs::exists(folder.path() / "scratch/123-0.lock"));
  EXPECT_TRUE(fs::exists(folder.path() / "lost+found/x"));
}

TEST(CacheRoot, OnlyOurOwnNamesAreRemoved) {
  TemporaryFolder folder;
  Console console(0);
  { Cache cache(folder.path() / "c", console); }
  folder.write("c/base/my notes/x", "mine");
  folder.write("c/scratch/letters/x", "mine");
  folder.write("c/other/thing/x", "mine");
  folder.write("elsewhere/x", "mine");
  fs::create_directory_symlink(folder.path() / "elsewhere", folder.path() / "c/base" / std::string(32, 'c'));
  const std::string before = listing(folder.path());
  Cache cache(folder.path() / "c", console);
  EXPECT_EQ(listing(folder.path()), before);
  cache.drop();
  EXPECT_EQ(listing(folder.path()), before);
}

TEST(CacheRoot, RefusesPathsThatAShellWouldRead) {
  TemporaryFolder folder;
  Console console(0);
  for (const char c : std::string_view(" \t\n:'\"$#%\\&;()<>*?|`[]{}~!=,^")) {
    const std::string name = std::string("a") + c + "b";
    const std::string message = message_of<Error>([&] { Cache cache(folder.path() / name, console); });
    EXPECT_NE(message.find("can't lie in"), std::string::npos) << c;
    EXPECT_FALSE(fs::exists(folder.path() / name)) << c;
  }
  const fs::path plain = folder.path() / "a-b_c.d+e@f";
  const fs::path root = Cache(plain, console).root();
  EXPECT_EQ(root, fs::canonical(plain));
}

TEST(CacheRoot, ThePathBehindALinkCounts) {
  TemporaryFolder folder;
  Console console(0);
  fs::create_directory(folder.path() / "a;b");
  fs::create_directory_symlink(folder.path() / "a;b", folder.path() / "plain");
  const std::string message = message_of<Error>([&] { Cache cache(folder.path() / "plain/c", console); });
  EXPECT_NE(message.find("';'"), std::string::npos) << message;
  EXPECT_TRUE(fs::is_empty(folder.path() / "a;b"));
}

TEST(CacheRoot, AVeryLongPathIsRefused) {
  TemporaryFolder folder;
  Console console(0);
  fs::path deep = folder.path();
  for (unsigned i = 0; i < 10; ++i) deep /= std::string(150, 'x');
  EXPECT_NE(message_of<Error>([&] { Cache cache(deep, console); }).find("characters"), std::string::npos);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(CacheRoot, WhatOthersMayWriteIsNotUsed) {
  TemporaryFolder folder;
  Console console(0);
  fs::create_directory(folder.path() / "open");
  fs::permissions(folder.path() / "open", fs::perms::all);
  EXPECT_NE(message_of<Error>([&] { Cache cache(folder.path() / "open", console); }).find("by everybody"),
            std::string::npos);
  if (geteuid() != 0) SKIP_MACHINE("only root can give files to another user");
  fs::create_directory(folder.path() / "theirs");
  ASSERT_EQ(chown((folder.path() / "theirs").c_str(), 12345, 12345), 0);
  EXPECT_NE(message_of<Error>([&] { Cache cache(folder.path() / "theirs", console); }).find("number 12345"),
            std::string::npos);
  fs::path entry;
  {
    Cache cache(folder.path() / "c", console);
    entry = cache.entry("base", key_of("a"), "a", [](const fs::path&) {});
  }
  ASSERT_EQ(chown(entry.c_str(), 12345, 12345), 0);
  Cache cache(folder.path() / "c", console);
  EXPECT_NE(message_of<Error>([&] { cache.find("base", key_of("a")); }).find("another user"), std::string::npos);
  EXPECT_NE(message_of<Error>([&] { cache.entry("base", key_of("a"), "a", {}); }).find("another user"),
            std::string::npos);
}

TEST(CacheRoot, NoEntryNorFolderThatOthersMayWriteIsUsed) {
  TemporaryFolder folder;
  Console console(0);
  const fs::path root = folder.path() / "c";
  const auto problem = [&] {
    return message_of<Error>([&] {
      Cache cache(root, console);
      cache.entry("base", key_of("a"), "a", [](const fs::path&) {});
    });
  };
  EXPECT_EQ(problem(), "");
  std::vector<fs::path> watched = {root};
  for (const auto& entry : fs::recursive_directory_iterator(root))
    if (entry.is_directory()) watched.push_back(entry.path());
  ASSERT_EQ(watched.size(), 3U);  // base/, and the entry
  for (const fs::path& path : watched) {
    fs::permissions(path, fs::perms::others_write, fs::perm_options::add);
    EXPECT_EQ(problem().find(path.string() + " may be written by everybody, and what is in a cache runs as whoever"),
              0U)
        << problem();
    fs::permissions(path, fs::perms::others_write, fs::perm_options::remove);
    fs::permissions(path, fs::perms::group_write, fs::perm_options::add);  // a group of one's own
    EXPECT_EQ(problem(), "");
  }
  if (geteuid() != 0) SKIP_MACHINE("only root can give files to another group");
  for (const fs::path& path : watched) {
    ASSERT_EQ(chown(path.c_str(), 0, 12345), 0);
    EXPECT_EQ(problem().find(path.string() + " may be written by the members of a group (number 12345)"), 0U)
        << problem();
    ASSERT_EQ(chown(path.c_str(), 12345, 0), 0);
    EXPECT_EQ(problem().find(path.string() + " belongs to another user (number 12345)"), 0U) << problem();
    ASSERT_EQ(chown(path.c_str(), 0, 0), 0);
  }
  EXPECT_EQ(problem(), "");
}

// Only a file says that an entry is whole, as only the cache writes it.
TEST(CacheRoot, AFolderOfThatNameMakesNoEntryWhole) {
  TemporaryFolder folder;
  Console console(0);
  Cache cache(folder.path() / "c", console);
  fs::create_directories(cache.root() / "base" / key_of("a").digest() / "complete");
  EXPECT_FALSE(cache.find("base", key_of("a")));
}

TEST(Lock, IsOfTheFileThatGoesByItsName) {
  TemporaryFolder folder;
  const fs::path path = folder.path() / "lock";
  auto first = FileLock::try_lock(path);
  ASSERT_TRUE(first);
  fs::remove(path);  // as who holds it may
  auto second = FileLock::try_lock(path);
  EXPECT_TRUE(second);
  EXPECT_FALSE(FileLock::try_lock(path));
  first.reset();
  EXPECT_FALSE(FileLock::try_lock(path));
  second.reset();
  EXPECT_TRUE(FileLock::try_lock(path));
}

TEST(Lock, IsSharedOrExclusive) {
  TemporaryFolder folder;
  const fs::path path = folder.path() / "lock";
  auto one = FileLock::try_share(path), two = FileLock::try_share(path);
  EXPECT_TRUE(one && two);
  EXPECT_FALSE(FileLock::try_lock(path));
  one.reset();
  EXPECT_FALSE(FileLock::try_lock(path));
  two.reset();
  auto alone = FileLock::try_lock(path);
  EXPECT_TRUE(alone);
  EXPECT_FALSE(FileLock::try_share(path));
}

// Takes and unlinks a lock in turns with others; the counter in a file tells whether two had it at once.
TEST(Lock, SurvivesBeingUnlinkedByManyProcesses) {
  TemporaryFolder folder;
  const fs::path path = folder.path() / "lock", counter = folder.write("counter", "0");
  constexpr int processes = 4, turns = 50;
  for (int i = 0; i < processes; ++i) {
    if (fork() != 0) continue;
    for (int turn = 0; turn < turns;) {
      auto lock = FileLock::try_lock(path);
      if (!lock) {
        usleep(100);
        continue;
      }
      const int value = std::stoi(read_file(counter));
      std::ofstream(counter) << value + 1;
      unlink(path.c_str());
      ++turn;
    }
    _exit(0);
  }
  for (int i = 0; i < processes; ++i) wait(nullptr);
  EXPECT_EQ(read_file(counter), std::to_string(processes * turns));
}

class CacheCare : public testing::Test {
 protected:
  CacheCare() : console_(0) {}
  fs::path root() const { return folder_.path() / "c"; }
  // Made, and let go of; used that many hours ago.
  fs::path make(const std::string& name, unsigned hours_ago, size_t kilobytes = 4) {
    fs::path directory;
    {
      Cache cache(root(), console_);
      directory = cache.entry("base", key_of(name), name, [&](const fs::path& made) {
        std::ofstream(made / "data") << std::string(kilobytes << 10, 'x');
      });
    }
    const timespec then{time(nullptr) - time_t(hours_ago) * 3600, 0};
    const timespec times[2] = {then, then};
    for (const char* end : {".lock", ".users.lock", "/complete"})
      utimensat(AT_FDCWD, (directory.string() + end).c_str(), times, 0);
    return directory;
  }

  TemporaryFolder folder_;
  Console console_;
};

TEST_F(CacheCare, PrunesByAge) {
  const fs::path old = make("old", 100), young = make("young", 2);
  Cache cache(root(), console_);
  const auto pruned = cache.prune({.age = std::chrono::hours(48)});
  EXPECT_EQ(pruned.removed, 1U);
  EXPECT_GT(pruned.size, 4096U);
  EXPECT_FALSE(fs::exists(old));
  EXPECT_FALSE(fs::exists(old.string() + ".lock"));
  EXPECT_FALSE(fs::exists(old.string() + ".users.lock"));
  EXPECT_TRUE(fs::exists(young));
}

TEST_F(CacheCare, UsingAnEntryMakesItYoung) {
  const fs::path old = make("old", 100);
  {
    Cache cache(root(), console_);
    EXPECT_TRUE(cache.find("base", key_of("old")));
  }
  Cache cache(root(), console_);
  EXPECT_EQ(cache.prune({.age = std::chrono::hours(48)}).removed, 0U);
  EXPECT_TRUE(fs::exists(old));
}

TEST_F(CacheCare, PrunesBySizeWhatWasUsedLongestAgo) {
  const fs::path oldest = make("oldest", 30, 1000), middle = make("middle", 20, 1000),
                 newest = make("newest", 10, 1000);
  Cache cache(root(), console_);
  EXPECT_EQ(cache.prune({.size = cache.size()}).removed, 0U);
  EXPECT_EQ(cache.prune({.size = cache.size() - 1000}).removed, 1U);
  EXPECT_FALSE(fs::exists(oldest));
  EXPECT_TRUE(fs::exists(middle) && fs::exists(newest));
  EXPECT_EQ(cache.prune({.size = 1}).removed, 2U);
  EXPECT_TRUE(cache.items().empty());
}

TEST_F(CacheCare, ListsWhatThereIs) {
  make("6.1-a", 30), make("6.12-b", 10);
  Cache cache(root(), console_);
  const auto used = cache.find("base", key_of("6.1-a"));  // now the youngest
  const std::vector<Cache::Item> items = cache.items();
  ASSERT_EQ(items.size(), 2U);
  EXPECT_EQ(items[0].what, "release 6.1-a");
  EXPECT_TRUE(items[0].held);
  EXPECT_EQ(items[1].what, "release 6.12-b");
  EXPECT_FALSE(items[1].held);
  EXPECT_GT(items[1].size, 4096U);
}

// A build in progress never loses its base.
TEST_F(CacheCare, WhatARunUsesStays) {
  const fs::path base = make("a", 100);
  int ready[2], end[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(end), 0);
  const pid_t child = fork();
  if (child == 0) {
    Cache cache(root(), console_);
    const bool found = cache.find("base", key_of("a")).has_value();
    const timespec long_ago[2] = {{0, 0}, {0, 0}};
    utimensat(AT_FDCWD, (base.string() + ".users.lock").c_str(), long_ago, 0);
    char byte = found ? 'y' : 'n';
    if (write(ready[1], &byte, 1) != 1 || read(end[0], &byte, 1) != 1) _exit(1);
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  Cache cache(root(), console_);
  Cache::Pruned pruned = cache.drop();
  EXPECT_EQ(pruned.removed, 0U);
  EXPECT_EQ(pruned.held, 1U);
  EXPECT_TRUE(fs::exists(base / "complete"));
  ASSERT_EQ(write(end[1], "!", 1), 1);
  waitpid(child, nullptr, 0);
  EXPECT_EQ(cache.drop().removed, 1U);
  EXPECT_FALSE(fs::exists(base));
}

// Two processes want the same cold base: one makes it, both have it. The first one is done when the second has said that
// it waits, or has ended.
TEST_F(CacheCare, TwoProcessesOnOneColdBase) {
  { Cache cache(root(), console_); }
  int begun[2], said[2];
  ASSERT_EQ(pipe(begun), 0);
  ASSERT_EQ(pipe(said), 0);
  const auto want = [&](const auto& while_it_is_made) {
    Cache cache(root(), console_);
    const fs::path base = cache.entry("base", key_of("a"), "a", [&](const fs::path& made) {
      std::ofstream(folder_.path() / "made", std::ios::app) << "x";
      while_it_is_made();
      std::ofstream(made / "data") << "whole";
    });
    _exit(read_file(base / "data") == "whole" ? 0 : 1);
  };
  char byte = 0;
  if (fork() == 0) {
    close(said[1]);
    want([&] {
      if (write(begun[1], "!", 1) != 1 || read(said[0], &byte, 1) < 0) _exit(1);
    });
  }
  if (fork() == 0) {
    if (read(begun[0], &byte, 1) != 1) _exit(1);
    dup2(said[1], STDOUT_FILENO);
    close(said[1]);
    want([] {});
  }
  close(said[0]), close(said[1]);
  for (int i = 0; i < 2; ++i) {
    int status = 1;
    wait(&status);
    EXPECT_EQ(status, 0);
  }
  close(begun[0]), close(begun[1]);
  EXPECT_EQ(read_file(folder_.path() / "made"), "x");
}

TEST(CacheLimits, AreReadWithTheirUnits) {
  EXPECT_EQ(parse_age("90s", "x"), std::chrono::seconds(90));
  EXPECT_EQ(parse_age("12h", "x"), std::chrono::hours(12));
  EXPECT_EQ(parse_age("2w", "x"), std::chrono::hours(24 * 14));
  EXPECT_EQ(parse_age("0", "x"), std::chrono::seconds(0));
  EXPECT_EQ(parse_size("500M", "x"), uint64_t{500} << 20);
  EXPECT_EQ(parse_size("20G", "x"), uint64_t{20} << 30);
  for (const char* bad : {"", "d", "30", "30x", "-1d", "1dd", "99999999999999999999d"}) {
    EXPECT_NE(message_of<Error>([&] { parse_age(bad, "--cache-max-age"); }).find("--cache-max-age"), std::string::npos)
        << bad;
    EXPECT_THROW(parse_size(bad, "x"), Error) << bad;
  }
}

}  // namespace
}  // namespace kpatch
