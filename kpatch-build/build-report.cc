// What was found, for a person and for programs
//
//     fs/proc/meminfo.c: error: meminfo_proc_show: … [rule]
//
// Every finding names the source file that the person patched, then the function or section, then what is wrong. All
// findings of all objects are shown, refusals last, where a terminal leaves them in sight.
#include "kpatch-build/build-report.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "kernel/kernel.h"
#include "support/error.h"

namespace kpatch {
namespace {

int rank(const std::string& severity) { return severity == "refusal" ? 2 : severity == "warning" ? 1 : 0; }

struct Line {
  int rank = 0;
  std::string source;
  const ReportedFinding* finding = nullptr;
};

nlohmann::json to_json(const std::vector<ReportedFunction>& functions) {
  nlohmann::json list = nlohmann::json::array();
  for (const ReportedFunction& f : functions) {
    list.push_back({{"name", f.name}, {"reason", f.reason}});
    if (!f.original.empty()) list.back()["original"] = f.original;
    if (!f.patched.empty()) list.back()["patched"] = f.patched;
  }
  return list;
}

}  // namespace

bool print_findings(std::span<const PairReport> reports, Console& console) {
  std::vector<Line> lines;
  for (const PairReport& report : reports) {
    for (const ReportedFinding& finding : report.findings) {
      lines.push_back({rank(finding.severity), report.pair.command.source, &finding});
    }
  }
  std::stable_sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) {
    return std::tie(a.rank, a.source) < std::tie(b.rank, b.source);
  });
  bool refused = false;
  for (const Line& line : lines) {
    const ReportedFinding& f = *line.finding;
    const std::string text = fmt::format("{}: {}[{}]", f.where, f.message + (f.message.empty() ? "" : " "), f.rule);
    if (line.rank == 2) {
      refused = true;
      console.error(fmt::format("{}: error: {}", line.source, text));
    } else if (line.rank == 1) {
      console.warning(fmt::format("{}: {}", line.source, text));
    } else {
      console.debug(fmt::format("{}: note: {}", line.source, text));
    }
  }
  return refused;
}

std::string patched_functions(std::span<const PairReport> reports) {
  std::map<std::string, std::set<std::string>> by_object;
  for (const PairReport& report : reports) {
    for (const ReportedFunction& f : report.changed) by_object[report.object].insert(f.name);
    if (!report.callbacks.empty() && report.status == exit_ok) by_object[report.object];
  }
  std::string text;
  const auto add = [&](const std::string& object, const std::set<std::string>& functions) {
    std::string names;
    for (const std::string& name : functions) names += (names.empty() ? "" : ", ") + name;
    text += fmt::format("  {}: {}\n", object, names.empty() ? "callbacks only" : names);
  };
  if (const auto vmlinux = by_object.find("vmlinux"); vmlinux != by_object.end()) {
    add(vmlinux->first, vmlinux->second);
    by_object.erase(vmlinux);
  }
  for (const auto& [object, functions] : by_object) add(object, functions);
  return text;
}

std::string explanation(std::span<const PairReport> reports) {
  std::string text;
  const auto list = [&](std::string_view what, const std::vector<ReportedFunction>& functions) {
    for (const ReportedFunction& f : functions) {
      text += fmt::format("  {} {}{}\n", what, f.name, f.reason.empty() ? "" : ": " + f.reason);
      if (!f.original.empty()) text += fmt::format("    original {}\n", f.original);
      if (!f.patched.empty()) text += fmt::format("    patched  {}\n", f.patched);
    }
  };
  for (const PairReport& report : reports) {
    text += fmt::format("{} ({})\n", report.pair.command.source, report.object);
    if (report.status == exit_no_change) text += "  no functional change\n";
    list("changed function", report.changed);
    list("new function", report.added);
    list("line numbers only in", report.lines_only);
    for (const std::string& callback : report.callbacks) text += fmt::format("  callback {}\n", callback);
    list("included", report.included);
    for (const std::string& entry : report.account) text += fmt::format("  account {}\n", entry);
    for (const std::string& twins : report.twins) text += fmt::format("  twins {}\n", twins);
    for (const ReportedFinding& f : report.findings) {
      text += fmt::format("  {} {}: {} [{}]\n", f.severity, f.where, f.message, f.rule);
    }
  }
  return text;
}

void write_json_report(const std::filesystem::path& path, std::span<const PairReport> reports, const Options& options,
                       const std::string& module, const std::string& release, int status) {
  using nlohmann::json;
  json patches = json::array();
  for (const auto& patch : options.patches) {
    patches.push_back({{"name", patch.filename().string()}, {"xxh3", digest_of_file(patch)}});
  }
  json objects = json::array();
  for (const PairReport& report : reports) {
    json findings = json::array();
    for (const ReportedFinding& f : report.findings) {
      findings.push_back({{"severity", f.severity}, {"rule", f.rule}, {"where", f.where}, {"message", f.message}});
    }
    objects.push_back({{"source", report.pair.command.source},
                       {"object", report.object},
                       {"exit", report.status},
                       {"changed", to_json(report.changed)},
                       {"new", to_json(report.added)},
                       {"lines_only", to_json(report.lines_only)},
                       {"included", to_json(report.included)},
                       {"callbacks", report.callbacks},
                       {"findings", findings}});
  }
  const json whole = {{"tool", "kpatch-build " KPATCH_VERSION},
                      {"release", release},
                      {"module", module},
                      {"options", options_summary(options)},
                      {"patches", patches},
                      {"exit", status},
                      {"objects", objects}};
  write_file(path, whole.dump(2) + "\n");
}

}  // namespace kpatch
