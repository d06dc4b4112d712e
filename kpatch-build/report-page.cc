// A page that a reviewer opens from a mail, months later, on a machine without network: everything is in it. Nothing in
// it is a script, so that a patch which holds "</script>" is text like any other; folding is <details>, and colours
// follow the reader's system.
#include "kpatch-build/report-page.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "rules/rules.h"
#include "support/error.h"
#include "support/html.h"
#include "support/text.h"

namespace kpatch {

namespace {

using nlohmann::json;

constexpr std::string_view style = R"(
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --good: #1a7f37; --bad: #cf222e; --warn: #9a6700;
  --add: #2da44e26; --del: #cf222e26; --hunk: #0969da }
@media (prefers-color-scheme: dark) { :root { --good: #3fb950; --bad: #ff7b72; --warn: #d29922; --hunk: #79c0ff } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.5em; margin-bottom: .2em } h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid var(--line) }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; vertical-align: top; padding: .3em .8em .3em 0;
  border-bottom: 1px solid var(--line) }
code, pre { font: 13px/1.45 ui-monospace, monospace } td code { overflow-wrap: anywhere }
pre { overflow-x: auto; background: var(--soft); padding: .6em; border-radius: 6px } pre span { display: block }
.add { background: var(--add) } .del { background: var(--del) } .hunk { color: var(--hunk) } .file { font-weight: bold }
.good { color: var(--good) } .error, .refusal { color: var(--bad) } .warning { color: var(--warn) } .soft { opacity: .7 }
details { margin: .6em 0 } summary { cursor: pointer; font-weight: 600 } nav a { margin-right: 1.2em }
@media print { body { max-width: none; margin: 0; font-size: 11px } pre { white-space: pre-wrap } nav { display: none }
  tr { break-inside: avoid } }
)";

std::string_view ending(int status) {
  switch (status) {
    case exit_ok:
      return "built";
    case exit_unpatchable:
      return "the change can't be patched";
    case exit_no_change:
      return "no functional change";
    default:
      return "failed";
  }
}

std::string_view word(Severity severity) {
  constexpr std::array words = {"notice", "warning", "refusal", "error"};
  return words.at(static_cast<size_t>(severity));
}

std::vector<Finding> all_findings(const BuildFacts& facts) {
  std::vector<Finding> all = facts.findings;
  for (const PairReport& object : facts.objects) all.insert(all.end(), object.findings.begin(), object.findings.end());
  return sorted(std::move(all));
}

std::string findings_table(const BuildFacts& facts) {
  std::vector<Finding> all = all_findings(facts);
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.severity > b.severity; });
  if (all.empty()) return "<p class=soft>Nothing was found.</p>\n";
  std::string text = "<table><tr><th>Kind<th>Rule<th>Where<th>What</tr>\n";
  for (const Finding& f : all) {
    std::string where = f.location.source;
    if (f.location.line != 0) where += fmt::format(":{}", f.location.line);
    const std::string subject = subject_of(f.location);
    text += fmt::format("<tr><td class={0}>{0}<td><code>{1}</code><td><code>{2}</code><td>{3}{4}{5}</tr>\n",
                        word(f.severity), escaped_html(f.rule), escaped_html(where),
                        subject.empty() ? "" : fmt::format("<code>{}</code>: ", escaped_html(subject)),
                        escaped_html(message_of(f)),
                        f.advice.empty() ? "" : fmt::format("<br><span class=soft>{}</span>", escaped_html(f.advice)));
  }
  return text + "</table>\n";
}

std::string functions_table(std::string_view what, const std::vector<ReportedFunction>& functions) {
  std::string text;
  for (const ReportedFunction& f : functions) {
    text += fmt::format("<tr><td>{}<td><code>{}</code><td>{}", what, escaped_html(f.name), escaped_html(f.reason));
    if (!f.original.empty()) text += fmt::format("<br><span class=soft>was: {}</span>", escaped_html(f.original));
    if (!f.patched.empty()) text += fmt::format("<br><span class=soft>is: {}</span>", escaped_html(f.patched));
    text += "</tr>\n";
  }
  return text;
}

std::string list_of(std::string_view title, const std::vector<std::string>& lines) {
  if (lines.empty()) return "";
  std::string text = fmt::format("<details><summary>{}, {}</summary><ul>\n", title, lines.size());
  for (const std::string& line : lines) text += fmt::format("<li><code>{}</code>\n", escaped_html(line));
  return text + "</ul></details>\n";
}

std::string object_part(const PairReport& object) {
  std::string rows = functions_table("changed", object.changed) + functions_table("new", object.added) +
                     functions_table("line numbers only", object.lines_only);
  std::string text = fmt::format("<details open><summary><code>{}</code> of {}: {} changed, {} new</summary>\n",
                                 escaped_html(object.pair.command.source), escaped_html(object.object),
                                 object.changed.size(), object.added.size());
  if (!rows.empty()) text += "<table><tr><th>Function is<th>Name<th>Why</tr>\n" + rows + "</table>\n";
  if (!object.included.empty())
    text += fmt::format("<details><summary>Copied with them, {}</summary><table>\n{}</table></details>\n",
                        object.included.size(), functions_table("copied", object.included));
  text += list_of("Callbacks", object.callbacks);
  text += list_of("Ledger: what became of each thing that differs", object.account);
  std::vector<std::string> references;
  for (const ModuleReference& r : object.references)
    references.push_back(fmt::format("{} → {} ({})", r.from, r.to, r.owner.empty() ? "of this patch" : r.owner));
  text += list_of("References to modules and to other objects of the patch", references);
  return text + "</details>\n";
}

std::string_view line_class(std::string_view line) {
  if (line.starts_with("+++ ") || line.starts_with("--- ") || line.starts_with("diff ")) return " class=file";
  if (line.starts_with("@@")) return " class=hunk";
  if (line.starts_with('+')) return " class=add";
  return line.starts_with('-') ? " class=del" : "";
}

std::string patch_part(const std::string& name, const std::string& patch) {
  std::string text = fmt::format("<details open><summary><code>{}</code></summary><pre>", escaped_html(name));
  for (std::string_view line : lines_of(patch))
    text += fmt::format("<span{}>{}</span>", line_class(line), line.empty() ? " " : escaped_html(line));
  return text + "</pre></details>\n";
}

// A URI's path: what isn't allowed there is written as %XX (RFC 3986).
std::string uri_of(std::string_view path) {
  std::string text;
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~/").find(c) != std::string_view::npos;
    text += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return text;
}

std::string_view sarif_level(Severity severity) {
  if (severity == Severity::notice) return "note";
  return severity == Severity::warning ? "warning" : "error";
}

json sarif_rule(const std::string& id) {
  json rule = {{"id", id}};
  if (const Rule* known = find_rule(id)) {
    rule["shortDescription"] = {{"text", known->summary}};
    rule["help"] = {{"text", rule_page(*known, 100, false)}, {"markdown", known->text}};
  }
  return rule;
}

json sarif_result(const Finding& f) {
  json location = json::object();
  if (!f.location.source.empty()) {
    location["physicalLocation"]["artifactLocation"] = {{"uri", uri_of(f.location.source)}, {"uriBaseId", "SOURCE"}};
    if (f.location.line > 0) location["physicalLocation"]["region"]["startLine"] = f.location.line;
  }
  if (const std::string& name = name_of(f.location); !name.empty())
    location["logicalLocations"] = json::array({{{"name", name}}});
  const std::string text = f.advice.empty() ? message_of(f) : message_of(f) + "\n" + f.advice;
  json result = {{"ruleId", f.rule}, {"level", sarif_level(f.severity)}, {"message", {{"text", text}}}};
  if (!location.empty()) result["locations"] = json::array({location});
  return result;
}

}  // namespace

std::string html_report(const BuildFacts& facts, const Options& options) {
  const std::string title = facts.module.empty() ? "livepatch" : facts.module;
  std::string text = fmt::format(
      "<!doctype html>\n<html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\n"
      "<title>{0}</title><style>{1}</style>\n<h1>{0}</h1>\n<p>for {2}: <b class={3}>{4}</b></p>\n"
      "<nav><a href=#findings>Findings</a><a href=#objects>What is patched</a><a href=#patch>The patch</a></nav>\n",
      escaped_html(title), style, escaped_html(facts.release.empty() ? "a kernel that isn't known yet" : facts.release),
      facts.status == exit_ok ? "good" : "error", ending(facts.status));
  text += "<h2 id=findings>Findings</h2>\n" + findings_table(facts);
  text += "<h2 id=objects>What is patched, and why</h2>\n";
  for (const PairReport& object : facts.objects) text += object_part(object);
  if (facts.objects.empty()) text += "<p class=soft>No object was compared.</p>\n";
  text += "<h2 id=patch>The patch</h2>\n";
  for (size_t i = 0; i < options.patches.size() && i < facts.patch_texts.size(); ++i)
    text += patch_part(options.patches[i].filename().string(), facts.patch_texts[i]);
  const std::string summary = options_summary(options);
  return text + fmt::format("<p class=soft>kpatch-build " KPATCH_VERSION "{}{}</p>\n", summary.empty() ? "" : ", ",
                            escaped_html(summary));
}

std::string sarif_report(const BuildFacts& facts, const Options&) {
  json results = json::array(), rules = json::array();
  std::set<std::string> ids;
  for (const Finding& f : all_findings(facts)) {
    results.push_back(sarif_result(f));
    ids.insert(f.rule);
  }
  for (const std::string& id : ids) rules.push_back(sarif_rule(id));
  const json driver = {{"name", "kpatch-build"}, {"version", KPATCH_VERSION}, {"rules", rules}};
  const json run = {
      {"tool", {{"driver", driver}}},
      {"invocations", json::array({{{"executionSuccessful", facts.status == exit_ok}, {"exitCode", facts.status}}})},
      {"results", results}};
  const json whole = {
      {"$schema", "https://json.schemastore.org/sarif-2.1.0.json"}, {"version", "2.1.0"}, {"runs", json::array({run})}};
  return whole.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace kpatch
