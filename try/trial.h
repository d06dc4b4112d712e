// Booting a kernel with a livepatch, and writing down what came of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "support/console.h"
#include "support/executor.h"
#include "try/kernel-files.h"

namespace kpatch {

struct TrialInput {
  std::filesystem::path module;
  BootableKernel kernel;
  std::vector<std::string> extra_modules{};  // beside those that the livepatch patches
  std::filesystem::path test{};              // the author's script; empty: none
  std::filesystem::path initramfs{}, disk{};
  std::chrono::seconds timeout{300};  // for everything; a transition and a run of the test have a fifth of it
  std::string accelerator{};          // "kvm", "tcg"; empty: KVM where it works
  std::filesystem::path console{};    // where the kernel's messages go
};

struct PatchedName {
  std::string object, name;
  uint64_t sympos = 0;
  auto operator<=>(const PatchedName&) const = default;
};

// A stretch of the guest's life: boot, guest, before, load, after, unload, unloaded, control.
struct TrialPhase {
  std::string name;
  double seconds = 0;
  std::vector<std::string> output{};   // of the test, and who keeps a transition from ending
  std::optional<int> test{};           // its exit status
  std::optional<int64_t> stopped{};    // seconds, when the test didn't end by itself
  std::optional<uint64_t> taint{};     // at the phase's end
  std::string broken{};                // why the guest gave up
  std::vector<std::string> console{};  // what the kernel said meanwhile
};

struct TrialRecord {
  std::string accelerator{};
  std::string release{};  // that booted
  std::vector<TrialPhase> phases{};
  std::vector<PatchedName> functions{};  // in sysfs, sorted
  std::vector<std::string> notes{};      // modules that couldn't be loaded, objects that aren't there
  bool has_control = false;              // whether the module's tables are known, so that one could be made
  bool ended = false, timed_out = false;

  const TrialPhase* phase(std::string_view name) const;  // nullptr: the guest never got there
};

// Throws Error when there is no emulator or busybox here, or a file can't be read. scratch: a folder for what the guest
// gets. remembered: a file for whether KVM works on this machine since it was started; may be empty.
TrialRecord run_trial(const TrialInput& input, const std::filesystem::path& scratch,
                      const std::filesystem::path& remembered, Executor& executor, Console& console);

// Throws Error when this machine can't boot a kernel of that ELF machine.
void require_trial_tools(uint16_t machine);

// Gives each phase its part of the console's log, by the marks that the guest made in it.
void part_console(std::string_view log, std::vector<TrialPhase>& phases);

}  // namespace kpatch
