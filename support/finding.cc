// Findings as text and as JSON
//
//     fs/proc/meminfo.c:34: error: meminfo_cache: lies in .data and is new there [data-init]
//     >>> initialise it in a pre-patch callback
//
// A terminal, an editor and a person all know the form of compilers' messages: file, line, kind. The subject stands
// before the message, since a message is a sentence about it.
#include "support/finding.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <tuple>

#include "support/error.h"
#include "support/text.h"

namespace kpatch {
namespace {

constexpr std::array<const char*, 4> names = {"notice", "warning", "refusal", "error"};  // in JSON
constexpr std::array<const char*, 4> words = {"note", "warning", "error", "error"};      // for a person

auto what(const Finding& f) {
  return std::tie(f.severity, f.location.source, name_of(f.location), f.rule, f.message, f.advice, f.lists);
}
auto where(const Finding& f) { return std::tie(f.location.line, f.location.section, f.location.offset); }

}  // namespace

const std::string& name_of(const Location& l) { return l.function.empty() ? l.section : l.function; }

std::string subject_of(const Location& l) {
  if (!l.offset || (l.line != 0 && !l.function.empty())) return name_of(l);
  const std::string place = fmt::format("{}+{:#x}", l.section, *l.offset);
  return l.function.empty() ? place : fmt::format("{}, in function {}", place, l.function);
}

std::string message_of(const Finding& finding) {
  std::vector<std::string> lists;
  for (const NameList& list : finding.lists) lists.push_back(fmt::format("{} {}", list.what, some_of(list.names)));
  return lists.empty() ? finding.message : fmt::format("{} ({})", finding.message, joined(lists, "; "));
}

std::string sentence_of(const Finding& finding) {
  const std::string subject = subject_of(finding.location), message = message_of(finding);
  return subject.empty() || message.empty() ? subject + message : fmt::format("{}: {}", subject, message);
}

std::string text_of(const Finding& finding) {
  std::string text = finding.location.source;
  if (!text.empty() && finding.location.line != 0) text += fmt::format(":{}", finding.location.line);
  if (!text.empty()) text += ": ";
  text += fmt::format("{}: {}", words[static_cast<size_t>(finding.severity)], sentence_of(finding));
  if (!finding.rule.empty()) text += fmt::format(" [{}]", finding.rule);
  if (!finding.advice.empty()) text += fmt::format("\n>>> {}", finding.advice);
  return text;
}

nlohmann::json to_json(const Finding& finding) {
  const Location& l = finding.location;
  nlohmann::json location = nlohmann::json::object();
  if (!l.source.empty()) location["source"] = l.source;
  if (l.line != 0) location["line"] = l.line;
  if (!l.function.empty()) location["function"] = l.function;
  if (!l.section.empty()) location["section"] = l.section;
  if (l.offset) location["offset"] = *l.offset;
  nlohmann::json json = {{"rule", finding.rule},
                         {"severity", names[static_cast<size_t>(finding.severity)]},
                         {"location", std::move(location)},
                         {"message", finding.message}};
  if (!finding.advice.empty()) json["advice"] = finding.advice;
  for (const NameList& list : finding.lists)
    json["lists"].push_back(nlohmann::json{{"what", list.what}, {"names", list.names}});
  return json;
}

Finding finding_of(const nlohmann::json& json) {
  try {
    const auto* const name = std::find(names.begin(), names.end(), json.at("severity").get<std::string>());
    if (name == names.end()) throw Error("a finding has no known severity");
    const nlohmann::json& place = json.at("location");
    Location location{
        place.value("source", ""), place.value("line", 0), place.value("function", ""), place.value("section", ""), {}};
    if (const auto offset = place.find("offset"); offset != place.end()) location.offset = offset->get<uint64_t>();
    Finding finding{json.at("rule").get<std::string>(), static_cast<Severity>(name - names.begin()),
                    std::move(location), json.at("message").get<std::string>(), json.value("advice", "")};
    for (const nlohmann::json& list : json.value("lists", nlohmann::json::array()))
      finding.lists.push_back({list.at("what").get<std::string>(), list.at("names").get<std::vector<std::string>>()});
    return finding;
  } catch (const nlohmann::json::exception& error) {
    throw Error(fmt::format("no finding: {}", error.what()));
  }
}

std::vector<Finding> sorted(std::vector<Finding> findings) {
  std::sort(findings.begin(), findings.end(), [](const Finding& a, const Finding& b) {
    return what(a) != what(b) ? what(a) < what(b) : where(a) < where(b);
  });
  const auto same = [](const Finding& a, const Finding& b) { return what(a) == what(b); };
  findings.erase(std::unique(findings.begin(), findings.end(), same), findings.end());
  return findings;
}

bool Diagnostics::refused() const {
  return std::any_of(findings_.begin(), findings_.end(),
                     [](const Finding& f) { return f.severity == Severity::refusal; });
}

}  // namespace kpatch
