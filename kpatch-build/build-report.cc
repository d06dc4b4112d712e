// What was found, for a person and for programs
//
// Sentences about functions for a person, the whole for a program. Findings are printed by the reporter (reporter.cc).
#include "kpatch-build/build-report.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "elf/elf.h"
#include "kernel/kernel.h"
#include "support/error.h"

namespace kpatch {
namespace {

nlohmann::json function_list(const std::vector<ReportedFunction>& functions) {
  nlohmann::json list = nlohmann::json::array();
  for (const ReportedFunction& f : functions) {
    list.push_back({{"name", f.name}, {"reason", f.reason}});
    if (f.original_size) list.back()["size"]["original"] = *f.original_size;
    if (f.patched_size) list.back()["size"]["patched"] = *f.patched_size;
    if (!f.original.empty()) list.back()["original"] = f.original;
    if (!f.patched.empty()) list.back()["patched"] = f.patched;
  }
  return list;
}

}  // namespace

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
  }
  return text;
}

ModuleSize size_of_module(const std::filesystem::path& module) {
  const FileBytes bytes = FileBytes::read(module);
  ModuleSize size;
  size.file = bytes.bytes().size();
  const ElfFile elf(bytes.bytes(), module.string());
  for (const ElfSection& section : elf.sections())
    if ((section.header.sh_flags & SHF_ALLOC) != 0)
      ((section.header.sh_flags & SHF_EXECINSTR) != 0 ? size.text : size.data) += section.header.sh_size;
  return size;
}

std::string json_report(const BuildFacts& facts, const Options& options) {
  using nlohmann::json;
  const auto finding_list = [](const std::vector<Finding>& findings) {
    json list = json::array();
    for (const Finding& finding : findings) list.push_back(to_json(finding));
    return list;
  };
  json patches = json::array();
  for (size_t i = 0; i < options.patches.size(); ++i) {
    patches.push_back({{"name", options.patches[i].filename().string()}});
    if (i < facts.patch_digests.size()) patches.back()["xxh3"] = facts.patch_digests[i];
  }
  json objects = json::array();
  for (const PairReport& report : facts.objects) {
    objects.push_back({{"source", report.pair.command.source},
                       {"object", report.object},
                       {"exit", report.status},
                       {"changed", function_list(report.changed)},
                       {"new", function_list(report.added)},
                       {"lines_only", function_list(report.lines_only)},
                       {"included", function_list(report.included)},
                       {"callbacks", report.callbacks},
                       {"findings", finding_list(report.findings)}});
  }
  json whole = {{"tool", "kpatch-build " KPATCH_VERSION},   {"release", facts.release}, {"module", facts.module},
                {"options", options_summary(options)},      {"patches", patches},       {"exit", facts.status},
                {"findings", finding_list(facts.findings)}, {"objects", objects}};
  if (facts.size) whole["size"] = {{"text", facts.size->text}, {"data", facts.size->data}, {"file", facts.size->file}};
  if (facts.livepatch) whole["livepatch"] = to_json(*facts.livepatch);
  return whole.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace kpatch
