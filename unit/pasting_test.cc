// Names that ## makes, and what must be given for one.
#include "kbuild/pasting.h"

#include <gtest/gtest.h>

namespace kpatch {
namespace {

using std::string_view;
using Words = std::set<std::string>;

bool joins(string_view word) { return word == "JOIN"; }

// What "#define M…" wants for the name; "nothing" where it needs none.
Words given(const std::string& define, string_view name) {
  const std::string text = "#define " + define + "\n";
  const Items items = items_of(text);
  const MacroText macro = macro_of(items.list.front());
  GivenWords words;
  for (const PastedChain& chain : chains_of(macro.body, macro.parameters, joins)) add_given_words(chain, name, words);
  if (words.nothing) words.words.insert("nothing");
  return words.words;
}

TEST(Pasting, WhatAMacroMustBeGiven) {
  EXPECT_EQ(given("M(x) a_##x##_z", "a_m_z"), Words{"m"});
  EXPECT_EQ(given("M(x) a_##x##_z", "a_m_y"), Words());
  EXPECT_EQ(given("M(x) a_##x", "a_m_z"), Words{"m_z"});
  EXPECT_EQ(given("M(x) x##_z", "a_m_z"), Words{"a_m"});
  EXPECT_EQ(given("M(x, y) x##_##y", "a_m_z"), (Words{"a_m", "m_z"}));
  EXPECT_EQ(given("M(x) x##x##_z", "mm_z"), (Words{"m", "mm"}));  // a half of it at least
  EXPECT_EQ(given("M(x) a_##m##x", "a_m_z"), Words{"_z"});
}

TEST(Pasting, WhatNeedsNothingGiven) {
  EXPECT_EQ(given("M(x) a_##x", "a_"), Words{"nothing"});  // x may be empty
  EXPECT_EQ(given("M a_##m", "a_m"), Words{"nothing"});
  EXPECT_EQ(given("M(x) JOIN(a_, f(x))", "a_m"), Words{"nothing"});  // nobody can tell what f makes
}

TEST(Pasting, ByMacrosThatJoin) {
  EXPECT_EQ(given("M(x) JOIN(JOIN(a_, x), _z)", "a_m_z"), (Words{"m", "m_z"}));
  EXPECT_EQ(given("M(x) JOIN(a_, x) ## _z", "a_m_z"), Words{"m"});
  EXPECT_EQ(given("M(x) NOT(a_, x)", "a_m"), Words());
  EXPECT_EQ(given("M(x) JOIN(a_, x", "a_m"), Words());
}

TEST(Pasting, WhatCouldMakeAnyName) { EXPECT_EQ(given("M(x, y) x##y", "a_m"), Words()); }

TEST(Pasting, WhatIsNoChain) {
  EXPECT_EQ(given("M(x, args...) f(x, ## args)", "x"), Words());
  EXPECT_EQ(given("M(x) x ##", "x"), Words());
  EXPECT_EQ(given("M(x) ## x", "x"), Words());
  EXPECT_EQ(given("M(x)", "x"), Words());
}

TEST(Pasting, Parameters) {
  const auto parameters = [](const std::string& define) {
    const std::string text = "#define " + define + "\n";
    const Items items = items_of(text);
    const MacroText macro = macro_of(items.list.front());
    Words words;
    for (const string_view word : macro.parameters) words.emplace(word);
    return words;
  };
  EXPECT_EQ(parameters("M(a, b) c"), (Words{"a", "b"}));
  EXPECT_EQ(parameters("M(a, ...) c"), (Words{"__VA_ARGS__", "a"}));
  EXPECT_EQ(parameters("M(a, b...) c"), (Words{"__VA_ARGS__", "a", "b"}));
  EXPECT_EQ(parameters("M (a##b)"), Words());
}

TEST(Pasting, WhatJoins) {
  const auto joining = [](const std::string& define) {
    const std::string text = "#define " + define + "\n";
    const Items items = items_of(text);
    return joins_what_it_is_given(macro_of(items.list.front()), joins);
  };
  EXPECT_TRUE(joining("M(a, b) a##b"));
  EXPECT_TRUE(joining("M(a, b) JOIN(a, b)"));
  EXPECT_TRUE(joining("M(a, b, c) JOIN(a, JOIN(b, c))"));
  EXPECT_FALSE(joining("M(a, b) a##_##b"));
  EXPECT_FALSE(joining("M(a, b) a##b()"));
  EXPECT_FALSE(joining("M(a) a"));
  EXPECT_FALSE(joining("M a##b"));
}

}  // namespace
}  // namespace kpatch
