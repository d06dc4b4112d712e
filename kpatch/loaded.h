// The livepatches of the running kernel, as sysfs and procfs show them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kpatch/system.h"

namespace kpatch {

struct PatchedThing {
  std::string object;                  // vmlinux, or a module
  std::optional<bool> patched;         // that its code is replaced now; kernels before 6.1 don't tell
  std::vector<std::string> functions;  // their names
};

struct LoadedPatch {
  std::string name;
  bool enabled = false;
  bool transition = false;
  std::optional<bool> replace;     // since Linux 6.11
  std::optional<int> stack_order;  // since Linux 6.14
  std::vector<PatchedThing> things;

  size_t functions() const;
};

// Oldest first: by stack_order, else as the modules were loaded.
std::vector<LoadedPatch> loaded_patches(const System& system);
std::optional<LoadedPatch> loaded_patch(const System& system, const std::string& name);

// Modules of livepatches that were replaced or disabled, and do nothing any more.
std::vector<std::string> left_modules(const System& system);

// The bytes of a loaded module's build id; empty when it has none.
std::string loaded_build_id(const System& system, const std::string& module);

// What a loaded livepatch says that it fixes: CVEs, commits, advisories. Empty where it says nothing.
std::vector<std::string> loaded_fixes(const System& system, const std::string& module);

// How often somebody tried what a fix refuses, as the livepatch counts it (kmod-template/kpatch-attempts.h).
struct Attempts {
  std::string name;              // a CVE, mostly
  unsigned long long count = 0;  // since the livepatch was loaded
};

// In the order in which the livepatch shows them, each name once. Empty where it counts none, or for others than root. A
// line that isn't a name and a number is passed over: other builders may have a parameter of that name.
std::vector<Attempts> loaded_attempts(const System& system, const std::string& module);

// A thread that hasn't changed over to what the transition leads to.
struct StalledTask {
  int pid = 0, tid = 0;
  std::string command;
  std::string function;            // the patched function that it is in; empty: not known
  std::string why;                 // for a person
  std::vector<std::string> stack;  // innermost first; empty where it may not be read
};

// The folders of all processes: "/proc/1" …
std::vector<std::string> process_folders(const System& system);
// Each thread that `wanted` takes, by its folder in procfs, with its stack; `function` and `why` stay empty.
std::vector<StalledTask> tasks_of(const System& system,
                                  const std::function<bool(const std::string& folder)>& wanted = {});
// "[<0>] do_wait+0x61/0x80 [module]" -> do_wait
std::string function_of_frame(std::string_view frame);

// Of the patch's transition. Idle tasks may stall as well, and aren't in procfs.
std::vector<StalledTask> stalled_tasks(const System& system, const LoadedPatch& patch);

}  // namespace kpatch
