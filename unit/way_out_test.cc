// What refused changes are turned into, and the way back of patches.
#include "kpatch-build/way-out.h"

#include <gtest/gtest.h>

#include <fstream>

#include "patch/patch.h"
#include "support/base64.h"
#include "support/error.h"
#include "support/files.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

Finding finding(const char* rule, const char* name) {
  return {rule, Severity::refusal, {.source = "a.c", .function = name}, "", {}};
}

TEST(WayOut, StaticKeys) {
  const char* text =
      "void f(void)\n{\n\tif (static_branch_unlikely(&key))\n\t\tg();\n\tif (static_key_false(&key) || "
      "static_branch_likely(&other))\n\t\th();\n}\n";
  const auto out = way_out(finding("static-key", "key"), "", text);
  ASSERT_TRUE(out);
  EXPECT_EQ(*out,
            "void f(void)\n{\n\tif (static_key_enabled(&key))\n\t\tg();\n\tif (static_key_enabled(&key) || "
            "static_branch_likely(&other))\n\t\th();\n}\n");
  EXPECT_FALSE(way_out(finding("static-key", "absent"), "", text));
  EXPECT_FALSE(way_out(finding("static-key", ""), "", text));
  EXPECT_FALSE(way_out(finding("init-code", "key"), "", text));
}

TEST(WayOut, Initialisers) {
  const std::string before =
      "#include <a.h>\n#ifdef X\n#include <x.h>\n#endif\nstatic int limit = 10;\nint f(void) { return limit; }\n";
  std::string after = before;
  after.replace(after.find("10"), 2, "20");
  const auto out = way_out(finding("data-init", "limit"), before, after);
  ASSERT_TRUE(out);
  EXPECT_NE(out->find("#include <a.h>\n#include \"kpatch-macros.h\"\n#ifdef X"), std::string::npos) << *out;
  EXPECT_NE(out->find("static int limit = 10;\n"), std::string::npos);
  EXPECT_NE(out->find("\tlimit = 20;\n"), std::string::npos);
  EXPECT_NE(out->find("KPATCH_PRE_PATCH_CALLBACK(set_limit);"), std::string::npos);
  EXPECT_FALSE(way_out(finding("data-init", "limit"), before, before));
  EXPECT_FALSE(way_out(finding("data-init", "f"), before, after));
  EXPECT_FALSE(way_out(finding("data-init", "n"), "static const int n = 1;\n", "static const int n = 2;\n"));
  EXPECT_TRUE(way_out(finding("data-init", "p"), "static const char *p = \"a\";\n", "static const char *p = \"b\";\n"));
  const auto table = way_out(finding("data-init", "t"), "int t[] = { 1 };\n", "int t[] = { 2 };\n");
  ASSERT_TRUE(table);
  EXPECT_NE(table->find("/* EDIT: t = { 2 } */"), std::string::npos) << *table;
}

TEST(WayOut, Structs) {
  const char* before = "struct a {\n\tint x;\n};\nstruct b {\n\tstruct a a;\n};\n";
  const char* after = "struct a {\n\tint x;\n\tint more[2];\n};\nstruct b {\n\tstruct a a;\n};\n";
  for (const char* name : {"a", "struct a"}) {
    const auto out = way_out(finding("data-layout", name), before, after);
    ASSERT_TRUE(out);
    EXPECT_TRUE(out->starts_with("struct a {\n\tint x;\n};\n")) << *out;
    EXPECT_NE(out->find("struct a_shadow {\n\tint more[2];\n};"), std::string::npos) << *out;
    EXPECT_TRUE(out->ends_with("struct b {\n\tstruct a a;\n};\n"));
  }
  EXPECT_FALSE(way_out(finding("data-layout", "b"), before, after));
}

TEST(WayOut, CallersOfWhatIsNotTraced) {
  const char* before = "notrace int f(int x)\n{\n\treturn x;\n}\nint g(void)\n{\n\treturn f(1);\n}\n";
  const char* after = "notrace int f(int x)\n{\n\treturn x + 1;\n}\nint g(void)\n{\n\treturn f(1);\n}\n";
  const auto out = way_out(finding("no-ftrace", "f"), before, after);
  ASSERT_TRUE(out);
  EXPECT_EQ(*out,
            "notrace int f(int x)\n{\n\treturn x;\n}\n\n/* EDIT: callers in other files still call f() */\n"
            "notrace int f_patched(int x)\n{\n\treturn x + 1;\n}\nint g(void)\n{\n\treturn f_patched(1);\n}\n");
  EXPECT_FALSE(way_out(finding("no-ftrace", "f"), "int f(void) { return 0; }", "int f(void) { return 1; }"));
}

// Applied and taken back, the tree is what it was; taken back alone, it doesn't apply.
TEST(Reversed, BringsBackWhatWas) {
  const TemporaryFolder folder;
  folder.write("src/Kbuild", "");
  folder.write("src/fs/a.c", "one\ntwo\nthree");
  folder.write("src/fs/gone.c", "gone\n");
  folder.write("src/fs/old.c", "name\n");
  const PatchText patch{
      "a.patch",
      "diff --git a/fs/a.c b/fs/a.c\n--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n"
      "\\ No newline at end of file\n"
      "diff --git a/fs/gone.c b/fs/gone.c\ndeleted file mode 100644\n--- a/fs/gone.c\n+++ /dev/null\n@@ -1 +0,0 "
      "@@\n-gone\n"
      "diff --git a/fs/new.c b/fs/new.c\nnew file mode 100644\n--- /dev/null\n+++ b/fs/new.c\n@@ -0,0 +1 "
      "@@\n+new\n"
      "diff --git a/fs/old.c b/fs/other.c\nsimilarity index 100%\nrename from fs/old.c\nrename to fs/other.c\n"};
  const std::filesystem::path source = folder.path() / "src";
  EXPECT_THROW(apply_patches({{reversed(patch)}}, source, folder.path() / "back", false), Error);
  const std::vector<PatchText> both = {patch, reversed(patch)};
  EXPECT_EQ(apply_patches(both, source, folder.path() / "both", false).touched(), std::vector<std::string>());
  EXPECT_EQ(apply_patches({{patch}}, source, folder.path() / "one", false).touched().size(), 5U);
}

TEST(Base64, ThereAndBack) {
  EXPECT_EQ(base64_of(std::string("\0a\xff\n", 4)), "AGH/Cg==");
  for (const std::string text : {"", "a", "ab", "abc", "abcd"}) EXPECT_EQ(bytes_of_base64(base64_of(text)), text);
  for (const char* damaged : {"A", "AGH/Cg=", "*", "AGH/Cg==="}) EXPECT_FALSE(bytes_of_base64(damaged)) << damaged;
}

}  // namespace
}  // namespace kpatch
