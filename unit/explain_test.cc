// Why a function changed: the first instruction that differs, its source on both sides, and what was inlined there.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "create-diff-object/differ.h"
#include "create-diff-object/places.h"
#include "unit/skip.h"
#include "unit/toolchains.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

constexpr const char* before =
    "int printk(const char *fmt, ...);\n"
    "static inline int help(int x) {\n"
    "  return printk(\"a\", x) + 1;\n"
    "}\n"
    "int f(int x) { return help(x + 1); }\n"
    "int g(int x) { return printk(\"b\", x) + 3; }\n";

class Explain : public testing::TestWithParam<TestToolchain> {
 protected:
  void SetUp() override {
    if (!GetParam().installed()) SKIP_PACKAGE(GetParam().compiler << " is not installed");
    if (GetParam().name == std::string_view{"loongarch64"}) SKIP_UNSUPPORTED("libdw of Debian 12 knows no LoongArch");
    directory_ = fs::temp_directory_path() / ("explain-test-" + std::to_string(getpid()) + GetParam().name);
    fs::create_directories(directory_);
  }
  void TearDown() override {
    if (!directory_.empty()) fs::remove_all(directory_);
  }

  DifferResult run(std::string after, const std::string& flags) {
    GetParam().compile(directory_, before, "orig.o", "-ffunction-sections -fdata-sections " + flags);
    GetParam().compile(directory_, after, "patched.o", "-ffunction-sections -fdata-sections " + flags);
    input_.orig = directory_ / "orig.o";
    input_.patched = directory_ / "patched.o";
    input_.parent_name = "vmlinux";
    input_.parent_symtab = directory_ / "orig.o";
    input_.symvers = "/dev/null";
    input_.output = directory_ / "out.o";
    input_.explain = true;
    return run_differ(input_);
  }

  static std::string replaced(std::string_view what, std::string_view with) {
    std::string text = before;
    return text.replace(text.find(what), what.size(), with);
  }

  // The prelude stands before the text in the file that is compiled.
  static int line(int in_text) {
    const std::string_view prelude = GetParam().prelude;
    return in_text + static_cast<int>(std::count(prelude.begin(), prelude.end(), '\n'));
  }

  fs::path directory_;
  DifferInput input_;
};

TEST_P(Explain, NamesTheInlinedFunctionAndItsLine) {
  const DifferResult result = run(replaced("+ 1;\n", "+ 2;\n"), "-g");
  ASSERT_EQ(result.changed.size(), 1u);
  ASSERT_TRUE(result.changed[0].difference);
  const DifferenceReport& difference = *result.changed[0].difference;
  EXPECT_NE(difference.orig.bytes, difference.patched.bytes);
  for (const CodeReport* code : {&difference.orig, &difference.patched}) {
    EXPECT_TRUE(code->file.ends_with("file.c")) << code->file;
    EXPECT_GE(code->line, line(3));
    EXPECT_LE(code->line, line(5));
  }
}

TEST_P(Explain, GivesTheLinesOfBothSides) {
  const DifferResult result = run(
      replaced("int g(int x) { return printk(\"b\", x) + 3", "\n\nint g(int x) { return printk(\"b\", x) + 4"), "-g");
  ASSERT_EQ(result.changed.size(), 1u);
  ASSERT_TRUE(result.changed[0].difference);
  EXPECT_EQ(result.changed[0].difference->orig.line, line(6));
  EXPECT_EQ(result.changed[0].difference->patched.line, line(8));
  const auto report = nlohmann::json::parse(json_report(input_, result));
  EXPECT_EQ(report["changed"][0]["difference"]["patched"]["line"], line(8));
  EXPECT_NE(text_report(result, true).find("file.c:" + std::to_string(line(8))), std::string::npos);
}

// A string's contents are no bytes of the function: the instruction that refers to it is named.
TEST_P(Explain, NamesTheInstructionWhoseReferenceChanges) {
  const DifferResult result = run(replaced("\"b\"", "\"c\""), "-g");
  ASSERT_EQ(result.changed.size(), 1u);
  EXPECT_NE(result.changed[0].reason.find("\"c\""), std::string::npos) << result.changed[0].reason;
  ASSERT_TRUE(result.changed[0].difference);
  EXPECT_EQ(result.changed[0].difference->orig.bytes, result.changed[0].difference->patched.bytes);
  EXPECT_EQ(result.changed[0].difference->orig.line, line(6));
}

TEST_P(Explain, DoesWithoutDebugInformation) {
  const DifferResult result = run(replaced("+ 3", "+ 4"), "");
  ASSERT_EQ(result.changed.size(), 1u);
  ASSERT_TRUE(result.changed[0].difference);
  EXPECT_TRUE(result.changed[0].difference->orig.file.empty());
  EXPECT_FALSE(result.changed[0].difference->orig.bytes.empty());
}

TEST_P(Explain, FindingsGetTheirLines) {
  run(std::string(before) + "int table = 3;\n", "-g");
  const Object object = Object::read(directory_ / "patched.o");
  const auto line_of = [&](Location location) {
    std::vector<Finding> findings = {{"r", Severity::refusal, std::move(location), "m", {}}};
    add_lines(findings, object, object);
    const Location& found = findings[0].location;
    EXPECT_EQ(found.source.empty(), found.line == 0);
    return found.line;
  };
  EXPECT_EQ(line_of({.function = "f", .section = ".text.f"}), line(5));
  // clang's DWARF gives variables by an index (DW_OP_addrx), which isn't looked up.
  const bool by_address = std::string_view(GetParam().name).find("clang") == std::string_view::npos;
  EXPECT_EQ(line_of({.function = "table", .section = ".data.table"}), by_address ? line(7) : 0);
  // In the code that was inlined: the call of it.
  for (uint32_t i = 1; i < object.sections().size(); ++i) {
    const Section& section = object.sections()[i];
    if (section.name != ".text.f") continue;
    for (const Relocation& r : section.relocations) EXPECT_EQ(line_of({"", 0, "f", ".text.f", r.offset}), line(5));
  }
  EXPECT_EQ(line_of({.function = "f", .section = ".text.g"}), 0);
  EXPECT_EQ(line_of({.function = "none", .section = ".text.f"}), 0);
  EXPECT_EQ(line_of({.section = ".text.f"}), 0);
}

TEST_P(Explain, FindingsHaveNoLinesWithoutDebugInformation) {
  run(before, "-g0");
  const Object object = Object::read(directory_ / "patched.o");
  std::vector<Finding> findings = {{"r", Severity::refusal, {.function = "f", .section = ".text.f"}, "m", {}}};
  add_lines(findings, object, object);
  EXPECT_EQ(findings[0].location.source, "");
}

INSTANTIATE_TEST_SUITE_P(All, Explain, testing::ValuesIn(toolchains()),
                         [](const auto& info) { return std::string{info.param.name}; });

#ifdef __x86_64__
TEST(ExplainInlined, ByDwarf) {
  const TestToolchain& gcc = toolchains().front();
  const fs::path directory = fs::temp_directory_path() / ("explain-inlined-" + std::to_string(getpid()));
  fs::create_directories(directory);
  std::string orig = before;
  const std::string_view call = "int f(int x) { return help(";
  orig.replace(orig.find(call), call.size(),
               "static inline int wrap(int x) { return help(x) ^ 5; }\nint f(int x) { return wrap(");
  std::string after = orig;
  after.replace(after.find("+ 1;\n"), 5, "+ 2;\n");
  gcc.compile(directory, orig, "orig.o", "-g -ffunction-sections");
  gcc.compile(directory, after, "patched.o", "-g -ffunction-sections");
  DifferInput input{directory / "orig.o", directory / "patched.o", "vmlinux", directory / "orig.o",
                    "/dev/null",          directory / "out.o",     true,      {}};
  const DifferResult result = run_differ(input);
  ASSERT_EQ(result.changed.size(), 1u);
  ASSERT_TRUE(result.changed[0].difference);
  EXPECT_EQ(result.changed[0].difference->patched.inlined, (std::vector<std::string>{"help", "wrap"}));
  fs::remove_all(directory);
}
#endif

}  // namespace
}  // namespace kpatch
