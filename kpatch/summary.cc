#include "kpatch/summary.h"

#include <algorithm>
#include <filesystem>

#include "kpatch/store.h"

namespace kpatch {

std::string state_of(const LoadedPatch& patch) {
  if (patch.transition) return patch.enabled ? "enabling" : "disabling";
  return patch.enabled ? "enabled" : "disabled";
}

bool in_effect(const LoadedPatch& patch) { return patch.enabled && !patch.transition; }

const char* words_for(PatchState state) {
  const char* const words[] = {"patched", "no livepatch", "installed, and not in effect", "no support for livepatches"};
  return words[static_cast<int>(state)];
}

Summary summary_of(const System& system) {
  Summary summary;
  summary.patches = loaded_patches(system);
  const auto enabled = [&](const std::string& name) {
    return std::ranges::any_of(summary.patches, [&](const LoadedPatch& p) { return p.name == name && p.enabled; });
  };
  const std::vector<Installed> installed = Store(system).installed(system.release());
  for (const Installed& module : installed)
    if (!enabled(module.name)) summary.waiting.push_back(module.name);
  // A cumulative patch took the place of what was installed before it.
  if (!installed.empty() && enabled(installed.back().name)) summary.waiting.clear();
  if (!std::filesystem::exists(system.path("/sys/kernel/livepatch")))
    summary.state = PatchState::unsupported;
  else if (!summary.waiting.empty())
    summary.state = PatchState::not_in_effect;
  else if (std::ranges::any_of(summary.patches, &LoadedPatch::enabled))
    summary.state = PatchState::patched;
  const auto moving = std::ranges::find_if(summary.patches, &LoadedPatch::transition);
  if (moving != summary.patches.end()) {
    summary.moving = moving->name;
    summary.stalled = stalled_tasks(system, *moving);
  }
  return summary;
}

}  // namespace kpatch
