// Whether the machine is well after a load: the kernel's own counters, its taint, its log, and a command of the operator's.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "kpatch/change.h"
#include "kpatch/module-file.h"
#include "kpatch/store.h"
#include "kpatch/system.h"

namespace kpatch {

struct WatchOptions {
  std::string command;             // for a shell, with KPATCH_MODULE; ends with 0 where all is well; empty: none
  std::chrono::seconds length{0};  // how long; 0: looked at once, after the transition

  bool asked() const { return !command.empty() || length.count() > 0; }
};

// Whether a message of the kernel tells of a fault of its own: a warning, an oops, a hang, a corrupted list.
bool tells_of_a_fault(std::string_view message);

class Health {
 public:
  // Begins here: what the kernel counted and logged before is no concern of the load.
  explicit Health(System& system);

  // What speaks against the machine's health since then; empty: nothing. As often as one likes.
  std::string complaint();

 private:
  System& system_;
  KernelLog log_;
  long oopses_, warnings_;
  unsigned long taint_;
  std::string complained_;
};

// Loads a livepatch and watches; where something is amiss before the time is over, what ran before is put back, in one
// transition as well (taken_back). It is refused when that couldn't be done: a livepatch runs whose file isn't installed;
// or when the command fails before anything was loaded. An installed one that came through is accepted.
Change load_and_watch(System& system, const ChangeOptions& options, const ModuleFile& module,
                      const WatchOptions& watch);

}  // namespace kpatch
