// The page and SARIF: what has to be in them, and that nothing from outside is more than text there.
#include "kpatch-build/report-page.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "support/base64.h"
#include "support/error.h"
#include "support/sha256.h"

namespace kpatch {
namespace {

constexpr const char* hostile = "</script><img src=x onerror=\"alert('1')\">&\x01";

size_t count(const std::string& text, std::string_view what) {
  size_t found = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

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
  EXPECT_EQ(count(page, "<script"), 1U);  // ours
  EXPECT_EQ(count(page, "</script"), 1U);
  EXPECT_EQ(page.find('\x01'), std::string::npos);
  for (const char* fetching : {"http:", "https:", "<script src", "<img", "<link", "@import", "url("})
    EXPECT_EQ(page.find(fetching), std::string::npos) << fetching;
  EXPECT_NE(page.find("&lt;/script&gt;&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;"),
            std::string::npos);
}

// Only the script whose digest the policy names may run: sha256sum of what stands between the tags.
TEST(ReportPage, LetsOurScriptRunAlone) {
  const std::string page = html_report(facts(), options());
  const size_t begin = page.find("<script>") + 8, end = page.find("</script>");
  const std::string script = page.substr(begin, end - begin);
  std::string bytes;
  const std::string digest = sha256_of(script);
  for (size_t i = 0; i < digest.size(); i += 2) bytes += static_cast<char>(std::stoi(digest.substr(i, 2), nullptr, 16));
  EXPECT_NE(page.find("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-" + base64_of(bytes) + "'"),
            std::string::npos);
}

TEST(ReportPage, LinksRulesToAGuideThatIsNamed) {
  Options with = options();
  EXPECT_EQ(html_report(facts(), with).find("#rule-"), std::string::npos);
  EXPECT_EQ(sarif_report(facts(), with).find("helpUri"), std::string::npos);
  with.guide = "guide.md";
  EXPECT_NE(html_report(facts(), with).find("<a href=\"guide.md#rule-data-init\">"), std::string::npos);
  EXPECT_EQ(sarif_report(facts(), with).find("helpUri"), std::string::npos);  // absolute addresses alone
  with.guide = "https://example.org/guide.html";
  EXPECT_NE(sarif_report(facts(), with).find("\"helpUri\": \"https://example.org/guide.html#rule-data-init\""),
            std::string::npos);
}

TEST(ReportPage, HasWhatTheGuideSaysOfARule) {
  const std::string page = html_report(facts(), options());
  EXPECT_NE(page.find("<summary class=soft>more of data-init</summary><div class=rule>"), std::string::npos);
  EXPECT_EQ(page.find("more of hot-path"), std::string::npos);  // no rule
}

TEST(ReportPage, SaysWhatThePatchIsFor) {
  EXPECT_EQ(subject_of_patch("From 12 Mon\nFrom: A <a@b>\nSubject: [PATCH 1/2] mm: mend it\n\nText\n---\n"),
            "mm: mend it");
  EXPECT_EQ(subject_of_patch("\nMend it.\n\n--- a/x.c\n+++ b/x.c\n"), "Mend it.");
  EXPECT_EQ(subject_of_patch("--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n+Subject: no\n"), "");
}

FunctionListing listing(const std::string& name, size_t lines) {
  FunctionListing f{name, {}, {}};
  for (size_t i = 0; i < lines; ++i) {
    f.original.push_back({i, "mov $1, %rax", {}, {}});
    f.patched.push_back({i, i == lines / 2 ? hostile : "mov $1, %rax", {}, {}});
  }
  return f;
}

TEST(ReportPage, ShowsInstructions) {
  BuildFacts f = facts();
  f.objects[0].listings = {listing(hostile, 40)};
  f.objects[0].changed[0].original_size = 40, f.objects[0].changed[0].patched_size = 44;
  f.size = {1000, 200, 20480};
  const std::string page = html_report(f, options());
  EXPECT_NE(page.find("<details class=card id=f0 "), std::string::npos);
  EXPECT_NE(page.find("<a href=#f0>"), std::string::npos);
  EXPECT_NE(page.find("−1 +1 instructions"), std::string::npos);
  EXPECT_NE(page.find("40 → 44 <span class=soft>(+4)"), std::string::npos);
  EXPECT_NE(page.find("20 KiB"), std::string::npos);
  EXPECT_EQ(count(page, "</script"), 1U);
  f.no_listings = "no disassembler";
  EXPECT_NE(html_report(f, options()).find("no disassembler"), std::string::npos);
}

TEST(ReportPage, StaysUsableWithHundredsOfFunctions) {
  BuildFacts f = facts();
  for (int i = 0; i < 300; ++i) {
    f.objects[0].changed.push_back({"function_" + std::to_string(i), "changes"});
    f.objects[0].listings.push_back(listing("function_" + std::to_string(i), 1000));
  }
  const std::string page = html_report(f, options());
  EXPECT_EQ(count(page, "<details class=card id=f"), 300U);
  EXPECT_EQ(page.find("<details class=card id=f0 data-find=\"function_0 vmlinux\" open"), std::string::npos);  // folded
  EXPECT_LT(page.size(), 8U << 20);
  EXPECT_NE(page.find("left out of this large function"), std::string::npos);
}

TEST(ReportPage, HasWhatWasFound) {
  const std::string page = html_report(facts(), options());
  for (const char* part : {"<h1>livepatch-fix ", "<dt>Kernel<dd>6.12.1", "the change can't be patched", "fs/a b.c:12",
                           "<span class=\"badge refusal\">refusal</span>", "<span class=del>-old</span>",
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
