// The cache: keys, entries that are whole or not there, runs that are killed, runs that meet.
#include "kernel/cache.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <fstream>

#include "support/digest.h"
#include "support/error.h"
#include "support/files.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

TEST(CacheKey, FieldsCannotRunIntoEachOther) {
  CacheKey a, b, c;
  a.add("x", "1").add("y", "2");
  b.add("x", "1\ny: 2");
  c.add("x", "1\\ny: 2");
  EXPECT_NE(a.digest(), b.digest());
  EXPECT_NE(b.digest(), c.digest());
  EXPECT_EQ(a.digest().size(), 32U);
  EXPECT_EQ(a.text(), "x: 1\ny: 2\n");
  EXPECT_EQ(CacheKey::field(b.text(), "x"), "1\ny: 2");
  EXPECT_EQ(CacheKey::field(c.text(), "x"), "1\\ny: 2");
  EXPECT_EQ(CacheKey::field(a.text(), "z"), std::nullopt);
  EXPECT_EQ(CacheKey::field(a.text(), "y"), "2");
}

CacheKey key_of(const char* what) { return CacheKey().add("what", what); }

TEST(Cache, MakesAnEntryOnce) {
  TemporaryFolder folder;
  Console console(0);
  Cache cache(folder.path() / "c", console);
  unsigned made = 0;
  auto fill = [&](const fs::path& directory) {
    made++;
    EXPECT_FALSE(cache.find("base", key_of("a")));
    std::ofstream(directory / "file") << "content";
  };
  fs::path first = cache.entry("base", key_of("a"), "a", fill);
  EXPECT_EQ(cache.entry("base", key_of("a"), "a", fill), first);
  EXPECT_EQ(made, 1U);
  EXPECT_EQ(read_file(first / "file"), "content");
  EXPECT_EQ(read_file(first / "key.txt"), "what: a\n");
  EXPECT_EQ(cache.find("base", key_of("a")), first);
  EXPECT_EQ(cache.entries("base").size(), 1U);
  EXPECT_EQ(cache.entries("other").size(), 0U);
}

TEST(Cache, TellsWhyAnEntryIsMissing) {
  TemporaryFolder folder;
  Console console(0);
  Cache cache(folder.path() / "c", console);
  using Names = std::vector<std::string>;
  const auto key = [](const char* config, const char* compiler) {
    return CacheKey().add("base", "1").add("config", config).add("compiler", compiler);
  };
  EXPECT_EQ(cache.why_missing("base", key("a", "12")), Names{});
  cache.entry("base", key("a", "12"), "it", [](const fs::path&) {});
  EXPECT_EQ(cache.why_missing("base", key("a", "12")), Names{});
  EXPECT_EQ(cache.why_missing("base", key("b", "12")), Names{"config"});
  EXPECT_EQ(cache.why_missing("base", key("b", "13")), (Names{"config", "compiler"}));
  EXPECT_EQ(cache.why_missing("full", key("b", "13")), Names{});
  cache.entry("base", key("b", "14"), "it", [](const fs::path&) {});
  EXPECT_EQ(cache.why_missing("base", key("b", "13")), Names{"compiler"});  // the nearest counts
  EXPECT_EQ(cache.why_missing("base", CacheKey().add("base", "1").add("config", "b")), Names{"compiler"});
}

// Whoever else works in the cache: it may be a person with rm.
TEST(Cache, AnEntryThatGoesRightAfterItWasMadeIsAnError) {
  TemporaryFolder folder;
  Console console(0);
  Cache cache(folder.path() / "c", console);
  std::optional<FileLock> theirs;
  const std::string message = message_of<Error>([&] {
    cache.entry("base", key_of("a"), "a",
                [&](const fs::path& directory) { theirs = FileLock::try_lock(directory.string() + ".users.lock"); });
  });
  EXPECT_NE(message.find(" is gone, or locked, right after it was made; what else works in the cache "),
            std::string::npos)
      << message;
}

TEST(Cache, AFailedEntryLeavesNothing) {
  TemporaryFolder folder;
  Console console(0);
  Cache cache(folder.path() / "c", console);
  std::string message = message_of<Error>([&] {
    cache.entry("base", key_of("a"), "a", [](const fs::path& directory) {
      std::ofstream(directory / "half") << "x";
      throw Error("broken");
    });
  });
  EXPECT_EQ(message, "broken");
  EXPECT_FALSE(fs::exists(folder.path() / "c/base" / key_of("a").digest()));
}

TEST(Cache, AFullDiskIsSaid) {
  TemporaryFolder folder;
  Console console(0);
  Cache cache(folder.path() / "c", console);
  std::string message = message_of<Error>([&] {
    cache.entry("base", key_of("a"), "the base of R",
                [](const fs::path&) { throw Error("cc1: No space left on device"); });
  });
  EXPECT_EQ(message.find("the disk is full"), 0U) << message;
  EXPECT_NE(message.find("the base of R"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder.path() / "c/base" / key_of("a").digest()));
}

// Forks a child that begins an entry and hangs in it; returns when it has begun.
pid_t hang_in_entry(const fs::path& root, bool complete_on_signal) {
  int ready[2];
  if (pipe(ready) != 0) return -1;
  pid_t child = fork();
  if (child == 0) {
    Console console(0);
    Cache cache(root, console);
    ScratchDirectory scratch = cache.scratch();
    cache.entry("base", key_of("a"), "a", [&](const fs::path& directory) {
      std::ofstream(directory / "half") << "from the child";
      if (write(ready[1], "!", 1) != 1) _exit(2);
      if (complete_on_signal)
        usleep(700'000);
      else
        pause();
    });
    _exit(0);
  }
  char byte;
  if (read(ready[0], &byte, 1) != 1) return -1;
  close(ready[0]), close(ready[1]);
  return child;
}

TEST(Cache, WhatAKilledRunLeftGoesAtTheNextStart) {
  TemporaryFolder folder;
  fs::path root = folder.path() / "c";
  pid_t child = hang_in_entry(root, false);
  ASSERT_GT(child, 0);
  Console console(0);
  fs::path half = root / "base" / key_of("a").digest() / "half";
  {
    Cache beside(root, console);  // it lives: nothing of it is touched
    EXPECT_TRUE(fs::exists(half));
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(fs::exists(half));
  Cache after(root, console);
  EXPECT_FALSE(fs::exists(half));
  EXPECT_TRUE(fs::is_empty(root / "scratch"));
  unsigned made = 0;
  after.entry("base", key_of("a"), "a", [&](const fs::path&) { made++; });
  EXPECT_EQ(made, 1U);
}

TEST(Cache, WhatWasStillHeldAtTheStartGoesAtTheEnd) {
  TemporaryFolder folder;
  fs::path root = folder.path() / "c";
  pid_t child = hang_in_entry(root, false);
  ASSERT_GT(child, 0);
  Console console(0);
  Cache cache(root, console);
  const ScratchDirectory own = cache.scratch();
  cache.tidy();
  EXPECT_TRUE(fs::exists(root / "base" / key_of("a").digest() / "half"));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  cache.tidy();
  EXPECT_FALSE(fs::exists(root / "base" / key_of("a").digest()));
  EXPECT_EQ(entries_of(root / "scratch").size(), 2U);  // our own, and its lock
}

TEST(Cache, ASecondRunWaitsAndShares) {
  TemporaryFolder folder;
  fs::path root = folder.path() / "c";
  pid_t child = hang_in_entry(root, true);
  ASSERT_GT(child, 0);
  Console console(0);
  Cache cache(root, console);
  testing::internal::CaptureStdout();
  fs::path entry = cache.entry("base", key_of("a"), "the base", [](const fs::path&) { FAIL() << "made twice"; });
  std::string said = testing::internal::GetCapturedStdout();
  EXPECT_NE(said.find("waiting for another run that makes the base"), std::string::npos) << said;
  EXPECT_EQ(read_file(entry / "half"), "from the child");
  waitpid(child, nullptr, 0);
}

TEST(Cache, ScratchGoesByItself) {
  TemporaryFolder folder;
  Console console(0);
  Cache cache(folder.path() / "c", console);
  fs::path path;
  {
    ScratchDirectory one = cache.scratch(), two = cache.scratch();
    path = one.path();
    EXPECT_NE(one.path(), two.path());
    std::ofstream(path / "x") << "y";
    ScratchDirectory moved = std::move(one);
    EXPECT_TRUE(fs::exists(path));
  }
  EXPECT_FALSE(fs::exists(path));
  // A run alone has the same command lines each time.
  const ScratchDirectory again = cache.scratch();
  EXPECT_EQ(again.path(), path);
}

TEST(Cache, RefusesPathsThatKbuildCannotHandle) {
  TemporaryFolder folder;
  Console console(0);
  for (const char* name : {"with space", "with:colon", "with$dollar"}) {
    std::string message = message_of<Error>([&] { Cache cache(folder.path() / name, console); });
    EXPECT_NE(message.find(name), std::string::npos) << name;
    EXPECT_NE(message.find("KPATCH_CACHE"), std::string::npos);
    EXPECT_FALSE(fs::exists(folder.path() / name));
  }
  folder.write("file", "");
  EXPECT_THROW(Cache(folder.path() / "file" / "c", console), Error);
}

TEST(Cache, RemembersDigestsByStat) {
  TemporaryFolder folder;
  Console console(0);
  Cache cache(folder.path() / "c", console);
  fs::path file = folder.write("f", "one");
  std::string first = cache.file_digest(file);
  EXPECT_EQ(first, digest_of("one"));
  EXPECT_EQ(cache.file_digest(file), first);
  folder.write("f", "two");
  EXPECT_EQ(cache.file_digest(file), digest_of("two"));
  EXPECT_THROW(cache.file_digest(folder.path() / "none"), Error);
}

TEST(Cache, RootFollowsTheEnvironment) {
  setenv("KPATCH_CACHE", "/some/where", 1);
  EXPECT_EQ(Cache::default_root(), "/some/where");
  unsetenv("KPATCH_CACHE");
  setenv("XDG_CACHE_HOME", "/xdg", 1);
  EXPECT_EQ(Cache::default_root(), "/xdg/kpatch");
  unsetenv("XDG_CACHE_HOME");
}

}  // namespace
}  // namespace kpatch
