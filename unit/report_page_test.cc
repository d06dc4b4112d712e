// The page and SARIF: what has to be in them, and that nothing from outside is more than text there.
#include "kpatch-build/report-page.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "support/error.h"

namespace kpatch {
namespace {

constexpr const char* hostile = "</script><img src=x onerror=\"alert('1')\">&\x01";

BuildFacts facts() {
  BuildFacts f;
  f.release = "6.12.1";
  f.module = "livepatch-fix";
  f.status = exit_unpatchable;
  f.patch_texts = {std::string("--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-old\n+") + hostile + "\n"};
  f.findings = {
      {"data-init", Severity::refusal, {.source = "fs/a b.c", .line = 12, .function = hostile}, hostile, "do"},
      {"base", Severity::notice, {}, "made", {}}};
  PairReport object;
  object.pair.command.source = hostile;
  object.object = "vmlinux";
  object.changed = {{hostile, hostile, hostile, hostile}};
  object.account = {hostile};
  object.findings = {{"hot-path", Severity::warning, {.function = "f"}, "often", {}}};
  f.objects = {object};
  return f;
}

Options options() {
  Options o;
  o.patches = {std::string(hostile)};
  return o;
}

TEST(ReportPage, NothingFromOutsideIsMarkup) {
  const std::string page = html_report(facts(), options());
  EXPECT_EQ(page.find("<img"), std::string::npos);
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("</script"), std::string::npos);
  EXPECT_EQ(page.find('\x01'), std::string::npos);
  EXPECT_EQ(page.find("http"), std::string::npos);  // nothing is fetched
  EXPECT_NE(page.find("&lt;/script&gt;&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;"),
            std::string::npos);
}

TEST(ReportPage, HasWhatWasFound) {
  const std::string page = html_report(facts(), options());
  for (const char* part : {"<h1>livepatch-fix</h1>", "for 6.12.1", "the change can't be patched", "fs/a b.c:12",
                           "<td class=refusal>refusal", "<span class=del>-old</span>",
                           "<span class=hunk>@@ -1 +1 @@</span>", "hot-path", "Ledger"})
    EXPECT_NE(page.find(part), std::string::npos) << part;
  EXPECT_NE(html_report({}, {}).find("No object was compared"), std::string::npos);
}

TEST(ReportPage, SarifHasWhatItsSchemaRequires) {
  const auto sarif = nlohmann::json::parse(sarif_report(facts(), options()));
  EXPECT_EQ(sarif["version"], "2.1.0");
  const auto& run = sarif.at("runs").at(0);
  EXPECT_EQ(run.at("tool").at("driver").at("name"), "kpatch-build");
  EXPECT_EQ(run.at("invocations").at(0).at("executionSuccessful"), false);
  ASSERT_EQ(run.at("results").size(), 3U);
  std::map<std::string, std::string> levels;
  for (const auto& result : run["results"]) {
    EXPECT_TRUE(result.at("message").at("text").is_string());
    levels[result.at("ruleId")] = result.at("level");
  }
  EXPECT_EQ(levels,
            (std::map<std::string, std::string>{{"base", "note"}, {"data-init", "error"}, {"hot-path", "warning"}}));
  const std::string text = sarif.dump();
  EXPECT_NE(text.find("\"uri\":\"fs/a%20b.c\""), std::string::npos);
  EXPECT_NE(text.find("\"startLine\":12"), std::string::npos);
  const auto& rules = run["tool"]["driver"]["rules"];
  ASSERT_EQ(rules.size(), 3U);
  EXPECT_EQ(rules[1]["id"], "data-init");
  EXPECT_NE(rules[1].at("help").at("markdown").get<std::string>().find("Instead: "), std::string::npos);
  EXPECT_EQ(rules[1]["help"].at("text").get<std::string>().find('`'), std::string::npos);
  EXPECT_FALSE(rules[2].contains("help"));  // hot-path is no rule
}

TEST(ReportPage, SarifOfBytesThatAreNoText) {
  BuildFacts f;
  f.findings = {{"r", Severity::error, {}, "\xff", {}}};
  EXPECT_TRUE(nlohmann::json::accept(sarif_report(f, {})));
}

}  // namespace
}  // namespace kpatch
