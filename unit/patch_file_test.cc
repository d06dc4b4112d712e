// Reading and applying patches: the forms that people send, and what each refusal says.
#include "patch/read.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <map>

#include "patch/apply.h"
#include "support/base64.h"
#include "support/error.h"

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
    std::vector<PatchText> patches;
    for (const std::string& text : texts)
      patches.push_back(read_patch(write(std::to_string(patches.size()) + ".patch", text)));
    fs::remove_all(root_ / "out");
    return apply_patches(patches, root_ / "source", root_ / "out", ignore_whitespace);
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
  EXPECT_EQ(patch.files[0].old_path, "x.c");
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

TEST(PatchFile, TheEncodingOfOneMailIsNotThatOfTheNext) {
  const PatchFile patch = parse_patch("x",
                                      "Content-Transfer-Encoding: quoted-printable\n\na cover letter\n\n"
                                      "Content-Transfer-Encoding: 8bit\n\n"
                                      "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a =3D 1;\n+a =3D 2;\n");
  EXPECT_EQ(patch.files.size(), 1U);
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
      {"From: a\nContent-Transfer-Encoding: base64\n\nZGlmZiAtLWdpdCBhL2EgYi9h\n", "encoded (base64)"},
      {"Content-Transfer-Encoding: quoted-printable\n\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a =3D 1;\n+a =3D 2;\n",
       "encoded (quoted-printable)"},
      {"\xff\xfe-\0-\0-\0", "encoded (UTF-16)"},
      {"\x1f\x8b\x08", "encoded (gzip)"},
      {"> diff --git a/x b/x\n> --- a/x\n> +++ b/x\n", "encoded (quoted"},
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

// What would be left out without a word.
TEST(PatchFile, NothingOfAChangeIsTakenForText) {
  const std::string good = plain, more = "--- a/y\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n";
  const std::map<std::string, std::string> cases = {
      {"+\tfour\n", "more of a change follows"},
      {" \tfour\n+\tfive\n", "more of a change follows"},
      {"\n-\tfour\n", "more of a change follows"},
      {"--i;\n", "more of a change follows"},
      {"@ -11,2 +12,3 @@\n \tx\n", "no hunk header"},
      {"@@-11,2 +12,3 @@\n \tx\n", "no hunk header"},
      {"*** a/y\n--- b/y\n***************\n*** 1 ****\n", "context diff"},
      {"diff a/y b/y\n1c1\n< a\n---\n> b\n", "without names and context"},
      {"17a\nx\n.\n", "a script for ed"},
      {" @@ -12,1 +13,1 @@\n-a\n+b\n", "something stands in front of it"},
      {"Binary files a/y and b/y differ\n", "a binary file"},
      {"--=_1234567\nContent-Transfer-Encoding: base64\n\n" + base64_of("\n" + more) + "\n--=_1234567--\n", "(base64)"},
  };
  for (const auto& [text, expected] : cases) {
    const std::string message = message_of([&, &rest = text] { parse_patch("fix.patch", good + rest); });
    EXPECT_NE(message.find(expected), std::string::npos) << text << "\n" << message;
  }
  for (const char* text :
       {"-- \n2.39.5\n", "--\n2.39.5\n", "\n", "Index: b\n", "\n------------=_1763_12\nContent-Type: text/plain\n",
        "-- \n2.39.5\n\nFrom 12 Mon\nSubject: b\n\n- one thing\n+ another\n", "\ncommit 12\n\n    - one thing\n",
        "\nThen the other file:\n\n- more of it\n", "\n \n",
        "--=_1234567\nContent-Transfer-Encoding: base64\n\nPGh0bWw+\n--=_1234567--\n"}) {
    const PatchFile patch = parse_patch("fix.patch", good + text + more);
    EXPECT_EQ(patch.files.size(), 2U) << text;
    EXPECT_TRUE(patch.notes.empty()) << text;
  }
}

TEST(PatchFile, AFileOfOneFolderAloneIsToldOf) {
  const PatchFile patch = parse_patch("fix.patch", std::string(plain) + "Only in b/fs: new.c\n");
  ASSERT_EQ(patch.notes.size(), 1U);
  EXPECT_EQ(patch.notes[0], "line 8: Only in b/fs: new.c; the file is no part of the patch (diff -N makes it one)");
}

// A rename without hunks, and behind it another file that has no "diff --git".
TEST(PatchFile, NamesThatArentThoseOfTheGitHeaderAreAnotherFile) {
  const PatchFile patch = parse_patch("fix.patch",
                                      "diff --git a/fs/a.c b/fs/b.c\nsimilarity index 100%\nrename from fs/a.c\n"
                                      "rename to fs/b.c\n--- a/fs/c.c\n+++ b/fs/c.c\n@@ -1 +1 @@\n-a\n+b\n");
  ASSERT_EQ(patch.files.size(), 2U);
  EXPECT_EQ(patch.files[0].change, FileChange::rename);
  EXPECT_TRUE(patch.files[0].hunks.empty());
  EXPECT_EQ(patch.files[1].new_path, "b/fs/c.c");
  const PatchFile one = parse_patch("fix.patch",
                                    "diff --git a/fs/a.c b/fs/b.c\nsimilarity index 90%\nrename from fs/a.c\n"
                                    "rename to fs/b.c\n--- a/fs/a.c\n+++ b/fs/b.c\n@@ -1 +1 @@\n-a\n+b\n");
  ASSERT_EQ(one.files.size(), 1U);
  EXPECT_EQ(one.files[0].hunks.size(), 1U);
}

TEST(PatchFile, ADiffInAMessageIsToldOf) {
  const std::string good = plain;
  for (const char* margin : {"  ", "\t", "> "}) {
    const std::string m = margin;
    const PatchFile patch = parse_patch(
        "fix.patch", good + "\n" + m + "--- a/y\n" + m + "+++ b/y\n" + m + "@@ -1 +1 @@\n" + m + "-a\n" + m + "+b\n");
    ASSERT_EQ(patch.notes.size(), 1U) << margin;
    EXPECT_EQ(patch.notes[0], "line 9: a diff with something in front of each line is taken for text");
  }
}

TEST(PatchFile, AByteOrderMarkIsNoPartOfTheText) {
  EXPECT_EQ(parse_patch("fix.patch", std::string("\xef\xbb\xbf") + plain).files.size(), 1U);
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
  const auto is_folder = [](const std::string& path) { return path == "fs"; };
  for (const std::string prefix : {"a/", "", "linux-6.1.orig/"}) {
    PatchFile patch = parse_patch("x", "--- " + prefix + "fs/a.c\n+++ " + prefix + "fs/a.c\n@@ -1 +1 @@\n-a\n+b\n");
    resolve_paths(patch, exists, is_folder);
    EXPECT_EQ(patch.files[0].new_path, "fs/a.c") << prefix;
  }
}

// Of a new file the folder tells; git leaves the prefix out at both sides, or writes that of the second folder twice.
TEST(PatchFile, FindsTheStripLevelOfNewFiles) {
  const auto exists = [](const std::string&) { return false; };
  const auto is_folder = [](const std::string& path) { return path == "fs" || path == "include/net"; };
  const std::map<std::string, std::string> cases = {
      {"diff --git b/fs/n.h b/fs/n.h\nnew file mode 100644\n--- /dev/null\n+++ b/fs/n.h\n", "fs/n.h"},
      {"diff --git fs/n.h fs/n.h\nnew file mode 100644\n--- /dev/null\n+++ fs/n.h\n", "fs/n.h"},
      {"diff --git a/fs/n.h b/fs/n.h\nnew file mode 100644\n--- /dev/null\n+++ b/fs/n.h\n", "fs/n.h"},
      {"diff --git include/net/n.h include/net/n.h\n--- /dev/null\n+++ include/net/n.h\n", "include/net/n.h"},
      {"diff --git a/new/n.h b/new/n.h\nnew file mode 100644\n--- /dev/null\n+++ b/new/n.h\n", "new/n.h"},
  };
  for (const auto& [text, path] : cases) {
    PatchFile patch = parse_patch("x", text + "@@ -0,0 +1 @@\n+b\n");
    resolve_paths(patch, exists, is_folder);
    EXPECT_EQ(patch.files[0].new_path, path) << text;
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

// Whatever stands before it in the diff; another commit's is the file by now.
TEST_F(Tree, CopiesAFileAsItWasBeforeTheCommit) {
  const std::string change =
      "diff --git a/fs/a.c b/fs/a.c\n--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1,2 +1,2 @@\n-\tone\n+\tONE\n \ttwo\n";
  const std::string copy = "diff --git a/fs/a.c b/fs/c.c\nsimilarity index 90%\ncopy from fs/a.c\ncopy to fs/c.c\n";
  const std::string hunk = "--- a/fs/a.c\n+++ b/fs/c.c\n@@ -1,3 +1,3 @@\n \tone\n-\ttwo\n+\tTWO\n \tthree\n";
  apply({change + copy + hunk});
  EXPECT_TRUE(result("fs/c.c").starts_with("\tone\n\tTWO\n")) << result("fs/c.c");
  EXPECT_TRUE(result("fs/a.c").starts_with("\tONE\n\ttwo\n"));
  for (const char* next : {"From 0123456789abcdef0123456789abcdef01234567 Mon Sep 17 00:00:00 2001\n", "Subject: two\n",
                           "commit 0123456789abcdef0123456789abcdef01234567\n"}) {
    apply({change + next + copy});
    EXPECT_TRUE(result("fs/c.c").starts_with("\tONE\n")) << next;
  }
}

TEST_F(Tree, ExchangesNames) {
  const std::string there =
      "diff --git a/fs/a.c b/fs/b.c\nsimilarity index 100%\nrename from fs/a.c\nrename to fs/b.c\n";
  const std::string back =
      "diff --git a/fs/b.c b/fs/a.c\nsimilarity index 100%\nrename from fs/b.c\nrename to fs/a.c\n";
  const AppliedPatches applied = apply({there + back});
  EXPECT_EQ(applied.modified, (std::vector<std::string>{"fs/a.c", "fs/b.c"}));
  EXPECT_EQ(result("fs/a.c"), "b\n");
  EXPECT_TRUE(result("fs/b.c").starts_with("\tone\n"));
  EXPECT_NE(message_of([&] { apply({there}); }).find("fs/b.c is there already"), std::string::npos);
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

TEST_F(Tree, KnowsWhatIsApplied) {
  const auto applied = [&](const std::string& text) { return is_applied({"0.patch", text}, root_ / "source"); };
  EXPECT_FALSE(applied(plain));
  write("source/fs/a.c", "// moved\n\tone\n\tnew\n\ttwo\n\tthree\n");
  EXPECT_TRUE(applied(plain));
  // A part of it isn't enough.
  EXPECT_FALSE(applied(std::string(plain) + "--- a/fs/b.c\n+++ b/fs/b.c\n@@ -1 +1,2 @@\n b\n+c\n"));
  const std::string removes = "--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1,3 +1,2 @@\n \tone\n-\tnew\n \ttwo\n";
  EXPECT_FALSE(applied(removes));
  write("source/fs/a.c", "\tone\n\ttwo\n");
  EXPECT_TRUE(applied(removes));
  const std::string adds = "--- /dev/null\n+++ b/fs/new.c\n@@ -0,0 +1 @@\n+int x;\n";
  EXPECT_FALSE(applied(adds));
  write("source/fs/new.c", "int y;\n");
  EXPECT_FALSE(applied(adds));
  write("source/fs/new.c", "int x;\n");
  EXPECT_TRUE(applied(adds));
  EXPECT_FALSE(applied("no patch"));
  EXPECT_FALSE(applied("--- a/fs/gone.c\n+++ b/fs/gone.c\n@@ -1 +1,2 @@\n b\n+c\n"));
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

TEST_F(Tree, TakesNoFuzz) {
  const std::string message = message_of([&] {
    apply({"--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1,5 +1,6 @@\n \tONE\n \ttwo\n+\tnew\n \tthree\n \tfour\n \tfive\n"});
  });
  EXPECT_NE(message.find("line 1 of the source differs"), std::string::npos) << message;
}

// Two functions with the same lines in them.
constexpr const char* twins =
    "int first(int a)\n{\n\tif (!a)\n\t\treturn 1;\nout:\n\treturn 0;\n}\n\n"        // 1
    "int second(int a, int b)\n{\n\tif (!a)\n\t\treturn 1;\nout:\n\treturn 0;\n}\n"  // 9
    "int third(void)\n{\n\treturn 3;\n}\n";                                          // 16

std::string twin_patch(int line, const std::string& heading) {
  return "--- a/fs/t.c\n+++ b/fs/t.c\n@@ -" + std::to_string(line) + ",3 +" + std::to_string(line) + ",4 @@" + heading +
         "\n out:\n+\tx();\n \treturn 0;\n }\n";
}

TEST_F(Tree, AHunkGoesIntoTheFunctionThatItNames) {
  write("source/fs/t.c", twins);
  const std::string text = twins;
  const std::string first = std::string(text).insert(text.find("\treturn 0"), "\tx();\n");
  const std::string second = std::string(text).insert(text.rfind("\treturn 0"), "\tx();\n");
  struct Case {
    int line;
    const char* heading;
    const std::string* result;  // none: refused
    const char* says;
  };
  const Case cases[] = {
      {5, "", &first, ""},
      {13, "", &second, ""},
      {5, " int first(int a)", &first, ""},
      {13, " int second(int a, int b)", &second, ""},
      {13, " int second(int a, in", &second, ""},             // cut off
      {13, " static long second(struct x *a)", &second, ""},  // its parameters changed
      {5, " int second(int a, int b)", &second, "applied at line 13, 8 lines below where it says"},
      {13, " int first(int a)", &first, "applied at line 5, 8 lines above where it says"},
      {14, " int second(int a, int b)", &second, "applied at line 13, 1 line above where it says"},
      {13, " int third(void)", nullptr, "belongs to 'int third(void)'"},
      {13, " int gone(int a)", nullptr, "belongs to 'int gone(int a)'"},
      {9, "", nullptr, "fits equally at the lines 5, 13"},
      {4, "", nullptr, "fits equally at the lines 5, 13"},
  };
  for (const Case& c : cases) {
    const std::string patch = twin_patch(c.line, c.heading);
    if (c.result == nullptr) {
      const std::string message = message_of([&] { apply({patch}); });
      EXPECT_NE(message.find(c.says), std::string::npos) << patch << message;
      EXPECT_NE(message.find("0.patch:3: error: hunk 1 of 1 does not apply to fs/t.c"), std::string::npos) << message;
      continue;
    }
    const AppliedPatches applied = apply({patch});
    EXPECT_EQ(result("fs/t.c"), *c.result) << patch;
    EXPECT_EQ(applied.warnings.size(), *c.says ? 1U : 0U) << patch;
    if (*c.says && !applied.warnings.empty()) {
      EXPECT_NE(applied.warnings[0].message.find(c.says), std::string::npos) << applied.warnings[0].message;
    }
  }
  // In other files than C a heading is anybody's.
  write("source/fs/t.txt", twins);
  std::string other = twin_patch(13, " int third(void)");
  for (size_t at; (at = other.find("t.c")) != std::string::npos;) other.replace(at, 3, "t.txt");
  apply({other});
  EXPECT_EQ(result("fs/t.txt"), second);
}

TEST_F(Tree, AMacrosFirstArgumentNamesTheFunction) {
  const std::string body = "{\n\treturn 0;\n}\n";
  write("source/fs/t.c", "SYSCALL_DEFINE1(open, int, a)\n" + body + "SYSCALL_DEFINE1(close, int, a)\n" + body);
  const auto patch = [](const char* heading) {
    return std::string("--- a/fs/t.c\n+++ b/fs/t.c\n@@ -2,3 +2,3 @@ ") + heading +
           "\n {\n-\treturn 0;\n+\treturn 1;\n }\n";
  };
  EXPECT_EQ(apply({patch("SYSCALL_DEFINE1(close, long, a)")}).warnings.size(), 1U);
  EXPECT_TRUE(result("fs/t.c").ends_with("close, int, a)\n{\n\treturn 1;\n}\n"));
  EXPECT_NE(message_of([&] { apply({patch("SYSCALL_DEFINE1(read, int, a)")}); }).find("belongs to"), std::string::npos);
}

// It fits where it says, but the other hunk of the file was moved by as much as it takes to fit elsewhere.
TEST_F(Tree, AHunkThatFitsTwiceAmongMovedOnesIsRefused) {
  write("source/fs/t.c", "int v;\nint w;\n" + std::string(twins));  // all is two lines below
  const std::string moved =
      "--- a/fs/t.c\n+++ b/fs/t.c\n@@ -1,2 +1,3 @@\n int first(int a)\n {\n+\tnew();\n \tif (!a)\n";
  std::string header = moved;
  header.replace(header.find("-1,2 +1,3"), 9, "-1,3 +1,4");
  const std::string fits = "@@ -15,3 +16,4 @@\n out:\n+\tx();\n \treturn 0;\n }\n";  // line 15 is where it is; 17 isn't
  EXPECT_EQ(apply({header + fits}).warnings.size(), 1U);
  const std::string repeated = "a\nb\nc\nx\ny\nx\ny\nx\ny\nz\n";
  write("source/fs/t.txt", repeated);
  const std::string two = "--- a/fs/t.txt\n+++ b/fs/t.txt\n@@ -2,1 +2,2 @@\n c\n+d\n@@ -4,2 +5,3 @@\n x\n+n\n y\n";
  EXPECT_EQ(apply({two}).warnings.size(), 1U);
  write("source/fs/t.txt", "0\n0\n" + repeated);  // c has moved by 3, and at 4 + 2 and 4 + 4 there are x and y
  EXPECT_NE(message_of([&] { apply({two}); }).find("fits equally"), std::string::npos);
}

TEST_F(Tree, ReadsWithoutPrefix) {
  const char* body = "@@ -1 +1 @@\n-b\n+c\n";
  for (const char* names : {"diff --git fs/b.c fs/b.c\nindex 1..2 100644\n--- fs/b.c\n+++ fs/b.c\n",
                            "diff --git a/fs/b.c b/fs/b.c\nindex 1..2 100644\n--- a/fs/b.c\n+++ b/fs/b.c\n",
                            "diff --git i/fs/b.c w/fs/b.c\nindex 1..2 100644\n--- i/fs/b.c\n+++ w/fs/b.c\n",
                            "--- fs/b.c.orig\n+++ fs/b.c\n"}) {
    EXPECT_EQ(apply({std::string(names) + body}).modified, std::vector<std::string>{"fs/b.c"}) << names;
    EXPECT_EQ(result("fs/b.c"), "c\n");
  }
  const std::string fresh = "new file mode 100644\n--- /dev/null\n+++ ";
  EXPECT_EQ(apply({"diff --git fs/n.c fs/n.c\n" + fresh + "fs/n.c\n@@ -0,0 +1 @@\n+x\n",
                   "diff --git fs/n.c fs/m.c\nsimilarity index 50%\nrename from fs/n.c\nrename to fs/m.c\n--- fs/n.c\n"
                   "+++ fs/m.c\n@@ -1 +1 @@\n-x\n+y\n"})
                .added,
            std::vector<std::string>{"fs/m.c"});
  EXPECT_EQ(apply({"diff --git a/fs/n.c b/fs/n.c\n" + fresh + "b/fs/n.c\n@@ -0,0 +1 @@\n+x\n"}).added,
            std::vector<std::string>{"fs/n.c"});
}

TEST_F(Tree, RefusesSymbolicLinks) {
  for (const char* mode :
       {"new file mode 120000", "deleted file mode 120000", "index 1234..5678 120000", "old mode 120000"}) {
    const std::string message = message_of([&] {
      apply({std::string("diff --git a/fs/b.c b/fs/b.c\n") + mode + "\n--- a/fs/b.c\n+++ b/fs/b.c\n" +
             "@@ -1 +1 @@\n-b\n+c\n"});
    });
    EXPECT_NE(message.find("0.patch:2: error: makes or changes a symbolic link"), std::string::npos) << message;
  }
  fs::create_symlink("b.c", root_ / "source/fs/link.c");
  fs::create_directory_symlink("fs", root_ / "source/gs");
  for (const char* path : {"fs/link.c", "gs/b.c"}) {
    const std::string message =
        message_of([&] { apply({std::string("--- a/") + path + "\n+++ b/" + path + "\n@@ -1 +1 @@\n-b\n+c\n"}); });
    EXPECT_NE(message.find("leads through a symbolic link"), std::string::npos) << message;
  }
}

TEST_F(Tree, KeepsOpenEnds) {
  write("source/fs/open.c", "a\nb");
  const std::string open = "\\ No newline at end of file\n",
                    head = "--- a/fs/open.c\n+++ b/fs/open.c\n@@ -1,2 +1,2 @@\n";
  apply({head + " a\n-b\n" + open + "+c\n" + open});
  EXPECT_EQ(result("fs/open.c"), "a\nc");
  apply({head + " a\n-b\n" + open + "+c\n"});
  EXPECT_EQ(result("fs/open.c"), "a\nc\n");
  apply({head + "-a\n+c\n b\n" + open});
  EXPECT_EQ(result("fs/open.c"), "c\nb");
  EXPECT_NE(message_of([&] { apply({head + " a\n-b\n+c\n"}); }).find("does not apply"), std::string::npos);
}

TEST_F(Tree, PatchesAPatchFile) {
  write("source/fs/x.patch", "--- a/q.c\n+++ b/q.c\n@@ -1 +1 @@\n-a\n+b\n");
  apply(
      {"--- a/fs/x.patch\n+++ b/fs/x.patch\n@@ -1,5 +1,5 @@\n --- a/q.c\n-+++ b/q.c\n++++ b/r.c\n @@ -1 +1 @@\n -a\n "
       "+b\n"});
  EXPECT_EQ(result("fs/x.patch"), "--- a/q.c\n+++ b/r.c\n@@ -1 +1 @@\n-a\n+b\n");
}

TEST_F(Tree, AHunkWithoutContextIsRefused) {
  const std::string message = message_of([&] { apply({"--- a/fs/a.c\n+++ b/fs/a.c\n@@ -2,0 +3 @@\n+\tnew\n"}); });
  EXPECT_NE(message.find("it has no context"), std::string::npos) << message;
}

// `kpatch-build <(git show)`: what a pipe gives is there once.
TEST(PatchText, IsReadFromAPipe) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const std::string_view text = plain;
  ASSERT_EQ(write(ends[1], text.data(), text.size()), ssize_t(text.size()));
  close(ends[1]);
  const PatchText patch = read_patch("/dev/fd/" + std::to_string(ends[0]));
  close(ends[0]);
  EXPECT_EQ(patch.text, plain);
  EXPECT_EQ(parse_patch(patch.path, patch.text).files.size(), 1U);
}

TEST_F(Tree, NamesAMissingFile) {
  const std::string message = message_of([&] { apply({"--- a/fs/none.c\n+++ b/fs/none.c\n@@ -1 +1 @@\n-a\n+b\n"}); });
  EXPECT_NE(message.find("no file fs/none.c"), std::string::npos) << message;
}

}  // namespace
}  // namespace kpatch
