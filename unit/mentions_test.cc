// Which units a changed header can change: never too few, and few where names tell.
#include "kbuild/mentions.h"

#include <gtest/gtest.h>

#include "kbuild/includes.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

constexpr const char* everything = "everything";

Names changed(std::string_view original, std::string_view patched) {
  const ChangedNames names = changed_names(original, patched);
  return names.everything ? Names{everything} : names.names;
}

TEST(ChangedNames, OfWhatIsNothingWhereItIsNotUsed) {
  const std::string other = "int g(void);\nstruct s { int a; };\n";
  EXPECT_EQ(
      changed(other + "static inline int f(int x) { return x; }", other + "static inline int f(int x) { return 2; }"),
      Names{"f"});
  EXPECT_EQ(changed("#define M 1\n" + other, "#define M \\\n 2\n" + other), Names{"M"});
  EXPECT_EQ(changed(other, other + "extern int limit, more[2];"), (Names{"limit", "more"}));
  EXPECT_EQ(changed(other + "int __must_check h(int);", other + "int h(long) __printf(1, 2);"), Names{"h"});
  EXPECT_EQ(changed("enum e { A, B = 4 };", "enum e { A, NEW, B = 4 };"), (Names{"A", "B", "NEW"}));
  EXPECT_EQ(changed(other, other + "struct later;"), Names{"later"});
}

TEST(ChangedNames, CommentsAndLinesAreNothing) {
  EXPECT_EQ(changed("int f(void);\n/* a */ int g(void);", "int f(void); // b \\\n c\n\n#line 4\nint g ( void );"),
            Names{});
}

TEST(ChangedNames, WhatNobodyCanTell) {
  EXPECT_EQ(changed("struct s { int a; };", "struct s { int a, b; };"), Names{everything});
  EXPECT_EQ(changed("int a;", "#include <x.h>\nint a;"), Names{everything});
  EXPECT_EQ(changed("typedef int t;", "typedef long t;"), Names{everything});
  EXPECT_EQ(changed("static int f(int x) { return x; }", "static int f(int x) { return 1; }"), Names{everything});
  EXPECT_EQ(changed("DEFINE_X(a)\nstatic inline int f(void) { return 1; }",
                    "DEFINE_X(b)\nstatic inline int f(void) { return 1; }"),
            Names{everything});
  EXPECT_EQ(changed("enum { A = 1 };", "enum { A = 0x100000000 };"), Names{everything});
  // A variable, wherever it is defined, is there.
  EXPECT_EQ(changed("", "int x;"), Names{everything});
  EXPECT_EQ(changed("", "static int x[2];"), Names{everything});
  EXPECT_EQ(changed("", "int (*p)(int);"), Names{everything});
  EXPECT_EQ(changed("", "int x, f(int);"), Names{everything});
  EXPECT_EQ(changed("#pragma pack(1)\nint a;", "int a;"), Names{everything});
  EXPECT_EQ(changed("#define A 1\n#define B A\n", "#define B A\n#define A 1\n"), Names{everything});
  EXPECT_EQ(changed("}", "} int f(void) {"), Names{everything});
}

// The conditions around a declaration are part of it.
TEST(ChangedNames, Conditions) {
  const std::string f = "static inline int f(void) { return 1; }\n";
  EXPECT_EQ(changed("#ifdef A\n" + f + "#endif\nint g(void);", "#ifdef B\n" + f + "#endif\nint g(void);"), Names{"f"});
  EXPECT_EQ(
      changed("#ifdef A\n" + f + "#else\n#define f() 2\n#endif\n", "#ifdef A\n" + f + "#else\n#define f() 3\n#endif\n"),
      Names{"f"});
}

// After preprocessing.
TEST(CodeMayDiffer, OnlyWhereWhatChangesIsUsed) {
  const std::string before = "static inline int f(int x) { return x; }\nint limit;\n";
  const std::string after = "static inline int f(int x) { return 1; }\nint limit;\n";
  const std::string through = "static inline __attribute__((__unused__)) int g(void) { return f(2); }\n";
  EXPECT_FALSE(code_may_differ(before, after));
  EXPECT_FALSE(code_may_differ(before + through, after + through));
  EXPECT_FALSE(code_may_differ(before, "int more(int);\n" + before));
  for (const char* user :
       {"int h(void) { return g(); }", "static int h(void) { return g(); }", "int (*p)(void) = g;", "asm(\"call\" g);",
        "inline int h(void) { return g(); }", "static inline __attribute__((used)) int h(void) { return g(); }",
        "struct s { int a[sizeof(g())]; };", "typedef typeof(g()) t;"})
    EXPECT_TRUE(code_may_differ(before + through + user, after + through + user)) << user;
  EXPECT_TRUE(code_may_differ(before, before + "int other;\n" + "static int kept(void) { return 1; }"));
  EXPECT_TRUE(code_may_differ("struct s { int a; };" + before, "struct s { long a; };" + before));
}

TEST(CodeUses, WhatChanges) {
  const std::string text =
      "static inline int f(int x) { return 1; }\nstatic inline int g(void) { return f(2); }\nint f2(int);\n";
  const Names names = {"f"};
  EXPECT_FALSE(code_uses(text, names));
  EXPECT_FALSE(code_uses(text + "int h(void) { return g(); }", Names{}));
  EXPECT_TRUE(code_uses(text + "int h(void) { return g(); }", names));
  EXPECT_FALSE(code_uses(text + "int h(void) { return f2(1); }", names));
}

TEST(ChangedNames, MacrosAreToldApart) {
  EXPECT_TRUE(changed_names("#define M 1\n", "#define M 2\n").macros);
  EXPECT_FALSE(changed_names("#define M 1\nint f(int);\n", "#define M 1\nint f(long);\n").macros);
}

class MentionsTest : public testing::Test {
 protected:
  MentionsTest() {
    write("include/used.h", "static inline int used(int x) { return x; }\nstruct s { int a; };\n");
    write("patched/used.h", "static inline int used(int x) { return x + 1; }\nstruct s { int a; };\n");
  }

  void write(const std::string& name, const std::string& text) {
    fs::create_directories((folder_.path() / name).parent_path());
    folder_.write(name, text);
  }

  void unit(const std::string& name, const std::string& text) {
    write(name, text);
    units_.push_back({name + ".o", name, "", {"gcc", "-I" + (folder_.path() / "include").string()}});
  }

  void change_net_err_limited() {
    write("include/used.h", "static inline int net_err_limited(int x) { return x; }\n");
    write("patched/used.h", "static inline int net_err_limited(int x) { return x + 1; }\n");
  }

  Names found(const std::string& header = "include/used.h", const std::string& patched = "patched/used.h") {
    const std::vector<std::string> asked = {header};
    const IncludeGraph graph(folder_.path(), folder_.path() / "kbuild", units_, asked);
    const std::vector<HeaderChange> changes = {{header, folder_.path() / header, folder_.path() / patched}};
    Names names;
    for (const size_t i : units_that_mention(graph, units_, changes).units) names.push_back(units_[i].source);
    return names;
  }

  const TemporaryFolder folder_;
  std::vector<CompileCommand> units_;
};

TEST_F(MentionsTest, ByItsName) {
  unit("a.c", "#include <used.h>\nint f(void) { return used(1); }\n");
  unit("b.c", "#include <used.h>\nint g(void) { return 1; } // used\n");
  EXPECT_EQ(found(), Names{"a.c"});
}

TEST_F(MentionsTest, OnTheCommandLine) {
  unit("a.c", "#include <used.h>\nint f(void) { return CALL(1); }\n");
  units_.back().arguments.push_back("-DCALL=used");
  unit("b.c", "#include <used.h>\nint g(void) { return CALL(1); }\n");
  units_.back().arguments.push_back("-DCALL=unused");
  EXPECT_EQ(found(), Names{"a.c"});
}

TEST_F(MentionsTest, ThroughOtherHeaders) {
  write("include/other.h",
        "#include <used.h>\nstatic inline int other(void) { return used(2); }\n#define MACRO other()\n");
  unit("a.c", "#include <other.h>\nint f(void) { return MACRO; }\n");
  unit("b.c", "#include <other.h>\nint g(struct s* x) { return x->a; }\n");
  EXPECT_EQ(found(), Names{"a.c"});
}

TEST_F(MentionsTest, WhatIsNotFollowedByNameMakesAllIncludersDiffer) {
  unit("b.c", "#include <used.h>\nint g(void) { return 1; }\n");
  for (const char* text : {"static int other(void) { return used(2); }\n", "struct t { int a[sizeof(used(1))]; };\n",
                           "DEFINE_CALL(used)\n", "#if used\n#endif\n", "int other(int x[sizeof(used(1))]);\n",
                           "static int (*other)(int) = used;\n"}) {
    write("include/other.h", std::string("#include <used.h>\n") + text);
    units_.resize(1);
    unit("a.c", "#include <other.h>\nint f(void) { return 1; }\n");
    EXPECT_EQ(found(), Names{"a.c"}) << text;
  }
}

TEST_F(MentionsTest, NamesThatThePreprocessorMakes) {
  write("include/paste.h",
        "#include <used.h>\n#define CALL(name) us##name(1)\n#define JOIN(a, b) a##b\n"
        "#define ALSO(name) CALL(name)\n#define MIDDLE(a, b) a##se##b\n");
  unit("a.c", "#include <paste.h>\nint f(void) { return CALL(ed); }\n");
  unit("b.c", "#include <paste.h>\nint g(void) { return CALL(eless); }\n");
  unit("c.c", "#include <paste.h>\nint h(void) { return JOIN(use, d)(1); }\n");
  unit("d.c", "#include <paste.h>\nint i(void) { return JOIN(use, less)(1); }\n");
  unit("e.c", "#include <paste.h>\nint j(void) { return ALSO(ed); }\n");
  unit("f.c", "#include <paste.h>\nint k(void) { return MIDDLE(u, d)(1); }\n");
  EXPECT_EQ(found(), (Names{"a.c", "c.c", "e.c", "f.c"}));
}

// A macro with words of its own before and behind what it is given; through another one; by one that joins.
TEST_F(MentionsTest, NamesOfManyParts) {
  change_net_err_limited();
  write(
      "include/paste.h",
      "#include <used.h>\n#define BOTH(level) net_##level##_limited(1)\n#define THROUGH(x, level) do { BOTH(level); } "
      "while (0)\n#define JOIN_(a, b) a##b\n#define JOIN(a, b) JOIN_(a, b)\n"
      "#define JOINED(level) JOIN(JOIN(net_, level), _limited)(1)\n#define END(x) x##_limited(1)\n"
      "#define BEGIN(x) END(net_##x)\n#define PREFIX net_\n#define THREE(a, b, c) a##b##c\n#define LEVEL err\n");
  const std::map<std::string, std::string> with = {{"both", "BOTH(err)"},
                                                   {"through", "THROUGH(1, err)"},
                                                   {"joined", "JOINED(err)"},
                                                   {"begin", "BEGIN(err)"},
                                                   {"prefix", "JOIN(PREFIX, err_limited)(1)"},
                                                   {"nested", "JOIN(JOIN(net_, err), _limited)(1)"},
                                                   {"three", "THREE(net, _err, _limited)(1)"},
                                                   {"alias", "JOINED(LEVEL)"}};
  const std::map<std::string, std::string> without = {{"both", "BOTH(warn)"},
                                                      {"through", "THROUGH(1, warn)"},
                                                      {"joined", "JOINED(warn)"},
                                                      {"begin", "BEGIN(warn)"},
                                                      {"prefix", "JOIN(PREFIX, warn_limited)(1)"},
                                                      {"nested", "JOIN(JOIN(net_, warn), _limited)(1)"},
                                                      {"three", "THREE(net, _warn, _limited)(1)"},
                                                      {"alias", "LEVEL"}};
  for (const auto& [name, code] : with)
    unit("with-" + name + ".c", "#include <paste.h>\nint f(void) { return " + code + "; }\n");
  for (const auto& [name, code] : without)
    unit("without-" + name + ".c", "#include <paste.h>\nint f(void) { return " + code + "; }\n");
  Names expected;
  for (const auto& [name, code] : with) expected.push_back("with-" + name + ".c");
  EXPECT_EQ(found(), expected);
}

// The macro is the unit's own.
TEST_F(MentionsTest, NamesOfManyPartsByAMacroOfTheUnit) {
  change_net_err_limited();
  write("include/paste.h", "#include <used.h>\n#define END(x) x##_limited(1)\n");
  const std::string includes = "#include <paste.h>\n";
  unit("a.c", includes + "#define BOTH(level) net_##level##_limited(1)\nint f(void) { return BOTH(err); }\n");
  unit("b.c", includes + "#define BOTH(level) net_##level##_limited(1)\nint f(void) { return BOTH(warn); }\n");
  unit("c.c", includes + "#define BEGIN(level) END(net_##level)\nint f(void) { return BEGIN(err); }\n");
  unit("d.c", includes + "#define BEGIN(level) END(net_##level)\nint f(void) { return BEGIN(warn); }\n");
  write("include/join.h", "#include <used.h>\n#define JOIN(a, b) a##b\n");
  const std::string mine = "#include <join.h>\n#define MINE(level) JOIN(JOIN(net_, level), _limited)(1)\n";
  unit("e.c", mine + "int f(void) { return MINE(err); }\n");
  unit("f.c", mine + "int f(void) { return MINE(warn); }\n");
  EXPECT_EQ(found(), (Names{"a.c", "c.c", "e.c"}));
}

// Lists in headers: of a macro that is handed to one, and of one that is defined before one is included.
TEST_F(MentionsTest, NamesThatListsMake) {
  change_net_err_limited();
  write("include/paste.h", "#include <used.h>\n#define BOTH(level) net_##level##_limited(1)\n");
  write("include/list.h", "#define LEVELS(F) F(err) F(warn)\n");
  write("include/calls.h", "CALL(err)\nCALL(warn)\n");
  const std::string includes = "#include <paste.h>\n#include <list.h>\n";
  const std::string mine = "#define MINE(level) net_##level##_limited(1);\n";
  unit("a.c", includes + "int f(void) { return LEVELS(BOTH); }\n");
  unit("b.c", includes + mine + "int f(void) { LEVELS(MINE) }\n");
  unit("c.c", includes + "#define CALL(level) net_##level##_limited(1);\nint f(void) {\n#include <calls.h>\n}\n");
  unit("d.c", includes + "#define CALL(level) net_##level##_allowed(1);\nint f(void) {\n#include <calls.h>\n}\n");
  unit("e.c", includes + "int f(void) { return BOTH(warn); }\n");
  EXPECT_EQ(found(), (Names{"a.c", "b.c", "c.c"}));
}

// #ifdef asks whether a macro is there, which an inline function of that name doesn't change.
TEST_F(MentionsTest, WhetherAMacroIsDefined) {
  write("include/asks.h", "#include <used.h>\n#ifdef used\nstruct t { int a; };\n#endif\n");
  unit("a.c", "#include <asks.h>\nint f(void) { return 1; }\n");
  EXPECT_EQ(found(), Names{});
  write("patched/used.h", "static inline int used(int x) { return x; }\nstruct s { int a; };\n#define used used\n");
  EXPECT_EQ(found(), Names{"a.c"});
}

TEST_F(MentionsTest, AStructIsTheWholeHeader) {
  write("patched/used.h", "static inline int used(int x) { return x; }\nstruct s { int a, b; };\n");
  unit("a.c", "#include <used.h>\nint f(void) { return 1; }\n");
  unit("b.c", "int g(void) { return 1; }\n");
  EXPECT_EQ(found(), Names{"a.c"});
}

// What a unit includes besides headers is code of it.
TEST_F(MentionsTest, CodeThatIsIncluded) {
  write("part.c", "#include <used.h>\nstatic int part(void) { return used(1); }\n");
  unit("a.c", "#include \"part.c\"\nint f(void) { return part(); }\n");
  EXPECT_EQ(found(), Names{"a.c"});
}

}  // namespace
}  // namespace kpatch
