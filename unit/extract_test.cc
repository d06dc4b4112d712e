// What of a C file goes into a livepatch's source, on texts of a few lines.
#include "extract/extract.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace kpatch {
namespace {

using std::string;

SourceUnit unit_of(const string& text) { return {"# 1 \"/root/of/it/a.c\"\n" + text, {}, {"/root/of/it"}}; }

// declared: names that the kernel has; a static variable of a function as "f.count".
Extraction extracted(const string& text, std::set<string> functions, const std::set<string>& declared = {}) {
  ExtractRequest request;
  request.functions = std::move(functions);
  request.heading = "test";
  request.decide = [&](const Subject& s) {
    const string name = s.function.empty() ? s.name : s.function + "." + s.name;
    return Treatment{!declared.contains(name), s.function.empty() ? string() : s.name + ".7"};
  };
  return unit_of(text).extract(request);
}

bool has(const string& text, const string& part) { return text.find(part) != string::npos; }

TEST(SourceExtract, TakesWhatIsNeededAndNothingElse) {
  const Extraction e = extracted(
      "typedef int number;\nstruct unused { int a; };\nstatic int other(void) { return 2; }\n"
      "static number helper(number n) { return n + 1; }\nint f(int x) { return helper(x); }\n",
      {"f"});
  EXPECT_TRUE(has(e.text, "typedef int number;"));
  EXPECT_TRUE(has(e.text, "return n + 1;"));
  EXPECT_FALSE(has(e.text, "unused"));
  EXPECT_FALSE(has(e.text, "other"));
  EXPECT_EQ(e.copied, std::vector<string>{"helper"});
}

TEST(SourceExtract, SaysWhereEachPieceIsFromWithoutTheRoot) {
  const Extraction e = extracted("int f(void) { return 1; }\n", {"f"});
  EXPECT_TRUE(has(e.text, "/* from a.c:1 */"));
  EXPECT_FALSE(has(e.text, "/root"));
}

TEST(SourceExtract, DeclaresAVariableOfTheKernel) {
  const Extraction e =
      extracted("static int t[] = {1, 2, 3}, n = 4;\nint f(int i) { return t[i]; }\n", {"f"}, {"t", "n"});
  EXPECT_TRUE(has(e.text, "extern int t[3], n;")) << e.text;
  EXPECT_FALSE(has(e.text, "= 4"));
}

TEST(SourceExtract, DeclaresAStaticVariableOfAFunctionByItsSymbol) {
  const Extraction e = extracted("int f(void) { static int n = 4; return n++; }\n", {"f"}, {"f.n"});
  EXPECT_TRUE(has(e.text, "extern int n__f_0 asm(\"n.7\");")) << e.text;
  EXPECT_TRUE(has(e.text, "return n__f_0++;")) << e.text;
  EXPECT_FALSE(has(e.text, "= 4"));
}

TEST(SourceExtract, DeclaresAFunctionOfTheKernelByItsHead) {
  const Extraction e = extracted(
      "static inline __attribute__((always_inline)) int g(int a) { return a; }\nint f(void) { return g(1); }\n", {"f"},
      {"g"});
  EXPECT_TRUE(has(e.text, "int g(int a) ;") || has(e.text, "int g(int a);")) << e.text;
  EXPECT_FALSE(has(e.text, "always_inline"));
  EXPECT_FALSE(has(e.text, "return a"));
}

TEST(SourceExtract, WritesAStructInFullOnlyWhereSomebodyLooksInside) {
  const string text = "struct s { int a; };\nvoid g(struct s *p);\n";
  EXPECT_FALSE(has(extracted(text + "void f(struct s *p) { g(p); }\n", {"f"}).text, "int a"));
  EXPECT_TRUE(has(extracted(text + "int f(struct s *p) { return p->a; }\n", {"f"}).text, "int a"));
  EXPECT_TRUE(has(extracted(text + "unsigned long f(void) { return sizeof(struct s); }\n", {"f"}).text, "int a"));
  EXPECT_TRUE(has(extracted(text + "void f(struct s *p) { g(p + 1); }\n", {"f"}).text, "int a"));
}

TEST(SourceExtract, AnEnumMayBeNamedBeforeItIsDefined) {
  const string text =
      extracted("enum e;\nvoid g(enum e *p, enum e x);\nenum e { one };\nvoid f(void) { enum e x = one; g(&x, x); }\n",
                {"f"})
          .text;
  EXPECT_LT(text.find("enum e;"), text.find("void g(")) << text;
  const string known = extracted("enum e { one };\nvoid g(enum e x);\nvoid f(void) { g(one); }\n", {"f"}).text;
  EXPECT_FALSE(has(known, "enum e;")) << known;
}

// A comment in front of a declaration is none of it: nor are those that an extraction writes.
TEST(SourceExtract, LeavesCommentsAlone) {
  const string text =
      extracted("/* of nobody */\ntypedef int t;\n/* nor this */\nt f(void) { return 1; }\n", {"f"}).text;
  EXPECT_FALSE(has(text, "nobody") || has(text, "nor this")) << text;
}

// Otherwise the compiler would keep a copy of its code that nobody calls.
TEST(SourceExtract, MakesACopyOfAGlobalFunctionStatic) {
  const auto copied = [](const string& text) {
    ExtractRequest request;
    request.functions = {"f"};
    request.decide = [](const Subject& s) { return Treatment{true, s.name + ".klp.a", true}; };
    return unit_of(text).extract(request).text;
  };
  const string text = copied(
      "extern __attribute__((nonnull)) int g(int *a), other;\nextern int g(int *a);\n"
      "int g(int *a) { return *a; }\nint f(int *x) { return g(x); }\n");
  EXPECT_TRUE(has(text, "asm(\"g.klp.a\")")) << "its declaration is shared: " << text;
  const string alone = copied("extern int g(int *a);\nint g(int *a) { return *a; }\nint f(int *x) { return g(x); }\n");
  EXPECT_TRUE(has(alone, "static int g(int *a);")) << alone;
  EXPECT_TRUE(has(alone, "static int g(int *a) { return *a; }")) << alone;
  EXPECT_FALSE(has(alone, "klp") || has(alone, "extern")) << alone;
  const string weak =
      copied("__attribute__((weak)) int g(int *a);\nint g(int *a) { return *a; }\nint f(int *x) { return g(x); }\n");
  EXPECT_TRUE(has(weak, "asm(\"g.klp.a\")")) << weak;
}

TEST(SourceExtract, FindsTheFunctionOfACleanup) {
  const Extraction e = extracted(
      "static void drop(int *p) { *p = 0; }\nvoid f(void) { int n __attribute__((cleanup(drop))) = 1; (void)n; }\n",
      {"f"});
  EXPECT_EQ(e.copied, std::vector<string>{"drop"});
}

TEST(SourceExtract, KeepsPackedPragmas) {
  EXPECT_TRUE(has(extracted("#pragma pack(1)\nstruct s { char c; int a; };\n#pragma pack()\n"
                            "int f(struct s *p) { return p->a; }\n",
                            {"f"})
                      .text,
                  "#pragma pack(1)"));
}

TEST(SourceExtract, ReadsWhatOnlyGccKnows) {
  const Extraction e = extracted(
      "extern int v;\nint f(void) { return *(__seg_gs int *)&v + __builtin_has_attribute(v, unused) + "
      "__builtin_isdigit(48); }\n",
      {"f"});
  EXPECT_TRUE(e.findings.empty());
  EXPECT_TRUE(has(e.text, "__seg_gs int *"));  // what is written is the author's
}

TEST(SourceExtract, RefusesByName) {
  EXPECT_EQ(extracted("int g(void) { return 1; }\n", {"f"}).findings.at(0).rule, "no-function");
  EXPECT_EQ(extracted("int f(void);\n", {"f"}).findings.at(0).rule, "no-function");
  EXPECT_EQ(extracted("int f(int a, ...) { return a; }\n", {"f"}).findings.at(0).rule, "variadic");
  const Extraction unread = extracted("int f(void) { return nobody; }\n", {"f"});
  ASSERT_EQ(unread.findings.size(), 1u);
  EXPECT_EQ(unread.findings[0].rule, "unreadable");
  EXPECT_EQ(unread.findings[0].location.line, 1);
  EXPECT_TRUE(unread.text.empty());
}

TEST(SourceExtract, WhatIsUnreadableElsewhereDoesntMatter) {
  EXPECT_TRUE(extracted("int g(void) { return nobody; }\nint f(void) { return 1; }\n", {"f"}).findings.empty());
}

TEST(SourceExtract, TellsWhatChanges) {
  const SourceUnit before = unit_of("static int v = 1;\nint f(void) { return v; }\nint g(void) { return 3; }\n");
  const SourceUnit after = unit_of(
      "static int v = 2;\nstatic int w;\nint f(void)\n{ return v + w; }\nint g(void) {  return 3; }\nasm(\"nop\");\n");
  const UnitChanges changes = SourceUnit::changes(before, after);
  ASSERT_EQ(changes.functions.size(), 1u);
  EXPECT_EQ(changes.functions[0].name, "f");
  ASSERT_EQ(changes.variables.size(), 1u);
  EXPECT_EQ(changes.variables[0].name, "v");
  ASSERT_EQ(changes.new_variables.size(), 1u);
  EXPECT_EQ(changes.new_variables[0].name, "w");
  EXPECT_EQ(changes.others.size(), 1u);
}

TEST(SourceExtract, NumbersOfMacrosAreNoChange) {
  const auto text = [](int n) {
    return fmt::format(
        "int f(int a) {{ int __UNIQUE_ID_x_{0} = a; return __UNIQUE_ID_x_{0}; }}\n"
        "int g(void) {{ extern void __compiletime_assert_{0}(void) __attribute__((__error__(\"max(a, "
        "__compiletime_assert_{0}())\"))); "
        "return 1; }}\n"
        "asm(\".section \\\".initcall6.init\\\"\\n__initcall__kmod_reboot__{0}_{1}_start6:\");\n",
        n, n + 1000);
  };
  const UnitChanges changes = SourceUnit::changes(unit_of(text(473)), unit_of(text(481)));
  EXPECT_TRUE(changes.functions.empty());
  EXPECT_TRUE(changes.others.empty());
  // Another function that is started is one.
  EXPECT_EQ(SourceUnit::changes(unit_of("asm(\"__initcall__kmod_a__1_2_start6:\");"),
                                unit_of("asm(\"__initcall__kmod_a__1_2_begin6:\");"))
                .others.size(),
            1u);
}

}  // namespace
}  // namespace kpatch
