// Who else hooks a function that a livepatch replaces: kprobes, fprobes, BPF programs, tracers, other patchers.
//
// The kernel lets most of them live beside a livepatch. Some keep it from loading, some let its function never run though
// it is loaded, and a probe within the old function never fires again.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kpatch/loaded.h"
#include "kpatch/module-file.h"
#include "kpatch/system.h"

namespace kpatch {

enum class Bearing {
  note,        // both work; a tracer goes on to show the old name
  blind,       // the hook sees nothing any more
  unknown,     // this can't be read here
  foreign,     // the code isn't the one that was shipped
  suppresses,  // the hook may keep the new function from running
  excludes,    // the kernel refuses the livepatch, or would refuse to load it again
};

struct Hook {
  Bearing bearing = Bearing::note;
  std::string function;  // empty: of all of them
  std::string what;      // one sentence, about the function
  std::string advice{};  // may be empty
};

// "f has a probe at its entry …".
std::string sentence_of(const Hook& hook);
// The one word for it: "note", "goes blind", "not known", "other code", "may suppress", "excludes".
std::string_view word_for(Bearing bearing);
// Whether a livepatch shouldn't be loaded beside it.
inline bool is_against(Bearing bearing) { return bearing >= Bearing::foreign; }

// Hooks of these functions, by tracefs, debugfs and procfs; what is against a livepatch comes first. Two functions of one
// name in one object can't be told apart there: the hook of either is named.
std::vector<Hook> hooks_on(const System& system, std::span<const HookedFunction> functions);

// What a loaded livepatch replaces now: without the functions of modules that aren't there.
std::vector<HookedFunction> functions_of(const LoadedPatch& patch);

// Functions of the patch that ftrace doesn't lead to a livepatch, by its own list; empty as well where that can't be read.
std::vector<HookedFunction> not_redirected(const System& system, const LoadedPatch& patch);

// A thread that sleeps in one of the functions, or below a BPF trampoline: the transition waits for it.
std::vector<StalledTask> sleepers_in(const System& system, std::span<const HookedFunction> functions);

}  // namespace kpatch
