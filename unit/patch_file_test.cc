// Reading and applying patches: the forms that people send, and what each refusal says.
#include "patch/read.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <map>

#include "patch/apply.h"
#include "support/error.h"
#include "support/executor.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

constexpr const char* plain =
    "--- a/fs/a.c\t2026-11-21 02:10:56.136872369 +0000\n"
    "+++ b/fs/a.c\t2026-11-21 02:10:56.149394853 +0000\n"
    "@@ -1,3 +1,4 @@\n"
    " \tone\n"
    "+\tnew\n"
    " \ttwo\n"
    " \tthree\n";

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

class Tree : public testing::Test {
 protected:
  Tree() : root_(fs::path(testing::TempDir()) / ("patch-test-" + std::to_string(getpid()))) {
    fs::remove_all(root_);
    write("source/fs/a.c", "\tone\n\ttwo\n\tthree\n\tfour\n\tfive\n");
    write("source/fs/b.c", "b\n");
  }
  ~Tree() override { fs::remove_all(root_); }

  fs::path write(const std::string& name, std::string_view text) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name, std::ios::binary) << text;
    return root_ / name;
  }

  AppliedPatches apply(const std::vector<std::string>& texts, bool ignore_whitespace = false) {
    std::vector<fs::path> patches;
    for (const std::string& text : texts) patches.push_back(write(std::to_string(patches.size()) + ".patch", text));
    fs::remove_all(root_ / "out");
    Executor executor(root_ / "log");
    return apply_patches(patches, root_ / "source", root_ / "out", ignore_whitespace, executor);
  }

  std::string result(const std::string& path) {
    std::ifstream in(root_ / "out" / path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  fs::path root_;
};

TEST(PatchFile, ReadsPlainDiffs) {
  const PatchFile patch = parse_patch("fix.patch", plain);
  ASSERT_EQ(patch.files.size(), 1U);
  EXPECT_EQ(patch.files[0].new_path, "b/fs/a.c");
  ASSERT_EQ(patch.files[0].hunks.size(), 1U);
  EXPECT_EQ(patch.files[0].hunks[0].line, 3U);
  EXPECT_EQ(patch.files[0].hunks[0].old_side().size(), 3U);
  EXPECT_EQ(patch.files[0].hunks[0].new_side()[1], "\tnew");
}

TEST(PatchFile, ReadsGitHeaders) {
  const PatchFile patch = parse_patch("fix.patch",
                                      "From 123 Mon Sep 17\nSubject: [PATCH] x\n\n---\n a | 2 +-\n\n"
                                      "diff --git a/x.c b/y.c\nsimilarity index 100%\nrename from x.c\nrename to y.c\n"
                                      "diff --git a/new.c b/new.c\nnew file mode 100644\nindex 0..1\n"
                                      "--- /dev/null\n+++ b/new.c\n@@ -0,0 +1 @@\n+int x;\n-- \n2.39.2\n");
  ASSERT_EQ(patch.files.size(), 2U);
  EXPECT_EQ(patch.files[0].change, FileChange::rename);
  EXPECT_EQ(patch.files[0].old_path, "a/x.c");
  EXPECT_EQ(patch.files[1].change, FileChange::create);
  EXPECT_EQ(patch.files[1].hunks.size(), 1U);
}

TEST(PatchFile, MendsLineEndsAndIndentation) {
  std::string crlf;
  std::string indented;
  for (const char* c = plain; *c; ++c) crlf += *c == '\n' ? std::string("\r\n") : std::string(1, *c);
  for (size_t at = 0; at < std::string_view(plain).size();) {
    const size_t end = std::string_view(plain).find('\n', at) + 1;
    indented += "    " + std::string(plain).substr(at, end - at);
    at = end;
  }
  for (const std::string& text : {crlf, indented}) {
    const PatchFile patch = parse_patch("fix.patch", text);
    ASSERT_EQ(patch.files.size(), 1U);
    EXPECT_EQ(patch.files[0].hunks[0].new_side()[1], "\tnew");
    EXPECT_EQ(patch.files[0].new_path, "b/fs/a.c");
    EXPECT_EQ(patch.notes.size(), 1U);
  }
}

TEST(PatchFile, TakesAnEmptyLineForEmptyContext) {
  const PatchFile patch = parse_patch("x", "--- a/x\n+++ b/x\n@@ -1,2 +1,3 @@\n a\n\n+b\n");
  EXPECT_EQ(patch.files[0].hunks[0].lines[1], " ");
}

TEST(PatchFile, ReadsTimeStampsWhoseTabBecameSpaces) {
  const PatchFile patch =
      parse_patch("x",
                  "--- a/x y.c  2026-11-21 02:10:56.1 +0000\n+++ b/x y.c  2026-11-21 02:10:56.1 +0000\n"
                  "@@ -1 +1 @@\n-a\n+b\n");
  EXPECT_EQ(patch.files[0].new_path, "b/x y.c");
}

TEST(PatchFile, Refuses) {
  const std::map<std::string, std::string> cases = {
      {"", "is empty"},
      {" \n\n", "is empty"},
      {"Dear list, the fix is attached.\n", "no unified diff"},
      {"--- a/x\n+++ b/x\n@@ -1,3 +1,4 @@\n a\n", "cut off"},
      {"--- a/x\n+++ b/x\n@@ -1,3 +1,4 @@\n a\n*b\n", "malformed"},
      {"--- a/x\n+++ b/x\n@@ nonsense @@\n", "no hunk header"},
      {"--- a/x\n+++ b/x\n", "no hunk"},
      {"*** a/x\n--- b/x\n***************\n*** 1 ****\n", "context diff"},
      {"diff --cc x.c\nindex 1,2..3\n", "combined diff"},
      {"diff --git a/x b/x\nGIT binary patch\n", "binary"},
      {"diff --git a/x b/x\nold mode 100644\nnew mode 100755\n", "file modes only"},
  };
  for (const auto& [text, expected] : cases) {
    const std::string message = message_of([&] { parse_patch("fix.patch", text); });
    EXPECT_NE(message.find(expected), std::string::npos) << text << "\n" << message;
    EXPECT_NE(message.find("fix.patch"), std::string::npos) << message;
  }
  EXPECT_NE(message_of([] { read_patch("/nonexistent.patch"); }).find("no such"), std::string::npos);
  EXPECT_NE(message_of([] { read_patch("/"); }).find("directory"), std::string::npos);
}

TEST(PatchFile, EveryTruncationIsReadOrRefused) {
  const std::string text = plain;
  size_t read = 0, refused = 0;
  for (size_t length = 0; length < text.size(); ++length) {
    try {
      parse_patch("fix.patch", std::string_view(text).substr(0, length));
      ++read;
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_EQ(read + refused, text.size());
  EXPECT_EQ(read, std::string_view(" \tthree").size());  // nothing tells that the last line goes on
}

TEST(PatchFile, RefusesPathsThatLeaveTheTree) {
  for (const std::string path : {"../../outside.c", "/etc/passwd", "b/../../x.c"}) {
    PatchFile patch = parse_patch("x", "--- " + path + "\n+++ " + path + "\n@@ -1 +1 @@\n-a\n+b\n");
    const std::string message = message_of([&] { resolve_paths(patch, [](const std::string&) { return true; }); });
    EXPECT_NE(message.find("leads out of the source tree"), std::string::npos) << message;
  }
}

TEST(PatchFile, FindsTheStripLevel) {
  const auto exists = [](const std::string& path) { return path == "fs/a.c"; };
  for (const std::string prefix : {"a/", "", "linux-6.1.orig/"}) {
    PatchFile patch = parse_patch("x", "--- " + prefix + "fs/a.c\n+++ " + prefix + "fs/a.c\n@@ -1 +1 @@\n-a\n+b\n");
    resolve_paths(patch, exists);
    EXPECT_EQ(patch.files[0].new_path, "fs/a.c") << prefix;
  }
}

TEST_F(Tree, Applies) {
  const AppliedPatches applied = apply({plain});
  EXPECT_EQ(applied.modified, std::vector<std::string>{"fs/a.c"});
  EXPECT_EQ(result("fs/a.c"), "\tone\n\tnew\n\ttwo\n\tthree\n\tfour\n\tfive\n");
  EXPECT_TRUE(applied.warnings.empty());
}

TEST_F(Tree, AppliesInOrderAndDropsWhatCancelsOut) {
  const std::string back = "--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1,4 +1,3 @@\n \tone\n-\tnew\n \ttwo\n \tthree\n";
  const AppliedPatches applied = apply({plain, back});
  EXPECT_TRUE(applied.touched().empty());
}

TEST_F(Tree, CreatesRemovesAndRenames) {
  const AppliedPatches applied =
      apply({"--- /dev/null\n+++ b/fs/new.c\n@@ -0,0 +1,2 @@\n+int x;\n+int y;\n"
             "--- a/fs/b.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-b\n"
             "diff --git a/fs/a.c b/fs/c.c\nsimilarity index 90%\nrename from fs/a.c\nrename to fs/c.c\n"
             "--- a/fs/a.c\n+++ b/fs/c.c\n@@ -1,2 +1,2 @@\n-\tone\n+\tONE\n \ttwo\n"});
  EXPECT_EQ(applied.added, (std::vector<std::string>{"fs/c.c", "fs/new.c"}));
  EXPECT_EQ(applied.removed, (std::vector<std::string>{"fs/a.c", "fs/b.c"}));
  EXPECT_EQ(result("fs/new.c"), "int x;\nint y;\n");
  EXPECT_TRUE(result("fs/c.c").starts_with("\tONE\n\ttwo\n"));
}

TEST_F(Tree, FollowsAFileThatThePatchMadeItself) {
  const AppliedPatches applied =
      apply({"--- /dev/null\n+++ b/fs/new.c\n@@ -0,0 +1 @@\n+int x;\n"
             "--- a/fs/new.c\n+++ b/fs/new.c\n@@ -1 +1,2 @@\n int x;\n+int y;\n"});
  EXPECT_EQ(applied.added, std::vector<std::string>{"fs/new.c"});
  EXPECT_EQ(result("fs/new.c"), "int x;\nint y;\n");
}

TEST_F(Tree, SaysWhichHunkDoesNotApply) {
  const std::string two = std::string("--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1,2 +1,3 @@\n \tone\n+\tnew\n \ttwo\n") +
                          "@@ -4,2 +5,3 @@\n \tFOUR\n+\tx\n \tother\n";
  const std::string message = message_of([&] { apply({two}); });
  EXPECT_NE(message.find("0.patch:7: error: hunk 2 of 2 does not apply to fs/a.c"), std::string::npos) << message;
  EXPECT_EQ(message.find("hunk 1"), std::string::npos) << message;
}

TEST_F(Tree, SaysThatAPatchIsAppliedAlready) {
  write("source/fs/a.c", "\tone\n\tnew\n\ttwo\n\tthree\n");
  const std::string message = message_of([&] { apply({plain}); });
  EXPECT_NE(message.find("already applied"), std::string::npos) << message;
}

TEST_F(Tree, SaysThatTabsBecameSpaces) {
  const std::string spaces =
      "--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1,3 +1,4 @@\n        one\n+       new\n        two\n        three\n";
  const std::string message = message_of([&] { apply({spaces}); });
  EXPECT_NE(message.find("spaces for tabs"), std::string::npos) << message;
  EXPECT_NE(message.find("--ignore-whitespace"), std::string::npos) << message;
  const AppliedPatches applied = apply({spaces}, true);
  EXPECT_EQ(result("fs/a.c"), "\tone\n       new\n\ttwo\n\tthree\n\tfour\n\tfive\n");
  ASSERT_EQ(applied.warnings.size(), 1U);
}

TEST_F(Tree, WarnsOfFuzz) {
  const AppliedPatches applied =
      apply({"--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1,5 +1,6 @@\n \tONE\n \ttwo\n+\tnew\n \tthree\n \tfour\n \tfive\n"});
  ASSERT_EQ(applied.warnings.size(), 1U);
  EXPECT_NE(applied.warnings[0].message.find("fuzz"), std::string::npos);
}

TEST_F(Tree, NamesAMissingFile) {
  const std::string message = message_of([&] { apply({"--- a/fs/none.c\n+++ b/fs/none.c\n@@ -1 +1 @@\n-a\n+b\n"}); });
  EXPECT_NE(message.find("no file fs/none.c"), std::string::npos) << message;
}

}  // namespace
}  // namespace kpatch
