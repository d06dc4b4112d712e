// A function that merely moved in its file is no change: its line numbers are recognised by DWARF, other numbers
// aren't.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "create-diff-object/differ.h"
#include "unit/skip.h"
#include "unit/toolchains.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

using Facts = std::vector<std::string>;

struct Case {
  const char* name;
  const char* orig;
  const char* patched;
  const char* flags;
  Facts expected;
};

constexpr const char* prelude =
    "int report(const char *where, int line, long value);\n"
    "int many(const char *a, int b, int c, int d, int e, int f, int g, int h, int i, int line);\n"
    "int _printk(const char *fmt, ...);\n"
    "#define REPORT(...) report(\"f\", __LINE__, ##__VA_ARGS__)\n"
    "#define PRINT(...) _printk(\"%d %d\", __LINE__, ##__VA_ARGS__)\n"
    "static inline __attribute__((always_inline)) int outer(int x, int line) {\n"
    "  int n = report(\"inlined\", line, x);\n"
    "  return n * 3;\n"
    "}\n"
    "static inline __attribute__((always_inline)) int outmost(int x, int line) {\n"
    "  return outer(x + 1, line);\n"
    "}\n";

const Case cases[] = {
    {"argument",
     "int f(long x) { return REPORT(x); }",
     "\n\n\nint f(long x) { return REPORT(x); }",
     "-g",
     {"lines f", "exit 3"}},
    {"first_argument",
     "int f(int (*call)(int, long), long x) { return call(__LINE__, x) + 1; }",
     "\n\n\nint f(int (*call)(int, long), long x) { return call(__LINE__, x) + 1; }",
     "-g",
     {"lines f", "exit 3"}},
    {"many_lines",
     "int f(long x) {\n if (x > 3) return REPORT(1);\n if (x < -3) return REPORT(2);\n return 0;\n}",
     "\n\n\nint f(long x) {\n if (x > 3) return REPORT(1);\n if (x < -3) return REPORT(2);\n return 0;\n}",
     "-g",
     {"lines f", "exit 3"}},
    // beyond the argument registers, on the stack; beyond what fits into a byte
    {"stack_argument",
     "#line 1000\nint f(int x) { return many(\"f\", x, x, x, x, x, x, x, x, __LINE__) + 1; }",
     "#line 1003\nint f(int x) { return many(\"f\", x, x, x, x, x, x, x, x, __LINE__) + 1; }",
     "-g",
     {"lines f", "exit 3"}},
    {"inlined",
     "int f(int x) { return outer(x, __LINE__); }",
     "\n\n\nint f(int x) { return outer(x, __LINE__); }",
     "-g",
     {"lines f", "exit 3"}},
    {"inlined_twice",
     "int f(int x) { return outmost(x, __LINE__); }",
     "\n\n\nint f(int x) { return outmost(x, __LINE__); }",
     "-g",
     {"lines f", "exit 3"}},
    {"macro_of_many_lines",
     "int f(long x) {\n return REPORT(\n   x +\n   7);\n}",
     "\n\n\nint f(long x) {\n return REPORT(\n   x +\n   7);\n}",
     "-g",
     {"lines f", "exit 3"}},
    // Numbers that move as the lines do, and are none.
    {"another_number",
     "int f(long x) { return report(\"f\", 7, x); }",
     "\n\n\nint f(long x) { return report(\"f\", 10, x); }",
     "-g",
     {"changed f", "exit 0"}},
    {"near_its_line",
     "#line 100\nint f(long x) { return report(\"f\", 102, x); }",
     "#line 103\nint f(long x) { return report(\"f\", 105, x); }",
     "-g",
     {"changed f", "exit 0"}},
    {"its_line_but_unmoved",
     "#line 100\nint f(long x) { return report(\"f\", 100, x); }",
     "#line 100\nint f(long x) { return report(\"f\", 101, x); }",
     "-g",
     {"changed f", "exit 0"}},
    {"one_number_of_two",
     "int f(long x) { return report(\"f\", 7, x) + REPORT(x); }",
     "\n\n\nint f(long x) { return report(\"f\", 9, x) + REPORT(x); }",
     "-g",
     {"changed f", "exit 0"}},
    {"returned",
     "int f(long x) { return REPORT(x) + 7; }",
     "\n\n\nint f(long x) { return REPORT(x) + 10; }",
     "-g",
     {"changed f", "exit 0"}},
    // Without DWARF the helpers' names decide, with it they don't.
    {"no_dwarf",
     "int f(long x) { return REPORT(x); }",
     "\n\n\nint f(long x) { return REPORT(x); }",
     "-g0",
     {"changed f", "exit 0"}},
    {"helper_without_dwarf",
     "int f(long x) { return PRINT(3); }",
     "\n\n\nint f(long x) { return PRINT(3); }",
     "-g0",
     {"lines f", "exit 3"}},
    {"helper",
     "int f(long x) { return PRINT(3); }",
     "\n\n\nint f(long x) { return PRINT(3); }",
     "-g",
     {"lines f", "exit 3"}},
    {"a_printed_number",
     "int f(long x) { return _printk(\"%d\", 5) + 1; }",
     "int f(long x) { return _printk(\"%d\", 6) + 1; }",
     "-g",
     {"changed f", "exit 0"}},
    {"a_printed_number_that_moves",
     "int f(long x) { return PRINT(5); }",
     "\n\n\nint f(long x) { return PRINT(8); }",
     "-g",
     {"changed f", "exit 0"}},
};

class LineNumbersProof : public testing::TestWithParam<std::tuple<TestToolchain, Case>> {};

TEST_P(LineNumbersProof, GivesTheExpectedFacts) {
  const auto& [toolchain, item] = GetParam();
  if (!toolchain.installed()) SKIP_PACKAGE(toolchain.compiler << " is not installed");
  if (toolchain.name == std::string_view{"loongarch64"}) SKIP_UNSUPPORTED("libdw of Debian 12 knows no LoongArch");
  const fs::path directory =
      fs::temp_directory_path() / fmt::format("lines-{}-{}-{}", getpid(), toolchain.name, item.name);
  fs::create_directories(directory);
  const std::string flags = std::string{"-ffunction-sections -fdata-sections "} + item.flags;
  toolchain.compile(directory, std::string{prelude} + item.orig + "\n", "orig.o", flags);
  toolchain.compile(directory, std::string{prelude} + item.patched + "\n", "patched.o", flags);
  DifferInput input;
  input.orig = directory / "orig.o";
  input.patched = directory / "patched.o";
  input.parent_name = "vmlinux";
  input.parent_symtab = directory / "orig.o";
  input.symvers = "/dev/null";
  input.output = directory / "out.o";
  const DifferResult result = run_differ(input);
  fs::remove_all(directory);
  Facts facts;
  for (const auto& f : result.changed) facts.push_back("changed " + f.name);
  for (const auto& f : result.added) facts.push_back("new " + f.name);
  for (const auto& f : result.lines_only) facts.push_back("lines " + f.name);
  facts.push_back(fmt::format("exit {}", result.exit_code));
  // clang's __LINE__ is the last line of the invocation, which may be any number near it.
  const bool last_line =
      item.name == std::string_view{"macro_of_many_lines"} && std::string_view{toolchain.name}.starts_with("clang");
  EXPECT_EQ(facts, last_line ? (Facts{"changed f", "exit 0"}) : item.expected);
}

INSTANTIATE_TEST_SUITE_P(Cases, LineNumbersProof,
                         testing::Combine(testing::ValuesIn(toolchains()), testing::ValuesIn(cases)),
                         [](const auto& param) {
                           return std::string{std::get<0>(param.param).name} + "_" + std::get<1>(param.param).name;
                         });

}  // namespace
}  // namespace kpatch
