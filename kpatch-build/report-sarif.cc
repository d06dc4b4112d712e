// Findings for programs that show them beside the source: SARIF 2.1.0.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "kpatch-build/report-page.h"
#include "rules/rules.h"
#include "support/error.h"

namespace kpatch {

namespace {

using nlohmann::json;

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

// helpUri: SARIF (3.49.12) has absolute addresses only.
json sarif_rule(const std::string& id, const std::string& guide) {
  json rule = {{"id", id}};
  if (guide.find("://") != std::string::npos) rule["helpUri"] = guide_address(guide, id);
  if (const Rule* known = find_rule(id)) {
    rule["shortDescription"] = {{"text", known->summary}};
    rule["help"] = {{"text", rule_page(*known, 100, false)}, {"markdown", known->text}};
  }
  return rule;
}

}  // namespace

std::string sarif_report(const BuildFacts& facts, const Options& options) {
  json results = json::array(), rules = json::array();
  std::set<std::string> ids;
  for (const Finding& f : all_findings(facts)) {
    results.push_back(sarif_result(f));
    ids.insert(f.rule);
  }
  for (const std::string& id : ids) rules.push_back(sarif_rule(id, options.guide));
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
