// Files and folders: whole or not at all, both ways.
#include "support/files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stdexcept>

#include "support/error.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> names_of(const std::vector<fs::directory_entry>& entries) {
  std::vector<std::string> names;
  for (const auto& entry : entries) names.push_back(entry.path().filename());
  return names;
}

TEST(AtomicFile, TheOldFileStaysUntilTheNewOneIsWhole) {
  TemporaryFolder folder;
  const fs::path file = folder.write("file", "old");
  {
    AtomicFile fresh(file);
    fresh.write("ne");
    EXPECT_EQ(read_file(file), "old");
    fresh.write("w");
    fresh.commit();
  }
  EXPECT_EQ(read_file(file), "new");
  EXPECT_EQ(names_of(entries_of(folder.path())), std::vector<std::string>{"file"});
}

TEST(AtomicFile, WhatWasNotCommittedLeavesNothing) {
  TemporaryFolder folder;
  const fs::path file = folder.write("file", "old");
  try {
    AtomicFile fresh(file);
    fresh.write("half");
    throw std::runtime_error("the disk is full");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(read_file(file), "old");
  EXPECT_EQ(names_of(entries_of(folder.path())), std::vector<std::string>{"file"});
}

// Process ids are no help: two containers that share the folder hand out the same ones.
TEST(AtomicFile, WritersOfOneFileDontMeet) {
  TemporaryFolder folder;
  const fs::path file = folder.path() / "file";
  AtomicFile a(file), b(file);
  EXPECT_EQ(entries_of(folder.path()).size(), 2U);
  a.write("aaaa");
  b.write("b");
  b.commit();
  EXPECT_EQ(read_file(file), "b");
  a.commit();
  EXPECT_EQ(read_file(file), "aaaa");
}

TEST(AtomicFile, TheLongestNameFits) {
  TemporaryFolder folder;
  const fs::path file = folder.path() / std::string(255, 'x');
  write_file(file, "text");
  EXPECT_EQ(read_file(file), "text");
}

TEST(AtomicFile, ReplacesALinkAndNotWhatItLeadsTo) {
  TemporaryFolder folder;
  const fs::path original = folder.write("original", "theirs");
  fs::create_symlink(original, folder.path() / "link");
  write_file(folder.path() / "link", "ours");
  EXPECT_EQ(read_file(original), "theirs");
  EXPECT_EQ(read_file(folder.path() / "link"), "ours");
}

TEST(AtomicFile, HasTheModeOfAnyNewFile) {
  TemporaryFolder folder;
  const mode_t before = umask(027);
  write_file(folder.path() / "file", "");
  umask(before);
  EXPECT_EQ(fs::status(folder.path() / "file").permissions(), fs::perms(0640));
}

// A rename would put a file in the place of the device.
TEST(AtomicFile, ADeviceIsWrittenToWhereItIs) {
  TemporaryFolder folder;
  const fs::path pipe = folder.path() / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const int reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  write_file(pipe, "text");
  char text[8] = "";
  EXPECT_EQ(read(reader, text, sizeof text), 4);
  close(reader);
  EXPECT_EQ(std::string(text), "text");
  EXPECT_TRUE(fs::is_fifo(pipe));
}

TEST(AtomicFile, ErrorsNameTheTarget) {
  TemporaryFolder folder;
  const fs::path missing = folder.path() / "no/such/folder/file";
  EXPECT_EQ(message_of<Error>([&] { write_file(missing, ""); }),
            "can't write " + missing.string() + ": No such file or directory");
  fs::create_directories(folder.path() / "taken/below");
  const fs::path taken = folder.path() / "taken";
  EXPECT_EQ(message_of<Error>([&] { write_file(taken, ""); }), "can't write " + taken.string() + ": Is a directory");
  EXPECT_EQ(names_of(entries_of(folder.path())), std::vector<std::string>{"taken"});
}

TEST(Folders, EntriesAreSorted) {
  TemporaryFolder folder;
  for (const char* name : {"b", "a-b", "a", "c/below", ".hidden"}) folder.write(name, "");
  EXPECT_EQ(names_of(entries_of(folder.path())), (std::vector<std::string>{".hidden", "a", "a-b", "b", "c"}));
}

TEST(Folders, OnlyAMissingOneMayBeEmpty) {
  TemporaryFolder folder;
  const fs::path missing = folder.path() / "missing", file = folder.write("file", ""), loop = folder.path() / "loop";
  fs::create_symlink("loop", loop);
  for (const fs::path& path : {missing, file, loop})
    EXPECT_NE(message_of<Error>([&] { entries_of(path); }).find("can't read the folder " + path.string()),
              std::string::npos);
  EXPECT_TRUE(entries_if_any(missing).empty());
  EXPECT_TRUE(entries_if_any(file / "below").empty());
  EXPECT_NE(message_of<Error>([&] { entries_if_any(loop); }), "");
}

TEST(Folders, AWalkSeesAllInOrderAndKeepsOutWhereItIsTold) {
  TemporaryFolder folder;
  for (const char* name : {"b/file", "a/file", "skipped/file", "z"}) folder.write(name, "");
  fs::create_directory_symlink("a", folder.path() / "link");
  fs::create_symlink("loop", folder.path() / "loop");
  std::vector<std::string> seen;
  walk(folder.path(), [&](const fs::directory_entry& entry) {
    seen.push_back(entry.path().lexically_relative(folder.path()).string());
    return entry.path().filename() != "skipped";
  });
  EXPECT_EQ(seen, (std::vector<std::string>{"a", "a/file", "b", "b/file", "link", "loop", "skipped", "z"}));
}

// A folder that goes away under the walk stands for every error in its midst: root may read what it likes.
TEST(Folders, AWalkThatCantSeeAllFails) {
  TemporaryFolder folder;
  folder.write("a/file", "");
  const std::string message = message_of<Error>([&] {
    walk(folder.path(), [](const fs::directory_entry& entry) {
      if (entry.is_directory()) fs::remove_all(entry.path());
      return true;
    });
  });
  EXPECT_NE(message.find("can't read the folder " + (folder.path() / "a").string()), std::string::npos);
}

TEST(Folders, RemovedAlsoWhereTheOwnerMayNotWrite) {
  TemporaryFolder folder;
  folder.write("tree/a/b/file", "");
  for (const char* closed : {"tree/a/b", "tree/a", "tree"}) fs::permissions(folder.path() / closed, fs::perms(0500));
  remove_tree(folder.path() / "tree");
  EXPECT_TRUE(entries_of(folder.path()).empty());
  remove_tree(folder.path() / "missing");
}

}  // namespace
}  // namespace kpatch
