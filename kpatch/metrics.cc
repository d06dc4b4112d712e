// Two readers of one file
//
//     # HELP kpatch_patch_info A loaded livepatch.
//     # TYPE kpatch_patch_info gauge
//     kpatch_patch_info{patch="livepatch_fix",state="enabled"} 1
//     # EOF
//
// OpenMetrics wants its end marked, and knows kinds (info, stateset, unknown) for which node_exporter, an older reader,
// throws the whole file away; so is a counter named in another way by each of them. Gauges alone are the same to both. What
// only counts up is the exception: as OpenMetrics has it, its samples end with _total and the name that is described
// doesn't. The older reader takes such samples as well, and knows of no kind then. A new livepatch counts from 0, which
// readers of counters expect.
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

class Metrics {
 public:
  void describe(const char* name, const char* help) { describe(name, help, "gauge", ""); }
  void describe_counter(const char* name, const char* help) { describe(name, help, "counter", "_total"); }
  template <typename Number>
  void add(const Labels& labels, Number value) {
    std::string list;
    for (const auto& [key, label] : labels)
      list += fmt::format("{}{}=\"{}\"", list.empty() ? "" : ",", key, escaped(label));
    text_ += list.empty() ? fmt::format("{} {}\n", name_, value) : fmt::format("{}{{{}}} {}\n", name_, list, value);
  }
  std::string text() const { return text_ + "# EOF\n"; }

 private:
  void describe(const char* name, const char* help, const char* kind, const char* ending) {
    name_ = std::string(name) + ending;
    text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, kind);
  }

  std::string name_, text_;
};

}  // namespace

std::string metrics_of(const Summary& summary, const System& system, long long now) {
  Metrics metrics;
  metrics.describe("kpatch_state", "0 patched, 1 no livepatch, 2 one is installed and not in effect, 3 no support.");
  metrics.add({}, static_cast<int>(summary.state));
  metrics.describe("kpatch_kernel_info", "The running kernel.");
  metrics.add({{"release", system.release()}}, 1);
  metrics.describe("kpatch_patch_info", "A loaded livepatch.");
  for (const LoadedPatch& patch : summary.patches) metrics.add({{"patch", patch.name}, {"state", state_of(patch)}}, 1);
  metrics.describe("kpatch_patch_functions", "Functions that a loaded livepatch replaces.");
  for (const LoadedPatch& patch : summary.patches)
    metrics.add({{"patch", patch.name}}, static_cast<long long>(patch.functions()));
  metrics.describe("kpatch_fix_info", "What a livepatch in effect says that it fixes.");
  for (const LoadedPatch& patch : summary.patches) {
    std::vector<std::string> told;  // a label set that is there twice would spoil the file
    for (const std::string& fix : in_effect(patch) ? loaded_fixes(system, patch.name) : std::vector<std::string>{})
      if (std::ranges::count(told, fix) == 0) {
        metrics.add({{"patch", patch.name}, {"fix", fix}}, 1);
        told.push_back(fix);
      }
  }
  metrics.describe_counter("kpatch_exploit_attempts", "How often what a fix refuses was tried.");
  for (const LoadedPatch& patch : summary.patches)
    for (const Attempts& attempts : loaded_attempts(system, patch.name))
      metrics.add({{"patch", patch.name}, {"cve", attempts.name}}, attempts.count);
  metrics.describe("kpatch_not_in_effect_info", "An installed livepatch that is not in effect.");
  for (const std::string& name : summary.waiting) metrics.add({{"patch", name}}, 1);
  metrics.describe("kpatch_transition", "1 while tasks change over.");
  metrics.add({}, summary.moving.empty() ? 0 : 1);
  metrics.describe("kpatch_stalled_tasks", "Tasks that a transition waits for.");
  metrics.add({}, static_cast<long long>(summary.stalled.size()));
  metrics.describe("kpatch_status_timestamp_seconds", "When this was written.");
  metrics.add({}, now);
  return metrics.text();
}

}  // namespace kpatch
