// Rules: found by name, near names, pages for a terminal.
#include "rules/rules.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/text.h"

namespace kpatch {
namespace {

using Names = std::vector<std::string_view>;

Rule example_rule() {
  return {
      .name = "some-rule",
      .group = "Code",
      .kinds = "refusal",
      .acknowledgeable = true,
      .programs = "kpatch-build, klpmake",
      .summary = "A `word`",
      .text =
          "One two three four five six seven eight nine ten, [as there](#rule-other): **all** of `a b`.\n\nInstead: "
          "none.\n",
      .no_example = "",
      .bad =
          "--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-a `line` that is longer than any terminal is wide, as lines are\n+b\n",
      .good = "+c\n"};
}

TEST(RuleTable, EachSaysWhatToDoInstead) {
  Rule rule = example_rule();
  EXPECT_EQ(instead_of(rule), "none");
  rule.text = "A text.\n\nInstead: read `a.c` of [it](#there), then\n*write*. Not more.\n\nThe end.\n";
  EXPECT_EQ(instead_of(rule), "read a.c of it, then write");
  rule.text = "Nothing is said.\n";
  EXPECT_EQ(instead_of(rule), "");
  for (const Rule& each : all_rules()) EXPECT_GE(instead_of(each).size(), 7) << each.name;
}

TEST(RuleTable, ARefusalWithoutAdviceGetsTheRules) {
  std::vector<Finding> findings{{"missing", Severity::refusal, {}, "a", ""},
                                {"missing", Severity::refusal, {}, "b", "its own"},
                                {"missing", Severity::warning, {}, "c", ""},
                                {"no-such-rule", Severity::refusal, {}, "d", ""}};
  add_advice(findings);
  EXPECT_EQ(findings[0].advice, instead_of(*find_rule("missing")));
  EXPECT_EQ(findings[1].advice, "its own");
  EXPECT_EQ(findings[2].advice, "");
  EXPECT_EQ(findings[3].advice, "");
}

TEST(RuleTable, AreFoundByName) {
  EXPECT_TRUE(std::ranges::is_sorted(all_rules(), {}, &Rule::name));
  for (const Rule& rule : all_rules()) {
    EXPECT_EQ(find_rule(rule.name), &rule) << rule.name;
    EXPECT_FALSE(rule.summary.empty() || rule.text.empty() || rule.kinds.empty()) << rule.name;
    EXPECT_TRUE(!rule.no_example.empty() || (!rule.bad.empty() && !rule.good.empty())) << rule.name;
    EXPECT_TRUE(rule.no_example.empty() || (rule.bad.empty() && rule.good.empty())) << rule.name;
  }
  for (const char* name : {"", "data", "data-init ", "zzz"}) EXPECT_EQ(find_rule(name), nullptr) << name;
}

TEST(RuleTable, NearNames) {
  EXPECT_EQ(near_rules("data-inot"), Names{"data-init"});
  EXPECT_EQ(near_rules("no-ftrce").front(), "no-ftrace");
  EXPECT_EQ(near_rules("dropped-"), (Names{"dropped-callback", "dropped-fix", "dropped-function", "dropped-hunk",
                                           "dropped-shadow", "dropped-state"}));
  EXPECT_EQ(near_rules("nothing-like-it-at-all"), Names());
  EXPECT_EQ(near_rules(""), Names());
}

TEST(RuleTable, ThoseThatCanBeAcknowledged) {
  EXPECT_EQ(acknowledgeable_rules(),
            (Names{"boot-parameter", "boot-table", "data-layout", "dropped-callback", "dropped-fix", "dropped-function",
                   "dropped-hunk", "dropped-shadow", "dropped-state", "init-code", "initcall", "module-param",
                   "objtool", "pci-quirk", "rust-helper"}));
}

TEST(RuleTable, APageIsWrappedAndHasNoMarks) {
  EXPECT_EQ(rule_page(example_rule(), 24, false),
            "some-rule (refusal)\nA word\n\n"
            "One two three four five\nsix seven eight nine\nten, as there: all of a\nb.\n\nInstead: none.\n\n"
            "Of kpatch-build,\nklpmake. --ack some-rule\naccepts it; the module\nrecords that.\n\n"
            "Bad:\n\n    --- a/x.c\n    +++ b/x.c\n    @@ -1 +1 @@\n"
            "    -a `line` that is longer than any terminal is wide, as lines are\n    +b\n\nGood:\n\n    +c\n");
}

TEST(RuleTable, ColoursTakeNoRoom) {
  std::string coloured = rule_page(example_rule(), 24, true);
  EXPECT_NE(coloured.find("\033[1msome-rule\033[0m"), std::string::npos);
  EXPECT_NE(coloured.find("\033[32m+b\033[0m"), std::string::npos);
  for (size_t at = coloured.find('\033'); at != std::string::npos; at = coloured.find('\033'))
    coloured.erase(at, coloured.find('m', at) + 1 - at);
  EXPECT_EQ(coloured, rule_page(example_rule(), 24, false));
}

TEST(RuleTable, EveryPageFitsAndHasNoMarks) {
  for (const Rule& rule : all_rules()) {
    const std::string page = rule_page(rule, 80, false);
    const std::string prose = page.substr(0, page.find("\nBad:\n"));
    for (const std::string_view line : lines_of(prose)) EXPECT_LE(line.size(), 80U) << rule.name << ": " << line;
    for (const char* mark : {"`", "](", "**"}) EXPECT_EQ(prose.find(mark), std::string::npos) << rule.name << mark;
  }
}

TEST(RuleTable, AListHasALineForEach) {
  const std::string list = rules_list(false);
  const std::vector<std::string_view> lines = lines_of(list);
  ASSERT_EQ(lines.size(), all_rules().size());
  for (size_t i = 0; i < lines.size(); ++i) EXPECT_TRUE(lines[i].starts_with(all_rules()[i].name)) << lines[i];
}

TEST(RuleTable, AsJson) {
  const nlohmann::json json = to_json(example_rule());
  EXPECT_EQ(json["kinds"], nlohmann::json::array({"refusal"}));
  EXPECT_EQ(json["programs"], (nlohmann::json::array({"kpatch-build", "klpmake"})));
  EXPECT_EQ(json["acknowledgeable"], true);
  EXPECT_EQ(json["good"], "+c\n");
  EXPECT_FALSE(json.contains("no_example"));
  Rule none = example_rule();
  none.bad = none.good = {};
  none.no_example = "why";
  EXPECT_EQ(to_json(none)["no_example"], "why");
  EXPECT_FALSE(to_json(none).contains("bad"));
}

}  // namespace
}  // namespace kpatch
