// Types and prototypes that the rest of the kernel was compiled with: what counts as a change, and what is harmless.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "create-diff-object/data-layout.h"
#include "unit/object_files.h"

namespace kpatch {
namespace {

struct Case {
  const char* name;
  const char* before;
  const char* after;
  std::vector<std::string> findings;  // "refused RULE where"
};

constexpr const char* ending = "int f(struct s *s) { return s->b + VALUE; }\n";

const Case cases[] = {
    {"MemberInTheMiddle", "struct s { int a, b; };", "struct s { int a, n, b; };", {"refused data-layout struct s"}},
    {"MemberAtTheEnd", "struct s { int a, b; };", "struct s { int a, b, n; };", {"refused data-layout struct s"}},
    {"MembersInAnotherOrder", "struct s { int a, b; };", "struct s { int b, a; };", {"refused data-layout struct s"}},
    {"AnotherWidth",
     "struct s { int b : 3, c : 5; };",
     "struct s { int b : 4, c : 4; };",
     {"refused data-layout struct s"}},
    {"InANamelessUnion",
     "struct s { int b; union { int c; struct { short d, e; }; }; };",
     "struct s { int b; union { int c; struct { char x; short d; char e; }; }; };",
     {"refused data-layout struct s"}},
    {"HeldByAnother",
     "struct in { int x; }; struct s { int b; struct in in; };",
     "struct in { int x, y; }; struct s { int b; struct in in; };",
     {"refused data-layout struct in", "refused data-layout struct s"}},
    {"EnumWithOtherValues",
     "enum e { one, two }; struct s { int b; enum e e; };",
     "enum e { zero, one, two }; struct s { int b; enum e e; };",
     {"refused data-layout enum e"}},
    {"TypedefOfANamelessStruct",
     "typedef struct { int x; } in_t; struct s { int b; in_t *in; };",
     "typedef struct { int x, y; } in_t; struct s { int b; in_t *in; };",
     {"refused data-layout in_t"}},
    {"NamelessEnumWithOtherValues",
     "enum { zero, one = VALUE }; struct s { int b; int c[one + 1]; }; int g(int x) { return x == one; }",
     "enum { zero, one = VALUE }; struct s { int b; int c[one]; }; int g(int x) { return x == one; }",
     {"refused data-layout enum without a name"}},
    {"PointerToAnother",
     "struct s { int a, b; struct x { int y; } *p; };",
     "struct s { int a, b; struct z { int y; } *p; };",
     {"refused data-layout struct s"}},
    {"OperationWithAnotherPrototype",
     "struct s { int a, b; int (*open)(int); };",
     "struct s { int a, b; int (*open)(int, long); };",
     {"refused data-layout struct s"}},
    {"FlexibleArrayOfAnotherSize",
     "struct s { int a, b; unsigned char data[]; };",
     "struct s { int a, b; unsigned short data[]; };",
     {"refused data-layout struct s"}},
    {"ArrayOfNamelessStructs",
     "struct s { int b; struct { int x, y; } slots[2]; };",
     "struct s { int b; struct { int y, x; } slots[2]; };",
     {"refused data-layout struct s"}},
    {"NoLongerPacked",
     "struct s { char a; int b; } __attribute__((packed));",
     "struct s { char a; int b; };",
     {"refused data-layout struct s"}},
    {"Packed",
     "struct s { short a; int b; char c; };",
     "struct s { short a; int b; char c; } __attribute__((packed));",
     {"refused data-layout struct s"}},
    {"AlignedMore",
     "struct s { int a, b, c, d; } __attribute__((aligned(8)));",
     "struct s { int a, b, c, d; } __attribute__((aligned(16)));",
     {"refused data-layout struct s"}},
    {"UnionThatGrows",
     "union u { int x; }; struct s { int b; union u *u; };",
     "union u { int x; long y; }; struct s { int b; union u *u; };",
     {"refused data-layout union u"}},
    {"AnotherMeaningUnderANewName",
     "struct s { unsigned long a; int b; };",
     "struct s { void *p; int b; };",
     {"refused data-layout struct s"}},
    {"OneMemberForTwo",
     "struct s { short lo, hi; int b; };",
     "struct s { int both; int b; };",
     {"refused data-layout struct s"}},
    {"TwoBitFieldsForOne",
     "struct s { unsigned a : 4; int b; };",
     "struct s { unsigned c : 2, d : 2; int b; };",
     {"refused data-layout struct s"}},
    {"MemberInAHole",
     "struct s { char a; int b; };",
     "struct s { char a, n; int b; };",
     {"warning data-layout struct s"}},
    {"MemberInAUnion",
     "struct s { union { long a; }; int b; };",
     "struct s { union { long a; int n; }; int b; };",
     {"warning data-layout struct s"}},
    {"AnotherName",
     "struct s { unsigned long jiffies; int b; };",
     "struct s { unsigned long ns; int b; };",
     {"warning data-layout struct s"}},
    {"AnotherNameForAStructWithin",
     "struct in { int x, y; }; struct s { struct in old; int b; };",
     "struct in { int x, y; }; struct s { struct in young; int b; };",
     {"warning data-layout struct s"}},
    {"StructForAnotherInAVariable",
     "struct t { int x, y; }; static struct t t; int g(void) { return t.x; } void put(int x) { t.x = x; } struct s { "
     "int b; };",
     "struct u { int y, x; }; static struct u t; int g(void) { return t.x; } void put(int x) { t.x = x; } struct s { "
     "int b; };",
     {"refused data-layout struct t", "refused data-layout t"}},
    {"PointerForANumberInAVariable",
     "struct s { int b; }; unsigned long t; int g(void) { return t != 0; }",
     "struct s { int b; }; struct s *t; int g(void) { return t != 0; }",
     {"refused data-layout t"}},
    {"ElementsOfAnArray",
     "struct s { int b; }; static long t[4]; long *g(void) { return t; }",
     "struct s { int b; }; static void *t[4]; void **g(void) { return t; }",
     {"refused data-layout t"}},
    {"VariableOfAnotherFile",
     "struct t { int x, y; }; extern struct t t; int g(void) { return t.x; } struct s { int b; };",
     "struct u { int y, x; }; extern struct u t; int g(void) { return t.x; } struct s { int b; };",
     {"refused data-layout struct t", "refused data-layout t"}},
    {"StaticLocal",
     "struct s { int b; }; int g(void) { static unsigned long t; return t++ != VALUE; }",
     "struct s { int b; }; int g(void) { static struct s *t; return t++ != (void *)VALUE; }",
     {"refused data-layout t"}},
    {"StructUnderAnotherNameThatGrows",
     "struct t { int x, y; }; struct s { int b; }; int g(void *p) { return ((struct t *)p)->y; }",
     "struct u { int x, n, y; }; struct s { int b; }; int g(void *p) { return ((struct u *)p)->y; }",
     {"refused data-layout struct t"}},
    {"TypedefUnderAnotherNameThatGrows",
     "typedef struct { int x, y; } t; struct s { int b; }; int g(void *p) { return ((t *)p)->y; }",
     "typedef struct { int x, y, n; } u; struct s { int b; }; int g(void *p) { return ((u *)p)->y; }",
     {"refused data-layout t"}},
    // What follows is no change of layout.
    {"StructUnderAnotherName",
     "struct t { int x, y; }; struct s { int b; }; int g(void *p) { return ((struct t *)p)->y; }",
     "struct u { int x, y; }; struct s { int b; }; int g(void *p) { return ((struct u *)p)->y; }",
     {}},
    {"OneStructGoesAnotherComes",
     "struct t { int x, y; }; struct s { int b; }; int g(void *p) { return ((struct t *)p)->y; }",
     "struct u { int k, l, m; }; struct s { int b; }; int g(void *p) { return ((struct u *)p)->l; }",
     {}},
    {"AWrapperOfTheSame",
     "struct s { int a, b; };",
     "typedef struct { int counter; } atomic_t; typedef struct { atomic_t refs; } refcount_t; struct s { refcount_t a; "
     "int b; };",
     {}},
    {"AnotherWrapperOfTheSame",
     "struct in { int x[2]; }; struct lock { union { struct in in; }; }; struct s { int b; struct lock l; };",
     "struct in { int x[2]; }; struct raw { struct in in; }; struct s { int b; struct raw l; };",
     {}},
    {"StructUnderAnotherNameInAVariable",
     "struct t { int x, y; }; static struct t t; int g(void) { return t.x; } void put(int x) { t.x = x; } struct s { "
     "int b; };",
     "struct u { int x, y; }; static struct u t; int g(void) { return t.x; } void put(int x) { t.x = x; } struct s { "
     "int b; };",
     {}},
    {"NumberWithoutSignInAVariable",
     "struct s { int b; }; int t; int g(void) { return t != 0; }",
     "struct s { int b; }; unsigned t; int g(void) { return t != 0; }",
     {}},
    {"VariableThatTheModuleBrings",
     "struct s { int b; }; int g(int x) { static const long t[2] = {1, 2}; return t[x]; }",
     "struct s { int b; }; int g(int x) { static const struct { char x[8]; } t[2] = {{\"a\"}, {\"b\"}}; return "
     "t[x].x[1]; }",
     {}},
    {"AnotherNameForANumber", "struct s { unsigned int a; int b; };", "typedef int s32; struct s { s32 a, b; };", {}},
    {"AFlexibleArrayWithoutAZero", "struct s { int a, b; char c[0]; };", "struct s { int a, b; char c[]; };", {}},
    {"VoidPointerWithAType", "struct s { int b; void *p; };", "struct s { int b; struct x { int y; } *p; };", {}},
    {"AlignedLess",
     "struct s { int a, b, c, d; } __attribute__((aligned(16)));",
     "struct s { int a, b, c, d; } __attribute__((aligned(8)));",
     {}},
    {"TheSame", "struct s { int a, b; };", "struct s { int a, b; };", {}},
    {"OutOfAStructWithin",
     "struct s { int b; struct { int head, tail; } ring; };",
     "struct s { int b; int head, tail; };",
     {}},
    {"NewValueOfAnEnum",
     "enum e { one, two }; struct s { int b; enum e e; };",
     "enum e { one, two, three }; struct s { int b; enum e e; };",
     {}},
    {"NewType",
     "struct s { int a, b; };",
     "struct n { int x; }; struct s { int a, b; }; int g(struct n *n) { return n->x; }",
     {}},
};

class DataLayoutTest : public ObjectFiles, public testing::WithParamInterface<Case> {
 protected:
  std::vector<std::string> findings(const std::string& before, const std::string& after,
                                    const std::set<std::string>& acknowledged, const char* flags = "-g") {
    DifferInput pair = input(compile(before, "orig.o", flags), compile(after, "patched.o", flags));
    pair.acknowledged = acknowledged;
    std::vector<std::string> list;
    for (const Finding& f : run_differ(pair).findings)
      if (f.rule == "data-layout" || f.rule == "export")
        list.push_back((f.severity == Severity::refusal ? "refused " : "warning ") + f.rule + " " +
                       name_of(f.location));
    std::sort(list.begin(), list.end());
    return list;
  }

  // Of the one finding that there is.
  std::string message(const std::string& before, const std::string& after,
                      const std::vector<ExportChange>& exports = {}, const char* flags = "-g") {
    DifferInput pair = input(compile(before, "orig.o", flags), compile(after, "patched.o", flags));
    if (!exports.empty()) folder_.write("exports", text_of(exports)), pair.export_changes = path("exports");
    std::string text;
    for (const Finding& f : run_differ(pair).findings)
      if (f.rule == "data-layout" || f.rule == "export") text += (text.empty() ? "" : "\n") + message_of(f);
    return text;
  }

  static std::string local(const std::string& members) {
    return "struct s { " + members +
           " }; void use(void *p); int f(int x) { struct s s = { x, 2 }; use(&s); return s.b; }";
  }

  static std::string with(const char* types, const char* value) {
    return std::string{"#define VALUE "} + value + "\n" + types + "\n" + ending;
  }
};

TEST_P(DataLayoutTest, NamesWhatChanges) {
  EXPECT_EQ(findings(with(GetParam().before, "1"), with(GetParam().after, "2"), {}), GetParam().findings);
}

INSTANTIATE_TEST_SUITE_P(Types, DataLayoutTest, testing::ValuesIn(cases),
                         [](const auto& param) { return std::string{param.param.name}; });

using DataLayout = DataLayoutTest;

TEST_F(DataLayout, BitFieldsOfDwarf4AreKnownToo) {
  EXPECT_EQ(findings(with("struct s { unsigned b : 3, c : 5; };", "1"),
                     with("struct s { unsigned c : 5, b : 3; };", "2"), {}, "-gdwarf-4 -gstrict-dwarf"),
            (std::vector<std::string>{"refused data-layout struct s"}));
}

TEST_F(DataLayout, TellsWhichMemberHasAnotherName) {
  EXPECT_EQ(
      message(with("struct s { long jiffies; int b; };", "1"), with("struct s { long ns; int b; };", "2")),
      "has a member under another name (ns was jiffies): what exists holds it as the old one, and code that isn't "
      "patched goes on writing it so (passed to or from f)");
}

TEST_F(DataLayout, TellsOfAVariableWhatItIsNow) {
  const std::string grown = message(with("struct s { int b; }; struct s t; int g(void) { return t.b; }", "1"),
                                    with("struct s { int b, n; }; struct s t; int g(void) { return t.b; }", "2"));
  EXPECT_NE(grown.find("is a struct s of another layout, and lives in the kernel"), std::string::npos) << grown;
  const std::string other = message(with("struct s { int b; }; unsigned long t; int g(void) { return t != 0; }", "1"),
                                    with("struct s { int b; }; struct s *t; int g(void) { return t != 0; }", "2"));
  EXPECT_NE(other.find("is a pointer to struct s instead of a "), std::string::npos) << other;
}

TEST_F(DataLayout, TellsWhoUsesTheType) {
  EXPECT_EQ(
      message(with("struct s { int a, b; }; struct h { struct s s; int x; } h; struct p { struct s *s; } p;\n"
                   "static struct s *last; void set(struct s *s) { last = s; } struct s *get(void) { return last; }",
                   "1"),
              with("struct s { int b, a; }; struct h { struct s s; int x; } h; struct p { struct s *s; } p;\n"
                   "static struct s *last; void set(struct s *s) { last = s; } struct s *get(void) { return last; }",
                   "2")),
      "changes its layout: a moves from 0 to 4; b moves from 4 to 0. What exists was made with the old one, for code "
      "that may not be patched (held by struct h; pointed to by struct p; in variable last; passed to or from f, get, "
      "set)");
  EXPECT_EQ(message(local("int a, b;"), local("int b, a;")),
            "changes its layout: a moves from 0 to 4; b moves from 4 to 0. It is defined in this file alone, and "
            "nothing but its functions' parameters and locals show it; what exists was made with the old one");
}

TEST_F(DataLayout, IsAWarningWhereTheAuthorTakesItUponHimself) {
  EXPECT_EQ(findings(with("struct s { int a, b; };", "1"), with("struct s { int a, n, b; };", "2"), {"data-layout"}),
            (std::vector<std::string>{"warning data-layout struct s"}));
}

TEST_F(DataLayout, OfAPatchThatChangesNoCodeIsOfNoInterest) {
  EXPECT_EQ(findings(with("struct s { int b; };", "1"), with("struct s { int b, n; };", "1"), {}),
            std::vector<std::string>{});
}

TEST_F(DataLayout, NothingIsKnownWithoutDwarf) {
  EXPECT_EQ(findings(with("struct s { int a, b; };", "1"), with("struct s { int a, n, b; };", "2"), {}, "-g0"),
            std::vector<std::string>{});
}

// What was handed out as a pointer is called as it was declared then.
TEST_F(DataLayout, AFunctionThatWasHandedOutKeepsItsPrototype) {
  const auto with_use = [](const std::string& parameter, const std::string& use) {
    return "struct work { long a; }; struct head { long b; }; void queue(const void *f);"
           "static __attribute__((noinline)) int run(struct " +
           parameter + " *p) { return *(long *)p + VALUE; }" + use;
  };
  const std::string queued = "void f(void) { queue(run); }", called = "int f(void *p) { return run(p) * 2; }",
                    table = "int (*const ops[])(struct work *) = {(void *)run};";
  const std::vector<std::string> refused{"refused data-layout run"}, none;
  EXPECT_EQ(
      findings("#define VALUE 1\n" + with_use("work", queued), "#define VALUE 2\n" + with_use("head", queued), {}),
      refused);
  EXPECT_EQ(findings("#define VALUE 1\n" + with_use("work", table), "#define VALUE 2\n" + with_use("head", table), {}),
            refused);
  EXPECT_EQ(findings("#define VALUE 1\n" + with_use("work", queued), "#define VALUE 2\n" + with_use("head", queued),
                     {"data-layout"}),
            std::vector<std::string>{"warning data-layout run"});
  EXPECT_EQ(
      findings("#define VALUE 1\n" + with_use("work", called), "#define VALUE 2\n" + with_use("head", called), {}),
      none);
  EXPECT_EQ(
      findings("#define VALUE 1\n" + with_use("work", queued), "#define VALUE 2\n" + with_use("work", queued), {}),
      none);
}

constexpr const char* exported =
    "\nint __ksymtab_f __attribute__((section(\"___ksymtab+f\"))) = 1; int g(int x) { return x; }";

TEST_F(DataLayout, PrototypesOfExportsStay) {
  EXPECT_EQ(findings(std::string{"int f(int a) { return a; }"} + exported,
                     std::string{"int f(int n, int a) { return a + n; }"} + exported, {}),
            (std::vector<std::string>{"refused export f"}));
  EXPECT_EQ(findings(std::string{"int f(int a) { return a; }"} + exported,
                     std::string{"long f(int a) { return a; }"} + exported, {}),
            (std::vector<std::string>{"refused export f"}));
}

TEST_F(DataLayout, NamesOfParametersAndOtherFunctionsAreFree) {
  EXPECT_EQ(findings(std::string{"int f(int a) { return a; } int h(int x) { return x; }"} + exported,
                     std::string{"int f(int b) { return b + 1; } int h(long x) { return 1; }"} + exported, {}),
            std::vector<std::string>{});
}

constexpr const char* kfunc_list =
    "\nextern unsigned __BTF_ID__func__f__7; unsigned *list(void) { return &__BTF_ID__func__f__7; }";

TEST_F(DataLayout, FunctionsThatBpfKnowsKeepTheirPrototype) {
  const auto rules = [&](const char* before, const char* after) {
    const DifferInput pair = input(compile(std::string{before} + kfunc_list, "orig.o", "-g"),
                                   compile(std::string{after} + kfunc_list, "patched.o", "-g"));
    std::vector<std::string> list;
    for (const Finding& f : run_differ(pair).findings)
      if (f.severity == Severity::refusal) list.push_back(f.rule + " " + f.location.function);
    return list;
  };
  const std::vector<std::string> refused = {"btf f"}, fine;
  EXPECT_EQ(rules("int f(int a) { return a; }", "int f(int a, int b) { return a + b; }"), refused);
  EXPECT_EQ(rules("int f(int a) { return a; }", "long f(int a) { return a; }"), refused);
  EXPECT_EQ(rules("int f(int a) { return a; }", "int f(int a) { return a + 1; }"), fine);
  EXPECT_EQ(rules("int f(int a) { return a; }", "int f(int better) { return better + 1; }"), fine);
  // By the ending of a parameter's name the verifier lets null through; no code need differ.
  EXPECT_EQ(rules("int f(int *p) { return p != 0; }", "int f(int *p__nullable) { return p__nullable != 0; }"), refused);
  EXPECT_EQ(rules("int f(int *p__nullable) { return p__nullable != 0; }", "int f(int *p) { return p != 0; }"), refused);
  EXPECT_EQ(rules("int f(int a) { return a; } int bpf_iter_x(int a) { return 0; }",
                  "int f(int a) { return a; } int bpf_iter_x(int a, int b) { return 0; }"),
            (std::vector<std::string>{"btf bpf_iter_x"}));
  // Of other functions the names alone count: stubs of struct_ops are static.
  EXPECT_EQ(rules("int f(int a) { return a; } int g(int a) { return a; }",
                  "int f(int a) { return a; } int g(int a, int b) { return a + b; }"),
            fine);
}

// What the kernel's own generator says of the exports comes along.
constexpr const char* takes_a_struct =
    "int f(struct s *s) { return s->b + VALUE; } int __ksymtab_f __attribute__((section(\"___ksymtab+f\"))) = 1;";

std::string exporting(const char* types, const char* value) {
  return std::string("#define VALUE ") + value + "\n" + types + takes_a_struct;
}

TEST_F(DataLayout, VersionsOfExportsStay) {
  const std::string before = exporting("struct s { int a, b; };", "1");
  EXPECT_EQ(
      message(before, exporting("struct s { int a, b, n; };", "2"), {{"f", 1, 2, {"s#s"}}}),
      "is exported, and its version changes from 0x00000001 to 0x00000002, by struct s (gains n at 8; grows from 8 to "
      "12 bytes). "
      "Modules that exist were compiled with the old one\n"
      "changes its layout: gains n at 8; grows from 8 to 12 bytes. What exists was made with the old one, for code "
      "that may not be patched (passed to or from f)");
  EXPECT_EQ(
      message(before, exporting("struct s { int a, b; };", "2"), {{"f", 1, 2, {"f"}}, {"g", 1, 2, {"f"}}}),
      "is exported, and its version changes from 0x00000001 to 0x00000002, by its own declaration; so do those of g. "
      "Modules that exist were compiled with the old one");
  // Without DWARF there is nothing that excuses it.
  EXPECT_EQ(message(before, exporting("struct s { int a, b, n; };", "2"), {{"f", 1, 2, {"s#s"}}}, "-g0"),
            "is exported, and its version changes from 0x00000001 to 0x00000002, by struct s. Modules that exist were "
            "compiled with the old one");
}

TEST_F(DataLayout, AVersionThatChangesForAHoleIsAWarning) {
  DifferInput pair = input(compile(exporting("struct s { char a; int b; };", "1"), "orig.o", "-g"),
                           compile(exporting("struct s { char a, n; int b; };", "2"), "patched.o", "-g"));
  folder_.write("exports", "f\t0x00000001\t0x00000002\ts#s\n");
  pair.export_changes = path("exports");
  std::vector<std::string> rules;
  for (const Finding& f : run_differ(pair).findings) {
    rules.push_back(f.rule);
    EXPECT_EQ(f.severity, Severity::warning);
  }
  EXPECT_EQ(rules, (std::vector<std::string>{"export", "data-layout"}));
}

TEST_F(DataLayout, VersionsOfAnObjectWhoseCodeStaysAreOfNoInterestButForDeclarations) {
  const std::string before = exporting("struct s { int a, b; };", "1");
  EXPECT_EQ(message(before, exporting("struct s { int a, b, n; };", "1"), {{"f", 1, 2, {"s#s"}}}), "");
  EXPECT_NE(message(before, exporting("struct s { int a, b, n; };", "1"), {{"f", 1, 2, {"f"}}}), "");
}

}  // namespace
}  // namespace kpatch
