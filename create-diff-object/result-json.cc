// What the differ found, as lines for a person and as JSON for programs.

#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>

#include "create-diff-object/differ.h"
#include "create-diff-object/listing.h"

namespace kpatch {

namespace {

std::string code_line(std::string_view side, const CodeReport& code) {
  std::string text = fmt::format("    {} +{:#x}: {}", side, static_cast<int64_t>(code.offset), code.bytes);
  if (!code.file.empty()) text += fmt::format("  {}:{}", code.file, code.line);
  for (const std::string& function : code.inlined) text += fmt::format(", inlined {}", function);
  return text + "\n";
}

nlohmann::json code_json(const CodeReport& code) {
  nlohmann::json json = {
      {"offset", static_cast<int64_t>(code.offset)}, {"bytes", code.bytes}, {"inlined", code.inlined}};
  if (!code.file.empty()) {
    json["file"] = code.file;
    json["line"] = code.line;
  }
  return json;
}

}  // namespace

std::string text_report(const DifferResult& result, bool explain) {
  std::string text;
  auto out = std::back_inserter(text);
  auto list = [&](std::string_view what, const std::vector<FunctionReport>& functions) {
    for (const FunctionReport& f : functions) {
      fmt::format_to(out, "{}: {}\n", what, f.name);
      if (explain && !f.reason.empty()) fmt::format_to(out, "    {}\n", f.reason);
      if (explain && f.difference)
        text += code_line("original", f.difference->orig) + code_line("patched ", f.difference->patched);
    }
  };
  list("changed function", result.changed);
  list("new function", result.added);
  list("line numbers only", result.lines_only);
  for (const std::string& kind : result.callbacks) fmt::format_to(out, "callback: {}\n", kind);
  if (!explain) return text;
  list("included", result.included);
  for (const AccountReport& a : result.account)
    fmt::format_to(out, "account: {} {}, {}: {}{}{}\n", a.what, a.name, a.change, a.fate, a.reason.empty() ? "" : ", ",
                   a.reason);
  for (const TwinReport& t : result.twins)
    fmt::format_to(out, "twins: {} -> {} (by {})\n", t.orig, t.patched, t.evidence);
  for (const ReferenceReport& r : result.references) {
    fmt::format_to(out, "reference: {} -> ", r.from);
    if (r.kind == "klp")
      fmt::format_to(out, "{}:{},{}\n", r.owner, r.to, r.sympos);
    else
      fmt::format_to(out, "{} ({})\n", r.to, r.kind);
  }
  return text;
}

std::string json_report(const DifferInput& input, const DifferResult& result) {
  using nlohmann::json;
  auto functions = [](const std::vector<FunctionReport>& list) {
    json array = json::array();
    for (const FunctionReport& f : list) {
      json entry = {{"name", f.name}, {"reason", f.reason}};
      if (f.difference)
        entry["difference"] = {{"original", code_json(f.difference->orig)},
                               {"patched", code_json(f.difference->patched)}};
      if (f.orig_size) entry["size"]["original"] = *f.orig_size;
      if (f.patched_size) entry["size"]["patched"] = *f.patched_size;
      array.push_back(std::move(entry));
    }
    return array;
  };
  json references = json::array();
  for (const ReferenceReport& r : result.references)
    references.push_back({{"from", r.from}, {"to", r.to}, {"kind", r.kind}, {"owner", r.owner}, {"sympos", r.sympos}});
  json twins = json::array();
  for (const TwinReport& t : result.twins)
    twins.push_back({{"original", t.orig}, {"patched", t.patched}, {"evidence", t.evidence}});
  json account = json::array();
  for (const AccountReport& a : result.account)
    account.push_back(
        {{"what", a.what}, {"name", a.name}, {"change", a.change}, {"fate", a.fate}, {"reason", a.reason}});
  json findings = json::array();
  for (const Finding& f : result.findings) findings.push_back(to_json(f));
  json report = {{"object", input.parent_name},
                 {"exit", result.exit_code},
                 {"changed", functions(result.changed)},
                 {"new", functions(result.added)},
                 {"lines_only", functions(result.lines_only)},
                 {"included", functions(result.included)},
                 {"callbacks", result.callbacks},
                 {"references", references},
                 {"globals", result.globals},
                 {"vanished", result.vanished},
                 {"prototypes", result.prototypes},
                 {"twins", twins},
                 {"account", account},
                 {"findings", findings}};
  if (input.listing) {
    report["listings"] = json::array();
    for (const ListingReport& listing : result.listings) report["listings"].push_back(to_json(listing));
  }
  // A name that is no UTF-8 is shown as far as it goes.
  return report.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace kpatch
