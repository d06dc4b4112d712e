// Two readers of one file
//
//     # HELP kpatch_patch_info A loaded livepatch.
//     # TYPE kpatch_patch_info gauge
//     kpatch_patch_info{patch="livepatch_fix",state="enabled"} 1
//     # EOF
//
// OpenMetrics wants its end marked, and knows kinds (info, stateset, unknown) for which node_exporter, an older reader,
// throws the whole file away; so is a counter named in another way by each of them. Gauges alone are the same to both.
#include "kpatch/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace kpatch {
namespace {

using Labels = std::vector<std::pair<const char*, std::string>>;

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '\n') {
      result += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

class Gauges {
 public:
  void describe(const char* name, const char* help) {
    name_ = name;
    text_ += fmt::format("# HELP {} {}\n# TYPE {} gauge\n", name, help, name);
  }
  void add(const Labels& labels, long long value) {
    std::string list;
    for (const auto& [key, label] : labels)
      list += fmt::format("{}{}=\"{}\"", list.empty() ? "" : ",", key, escaped(label));
    text_ += list.empty() ? fmt::format("{} {}\n", name_, value) : fmt::format("{}{{{}}} {}\n", name_, list, value);
  }
  std::string text() const { return text_ + "# EOF\n"; }

 private:
  std::string name_, text_;
};

}  // namespace

std::string metrics_of(const Summary& summary, const System& system, long long now) {
  Gauges gauges;
  gauges.describe("kpatch_state", "0 patched, 1 no livepatch, 2 one is installed and not in effect, 3 no support.");
  gauges.add({}, static_cast<int>(summary.state));
  gauges.describe("kpatch_kernel_info", "The running kernel.");
  gauges.add({{"release", system.release()}}, 1);
  gauges.describe("kpatch_patch_info", "A loaded livepatch.");
  for (const LoadedPatch& patch : summary.patches) gauges.add({{"patch", patch.name}, {"state", state_of(patch)}}, 1);
  gauges.describe("kpatch_patch_functions", "Functions that a loaded livepatch replaces.");
  for (const LoadedPatch& patch : summary.patches)
    gauges.add({{"patch", patch.name}}, static_cast<long long>(patch.functions()));
  gauges.describe("kpatch_fix_info", "What a livepatch in effect says that it fixes.");
  for (const LoadedPatch& patch : summary.patches) {
    std::vector<std::string> told;  // a label set that is there twice would spoil the file
    for (const std::string& fix : in_effect(patch) ? loaded_fixes(system, patch.name) : std::vector<std::string>{})
      if (std::ranges::count(told, fix) == 0) {
        gauges.add({{"patch", patch.name}, {"fix", fix}}, 1);
        told.push_back(fix);
      }
  }
  gauges.describe("kpatch_not_in_effect_info", "An installed livepatch that is not in effect.");
  for (const std::string& name : summary.waiting) gauges.add({{"patch", name}}, 1);
  gauges.describe("kpatch_transition", "1 while tasks change over.");
  gauges.add({}, summary.moving.empty() ? 0 : 1);
  gauges.describe("kpatch_stalled_tasks", "Tasks that a transition waits for.");
  gauges.add({}, static_cast<long long>(summary.stalled.size()));
  gauges.describe("kpatch_status_timestamp_seconds", "When this was written.");
  gauges.add({}, now);
  return gauges.text();
}

}  // namespace kpatch
