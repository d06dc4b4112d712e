// Whether this machine's kernel is patched, in one look.
#pragma once

#include <string>
#include <vector>

#include "kpatch/loaded.h"
#include "kpatch/system.h"

namespace kpatch {

// Also the exit codes of kpatch status.
enum class PatchState : int { patched = 0, no_livepatch = 1, not_in_effect = 2, unsupported = 3 };

struct Summary {
  PatchState state = PatchState::no_livepatch;
  std::vector<LoadedPatch> patches;  // oldest first
  std::vector<std::string> waiting;  // installed for this kernel, and not in effect
  std::string moving;                // the one in transition; empty: none
  std::vector<StalledTask> stalled;  // that its transition waits for
};

Summary summary_of(const System& system);
const char* words_for(PatchState state);

// "enabled", "enabling" …
std::string state_of(const LoadedPatch& patch);
// Its code is what runs, everywhere.
bool in_effect(const LoadedPatch& patch);

}  // namespace kpatch
