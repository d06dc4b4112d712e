// --disable: what a user may write, what a function returns then, and the patch that is made of it.
#include "kpatch-build/disable.h"

#include <gtest/gtest.h>

#include "patch/patch.h"
#include "support/error.h"

namespace kpatch {
namespace {

std::string refused(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "taken";
}

TEST(Disable, AsItIsWritten) {
  Disabled one = parse_disabled("net/core/dev.c:f=-EPERM");
  EXPECT_EQ(one.place, "net/core/dev.c");
  EXPECT_EQ(one.function, "f");
  EXPECT_EQ(one.value, "-EPERM");
  one = parse_disabled("f");
  EXPECT_TRUE(one.place.empty() && one.function == "f" && !one.value);
  for (const char* text : {"", "=1", "f=", ":f", "a b", "../x.c:f", "/x.c:f", "f-g"})
    EXPECT_NE(refused([&] { parse_disabled(text); }).find("is meant"), std::string::npos) << text;
}

TEST(Disable, AValueOfEachType) {
  const ReturnType nothing{}, truth{ReturnKind::boolean, "bool", 1, false, {}},
      number{ReturnKind::integer, "int", 4, true, {}}, size{ReturnKind::integer, "size_t", 8, false, {}},
      wide{ReturnKind::integer, "s64", 8, true, {}}, page{ReturnKind::pointer, "struct page *", 8, false, {}},
      result{ReturnKind::enumeration, "enum r", 4, false, {{"R_NONE", 0}, {"R_BAD", -3}}};
  EXPECT_EQ(return_statement(nothing, {}, "f"), "return;");
  EXPECT_EQ(return_statement(truth, "true", "f"), "return true;");
  EXPECT_EQ(return_statement(truth, "0", "f"), "return false;");
  EXPECT_EQ(return_statement(number, "-EPERM", "f"), "return -1;");
  EXPECT_EQ(return_statement(number, "-2147483648", "f"), "return -2147483648LL;");
  EXPECT_EQ(return_statement(number, "0x10", "f"), "return 16;");
  EXPECT_EQ(return_statement(size, "18446744073709551615", "f"), "return 18446744073709551615ULL;");
  EXPECT_EQ(return_statement(wide, "-9223372036854775808", "f"), "return -9223372036854775807LL - 1;");
  EXPECT_EQ(return_statement(page, "NULL", "f"), "return NULL;");
  EXPECT_EQ(return_statement(page, "-ENOMEM", "f"), "return (void *)-12L;");
  EXPECT_EQ(return_statement(result, "R_BAD", "f"), "return R_BAD;");
  EXPECT_EQ(return_statement(result, "-3", "f"), "return R_BAD;");
  EXPECT_EQ(return_statement({ReturnKind::other, "struct timespec64", 16, false, {}}, "0", "f"), "");
}

TEST(Disable, ValuesThatDontFit) {
  const auto why = [](const ReturnType& type, const std::optional<std::string>& value) {
    return refused([&] { return_statement(type, value, "f"); });
  };
  const ReturnType number{ReturnKind::integer, "int", 4, true, {}}, byte{ReturnKind::integer, "u8", 1, false, {}},
      page{ReturnKind::pointer, "struct page *", 8, false, {}},
      result{ReturnKind::enumeration, "enum r", 4, false, {{"R_NONE", 0}, {"R_BAD", 3}}};
  EXPECT_EQ(why(number, {}),
            "--disable f: it returns int, so name what: a number of 32 bits, or an error as in f=-EPERM");
  for (const char* value : {"x", "2147483648", "-2147483649", "-", "0x", "1 ", "-EPREM", "18446744073709551616"})
    EXPECT_NE(why(number, value).find("it returns int: a number of 32 bits"), std::string::npos) << value;
  for (const char* value : {"256", "-1"}) EXPECT_NE(why(byte, value).find("from 0 on"), std::string::npos) << value;
  for (const char* value : {"1", "-4096", "ENOMEM", "x"})
    EXPECT_NE(why(page, value).find("NULL, or an error"), std::string::npos) << value;
  EXPECT_NE(why(result, "2").find("one of R_NONE, R_BAD"), std::string::npos);
  EXPECT_NE(why({ReturnKind::boolean, "bool", 1, false, {}}, "2").find("true or false"), std::string::npos);
  EXPECT_EQ(why({}, "0"), "--disable f=0: it returns nothing, leave the value out");
}

TEST(EarlyReturn, WhereABodyBegins) {
  const auto at = [](const char* source, int line, const char* word = "f") {
    return body_of({"a.c", word, line, ""}, source);
  };
  EXPECT_EQ(at("int f(void)\n{\n}\n", 1), 2U);
  EXPECT_EQ(at("int\nf(int a, /* { */\n  char b)\n\t__acquires(x)\n{\n}\n", 2), 5U);
  EXPECT_EQ(at("int f(const char *s) { return 0; }\n", 1), 1U);
  EXPECT_EQ(at("SYSCALL_DEFINE1(f, int, a)\n{\n}\n", 1, "SYSCALL_DEFINE1"), 2U);
  EXPECT_EQ(at("int f(void);\nint g(void)\n{\n}\n", 1), std::nullopt);  // a declaration
  EXPECT_EQ(at("MAKE(f)\n{\n}\n", 1), std::nullopt);                    // a macro's
  EXPECT_EQ(at("int ff(void)\n{\n}\n", 1), std::nullopt);               // another name
  EXPECT_EQ(at("int g(void) /* f() */\n{\n}\n", 1), std::nullopt);      // in a comment
  EXPECT_EQ(at("int f(void)\n{\n}\n", 2), std::nullopt);
  EXPECT_EQ(at("int f(void)\n{\n}\n", 9), std::nullopt);
}

// What the patch makes of the source, by our own code that applies patches.
TEST(EarlyReturn, ThePatchApplies) {
  const std::string source =
      "int f(int a)\n{\n\tint b = a;\n\n\treturn b;\n}\n\nint one(void) { return 1; }\n\n\n\n\n\n\n\n\n\nvoid "
      "last(void)\n{\n\tf(1);\n}\n";
  const std::vector<EarlyReturn> all = {
      {"a.c", "last", 18, "return;"}, {"a.c", "f", 1, "return -1;"}, {"a.c", "one", 8, "return 0;"}};
  const PatchFile patch = parse_patch("p", early_return_patch("a.c", all, source));
  ASSERT_EQ(patch.files.size(), 1U);
  ASSERT_EQ(patch.files[0].hunks.size(), 2U);
  std::vector<std::string> added, removed;
  long shift = 0;
  for (const Hunk& hunk : patch.files[0].hunks) {
    EXPECT_EQ(hunk.new_start, static_cast<unsigned>(hunk.old_start + shift));
    shift += static_cast<long>(hunk.new_count) - static_cast<long>(hunk.old_count);
    for (const std::string& line : hunk.lines) {
      if (line[0] == '+') added.push_back(line.substr(1));
      if (line[0] == '-') removed.push_back(line.substr(1));
    }
  }
  EXPECT_EQ(removed, std::vector<std::string>{"int one(void) { return 1; }"});
  EXPECT_EQ(added, (std::vector<std::string>{"\treturn -1;", "\t{", "\t}", "int one(void) { return 0; return 1; }",
                                             "\treturn;", "\t{", "\t}"}));
}

}  // namespace
}  // namespace kpatch
