// Loading and unloading, which end in the old state or the new one wherever the kernel lets them.
#pragma once

#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kpatch/hooks.h"
#include "kpatch/loaded.h"
#include "kpatch/module-file.h"
#include "kpatch/store.h"
#include "kpatch/system.h"

namespace kpatch {

// Exit codes of the commands that change something.
enum Outcome : int {
  done = 0,
  refused = 1,     // nothing changed
  taken_back = 2,  // the transition didn't end in time, and was reversed: what ran before runs
  between = 3,     // nor did the reversed one: some tasks run the old code, some the new one
};

struct Change {
  Outcome outcome = done;
  std::string message;                // one line for a person
  std::vector<std::string> details;   // further ones: the kernel's own words, what to do
  std::vector<std::string> replaced;  // livepatches that this one took the place of
  std::vector<StalledTask> stalled;   // who kept the transition from ending
  double seconds = 0;                 // of the transition
};

struct ChangeOptions {
  std::chrono::seconds wait{60};                                         // for a transition, each way
  bool force = false;                                                    // load in spite of what is known against it
  std::function<void(std::string_view)> tell = [](std::string_view) {};  // what takes its time
};

class Changer {
 public:
  Changer(System& system, ChangeOptions options) : system_(system), options_(std::move(options)), store_(system) {}

  Change load(const ModuleFile& module);
  Change unload(const std::string& name);

 private:
  Change refuse(std::string message, std::vector<std::string> details = {}) const;
  Change refuse_for(const std::string& name, std::span<const Hook> hooks) const;
  bool wait_for_others() const;
  bool settled(const std::string& name) const;
  bool wait_for(const std::string& name, double& seconds) const;
  int insert(const ModuleFile& module);
  bool remove_module(const std::string& name);
  Change take_back(const std::string& name, Change change, bool loading);
  std::string name_in_kernel(const ModuleFile& module, const std::vector<LoadedPatch>& before) const;
  Change complete_load(const ModuleFile& module, const std::vector<LoadedPatch>& before);

  System& system_;
  ChangeOptions options_;
  Store store_;
};

// Why a module can't be loaded here; empty: nothing is known against it.
std::string misfit(const ModuleFile& module, const System& system);

}  // namespace kpatch
