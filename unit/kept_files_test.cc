// What is kept is given back as it was, or not at all.
#include "support/kept-files.h"

#include <gtest/gtest.h>

#include <chrono>

#include "support/files.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

const std::string one(32, '1'), two(32, '2'), three(32, '3');

TEST(KeptFiles, WhatIsKeptIsGivenBack) {
  TemporaryFolder folder;
  const KeptFiles kept(folder.path() / "made" / "later");
  EXPECT_FALSE(kept.fetch(one, folder.path() / "out"));
  EXPECT_FALSE(fs::exists(folder.path() / "out"));
  kept.keep(one, folder.write("file", std::string("bytes\0of it", 11)));
  fs::remove(folder.path() / "file");
  ASSERT_TRUE(kept.fetch(one, folder.path() / "out"));
  EXPECT_EQ(read_file(folder.path() / "out"), std::string("bytes\0of it", 11));
  EXPECT_FALSE(kept.fetch(two, folder.path() / "other"));
  // An empty file is one, too.
  kept.keep(two, folder.write("empty", ""));
  EXPECT_TRUE(kept.fetch(two, folder.path() / "other"));
}

TEST(KeptFiles, WhoeverGetsOneMayChangeIt) {
  TemporaryFolder folder;
  const KeptFiles kept(folder.path() / "kept");
  kept.keep(one, folder.write("file", "before"));
  ASSERT_TRUE(kept.fetch(one, folder.path() / "out"));
  folder.write("out", "after!");
  folder.write("file", "after!");
  fs::remove(folder.path() / "out");
  ASSERT_TRUE(kept.fetch(one, folder.path() / "out"));
  EXPECT_EQ(read_file(folder.path() / "out"), "before");
}

TEST(KeptFiles, TornAndForeignOnesAreNone) {
  TemporaryFolder folder;
  const KeptFiles kept(folder.path() / "kept");
  kept.keep(one, folder.write("file", "whole"));
  folder.write("kept/" + one, "who");  // a full disk
  EXPECT_FALSE(kept.fetch(one, folder.path() / "out"));
  kept.keep(one, folder.write("file", "whole"));
  EXPECT_TRUE(kept.fetch(one, folder.path() / "out"));
  fs::remove(folder.path() / "kept" / (one + ".sum"));  // a kill before the end
  EXPECT_FALSE(kept.fetch(one, folder.path() / "second"));
  folder.write("kept/" + two, "");
  folder.write("kept/" + two + ".sum", "");
  EXPECT_FALSE(kept.fetch(two, folder.path() / "third"));
}

TEST(KeptFiles, WhatCanNotBeWrittenIsLeftOut) {
  TemporaryFolder folder;
  const KeptFiles kept(folder.write("a file, no folder", ""));
  EXPECT_NO_THROW(kept.keep(one, folder.write("file", "x")));
  EXPECT_NO_THROW(kept.keep(two, folder.path() / "missing"));
  EXPECT_FALSE(kept.fetch(one, folder.path() / "out"));
}

TEST(KeptFiles, BeyondTheLimitTheOldestUseGoesFirst) {
  TemporaryFolder folder;
  const KeptFiles kept(folder.path() / "kept", 20);
  const auto used = [&](const std::string& key, int hours_ago) {
    fs::last_write_time(folder.path() / "kept" / (key + ".sum"),
                        fs::file_time_type::clock::now() - std::chrono::hours(hours_ago));
  };
  const fs::path ten = folder.write("file", "0123456789");
  kept.keep(one, ten);
  kept.keep(two, ten);
  used(one, 3);
  used(two, 2);
  ASSERT_TRUE(kept.fetch(one, folder.path() / "out"));  // now two is the oldest
  kept.keep(three, ten);
  EXPECT_TRUE(kept.fetch(one, folder.path() / "out1"));
  EXPECT_FALSE(kept.fetch(two, folder.path() / "out2"));
  EXPECT_TRUE(kept.fetch(three, folder.path() / "out3"));
}

}  // namespace
}  // namespace kpatch
