#include "kpatch-build/together.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "support/error.h"

namespace kpatch {
namespace {

// Code that a module's relocations go into, which nobody applies before the module comes.
bool runs_with_its_module(const PairReport& report) {
  return std::any_of(report.references.begin(), report.references.end(),
                     [](const ModuleReference& r) { return !r.owner.empty(); });
}

void add_names(Finding& finding, const std::string& what, const std::vector<std::string>& names) {
  auto list = std::ranges::find(finding.lists, what, &NameList::what);
  if (list == finding.lists.end()) list = finding.lists.insert(list, {what, {}});
  for (const std::string& name : names)
    if (std::ranges::find(list->names, name) == list->names.end()) list->names.push_back(name);
}

// The files that an object is made of have their own callbacks, and the object has one of each kind.
void check_callbacks(std::vector<PairReport>& reports) {
  std::map<std::pair<std::string, std::string>, std::string> first;  // (object, kind): source
  for (PairReport& report : reports) {
    if (report.status != exit_ok) continue;
    const std::string& source = report.pair.command.source;
    for (const std::string& kind : report.callbacks) {
      const auto [entry, fresh] = first.try_emplace({report.object, kind}, source);
      if (!fresh && entry->second != source)
        refuse(report, "callbacks", "",
               fmt::format("has a {} callback of {}, and so has {}: the kernel knows one of each kind", kind,
                           report.object, entry->second),
               "call what both do from one of them");
    }
  }
}

}  // namespace

// Each object that includes a header tells of the types there.
void join_layout_findings(std::vector<PairReport>& reports) {
  struct Told {
    PairReport* report = nullptr;
    size_t finding = 0;
    std::vector<std::string> sources{};
  };
  std::map<Finding, Told> told;
  for (PairReport& report : reports) {
    const std::string& source = report.pair.command.source;
    for (size_t i = 0; i < report.findings.size();) {
      if (report.findings[i].rule != "data-layout") {
        ++i;
        continue;
      }
      Finding same = report.findings[i];
      const std::vector<NameList> lists = std::exchange(same.lists, {});
      // Without DWARF's word for the place it is the object's own file.
      if (same.location.line == 0 && same.location.source == source) same.location.source.clear();
      const auto [entry, fresh] = told.try_emplace(std::move(same), Told{&report, i});
      entry->second.sources.push_back(source);
      if (fresh) {
        ++i;
        continue;
      }
      Finding& first = entry->second.report->findings[entry->second.finding];
      for (const NameList& list : lists) add_names(first, list.what, list.names);
      report.findings.erase(report.findings.begin() + static_cast<ptrdiff_t>(i));
    }
  }
  for (const auto& [same, where] : told)
    if (where.sources.size() > 1) add_names(where.report->findings[where.finding], "seen in", where.sources);
}

// A module may use what others export, and would not be linked with what they only have.
void refuse_missing(PairReport& report, const ModuleReference& reference) {
  const bool module = report.object != "vmlinux";
  refuse(report, "missing", reference.from,
         module ? fmt::format("refers to {}, which is neither in {} nor exported to it, nor in the patch", reference.to,
                              report.object)
                : fmt::format("refers to {}, which is neither in the kernel nor in the patch", reference.to),
         module
             ? "use what the kernel exports; otherwise see whether the file that defines it is built, and whether its "
               "name is right"
             : "see whether the file that defines it is built, and whether its name is right");
}

void check_together(std::vector<PairReport>& reports,
                    const std::function<const std::set<std::string>&(const std::string&)>& needed_by) {
  check_callbacks(reports);
  std::map<std::string, const PairReport*> defined;
  for (PairReport& report : reports) {
    if (report.status != exit_ok) continue;
    for (const std::string& name : report.globals) {
      const auto [first, fresh] = defined.emplace(name, &report);
      if (!fresh)
        refuse(
            report, "duplicate", name,
            fmt::format("is new here and in {}, and the livepatch is one module", first->second->pair.command.source),
            "make one of them static, or give it another name");
    }
  }
  // What a refused object would have defined nobody knows; its refusal is what has to be dealt with.
  const bool all_known =
      std::none_of(reports.begin(), reports.end(), [](const auto& r) { return r.status == exit_unpatchable; });
  for (PairReport& report : reports) {
    if (report.status != exit_ok) continue;
    for (const ModuleReference& reference : report.references) {
      if (!reference.owner.empty()) continue;
      const auto found = defined.find(reference.to);
      if (found == defined.end()) {
        if (all_known) refuse_missing(report, reference);
        continue;
      }
      const PairReport& definer = *found->second;
      if (definer.object == report.object || definer.object == "vmlinux" || !runs_with_its_module(definer)) continue;
      if (report.object != "vmlinux" && needed_by(report.object).contains(definer.object)) continue;
      refuse(report, "new-dependency", reference.from,
             fmt::format("refers to {}, new code of module {} ({}), which needn't be there", reference.to,
                         definer.object, definer.pair.command.source),
             "put it into a file of the object that uses it");
    }
  }
}

}  // namespace kpatch
