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
    // What follows is no change of layout.
    {"TheSame", "struct s { int a, b; };", "struct s { int a, b; };", {}},
    {"MemberInAHole", "struct s { char a; int b; };", "struct s { char a, n; int b; };", {}},
    {"AnotherName", "struct s { int a, b; };", "struct s { int better, b; };", {}},
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

}  // namespace
}  // namespace kpatch
