// Lines, fields and words.
#include "support/text.h"

#include <gtest/gtest.h>

namespace kpatch {
namespace {

using Views = std::vector<std::string_view>;

TEST(Text, TheLastLineCountsWithAndWithoutItsNewline) {
  EXPECT_EQ(lines_of("a\n\nb\n"), (Views{"a", "", "b"}));
  EXPECT_EQ(lines_of("a\n\nb"), (Views{"a", "", "b"}));
  EXPECT_EQ(lines_of("a\n\n"), (Views{"a", ""}));
  EXPECT_EQ(lines_of("\n"), Views{""});
  EXPECT_EQ(lines_of(""), Views{});
}

TEST(Text, FieldsMayBeEmpty) {
  EXPECT_EQ(fields_of("a:b::c:", ':'), (Views{"a", "b", "", "c", ""}));
  EXPECT_EQ(fields_of(":", ':'), (Views{"", ""}));
  EXPECT_EQ(fields_of("a", ':'), Views{"a"});
  EXPECT_EQ(fields_of("", ':'), Views{});
  EXPECT_EQ(fields_of(std::string_view("a\0b", 3), '\0'), (Views{"a", "b"}));
}

TEST(Text, WholeLinesAreTheText) {
  EXPECT_EQ(whole_lines("a\n\nb"), (Views{"a\n", "\n", "b"}));
  EXPECT_EQ(whole_lines("a\n"), Views{"a\n"});
  EXPECT_EQ(whole_lines(""), Views{});
}

TEST(Text, WordsAreNeverEmpty) {
  EXPECT_EQ(words_of("  a \t bc\r\nd"), (Views{"a", "bc", "d"}));
  EXPECT_EQ(words_of("a"), Views{"a"});
  EXPECT_EQ(words_of(" \t "), Views{});
  EXPECT_EQ(words_of(""), Views{});
}

TEST(Text, TrimsBothEnds) {
  EXPECT_EQ(trimmed(" \ta b\r\n"), "a b");
  EXPECT_EQ(trimmed("'a'b'", "'"), "a'b");
  EXPECT_EQ(trimmed("  "), "");
  EXPECT_EQ(trimmed(""), "");
}

TEST(Text, Joins) {
  EXPECT_EQ(joined(Views{"a", "", "b"}, ", "), "a, , b");
  EXPECT_EQ(joined(std::vector<std::string>{"a"}, ", "), "a");
  EXPECT_EQ(joined(Views{}, ", "), "");
}

}  // namespace
}  // namespace kpatch
