#include "patch/line-marks.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace kpatch {
namespace {

TEST(LineNumbers, ComeBackAtTheNextFunction) {
  const std::string original = "int a;\nvoid f(void)\n{\n}\n\nvoid g(void)\n{\n}\n";
  const std::string patched = "int a;\nint b;\nvoid f(void)\n{\n}\n\nvoid g(void)\n{\n}\n";
  EXPECT_EQ(with_original_lines(original, patched),
            "int a;\nint b;\nvoid f(void)\n{\n}\n#line 5 /* kpatch */\n\nvoid g(void)\n{\n}\n");
}

TEST(LineNumbers, NothingIsInsertedWithoutAShift) {
  const std::string original = "void f(void)\n{\n\tg(1);\n}\nint x;\n";
  EXPECT_EQ(with_original_lines(original, original), original);
  const std::string patched = "void f(void)\n{\n\tg(2);\n}\nint x;\n";
  EXPECT_EQ(with_original_lines(original, patched), patched);
}

TEST(LineNumbers, OnlyBehindAFunction) {
  const std::string original = "#define M(x) \\\n\tx\nint a;\nint b;\n";
  const std::string patched = "int n;\n#define M(x) \\\n\tx\nint a;\nint b;\n";
  EXPECT_EQ(with_original_lines(original, patched), patched);
}

TEST(LineNumbers, RemovedLinesShiftBack) {
  const std::string original = "int a;\nint b;\nvoid f(void)\n{\n}\nint c;\n";
  const std::string patched = "void f(void)\n{\n}\nint c;\n";
  EXPECT_EQ(with_original_lines(original, patched), "void f(void)\n{\n}\n#line 6 /* kpatch */\nint c;\n");
}

TEST(LineNumbers, FileWithoutANewlineAtItsEnd) {
  EXPECT_EQ(with_original_lines("int a;", "int a;"), "int a;");
  EXPECT_EQ(with_original_lines("", "int a;"), "int a;");
  EXPECT_EQ(with_original_lines("int a;", ""), "");
}

// Whatever is changed: the marks come off again, and behind a mark stands the original's line of that number.
TEST(LineNumbers, MarksAreTrueOnRandomChanges) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> before, after;
    for (int i = 0; i < 60; ++i)
      before.push_back(random() % 4 == 0 ? "}\n" : "line " + std::to_string(random() % 20) + "\n");
    for (const std::string& line : before) {
      if (random() % 12 == 0) continue;
      if (random() % 12 == 0) after.push_back("new " + std::to_string(random() % 5) + "\n");
      after.push_back(line);
    }
    std::string a, b;
    for (const std::string& line : before) a += line;
    for (const std::string& line : after) b += line;
    const std::string marked = with_original_lines(a, b);
    EXPECT_EQ(without_line_marks(marked), b);
    for (size_t at = marked.find("#line "); at != std::string::npos; at = marked.find("#line ", at + 1)) {
      const size_t number = std::stoul(marked.substr(at + 6));
      const size_t start = marked.find('\n', at) + 1;
      ASSERT_LE(number, before.size());
      EXPECT_EQ(marked.substr(start, marked.find('\n', start) + 1 - start), before[number - 1]);
    }
  }
}

}  // namespace
}  // namespace kpatch
