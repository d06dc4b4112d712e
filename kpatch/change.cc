// From one state to the other
//
//     load      other transition? wait ─► finit_module ─► transition ─► replaced modules leave memory
//                                          │ EBUSY, EAGAIN: again      │ not in time
//                                          ▼                           ▼
//                                        refused                     reverse ─► taken back, or between
//
// A module that replaces others takes their place in one transition, so that no moment is without a patch; nothing is
// unloaded before. A transition that doesn't end isn't left standing: it is reversed, which may stall as well, and then
// both versions go on living and only a report can be given.
//
// EAGAIN comes from ftrace while somebody changes a BPF trampoline of a patched function, EBUSY from another transition or
// from a hook that rules a livepatch out; the first two go by.
#include "kpatch/change.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iterator>
#include <utility>

#include "kpatch/running-code.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr auto step = 100ms;
constexpr unsigned tries = 5;  // of a load that finds the kernel busy
constexpr auto pause = 2s;     // between them
constexpr auto removal = 15s;  // for a module's last users to leave it

std::string enabled_file(const std::string& name) { return "/sys/kernel/livepatch/" + name + "/enabled"; }

// panic_on_taint=MASK[,nousertaint]: Documentation/admin-guide/kernel-parameters.txt
bool taint_would_panic(const System& system) {
  constexpr unsigned long livepatch = 1UL << 15U, out_of_tree = 1UL << 12U;
  const auto mask = system.boot_option("panic_on_taint");
  return mask && (std::strtoul(mask->c_str(), nullptr, 16) & (livepatch | out_of_tree)) != 0;
}

const char* meaning(int error) {
  switch (error) {
    case EPERM:
      return "the kernel doesn't allow it: no CAP_SYS_MODULE, kernel.modules_disabled=1, or lockdown and no signature "
             "with a key that it knows";
    case EKEYREJECTED:
      return "the kernel rejects its signature, or wants one";
    case ENOEXEC:
      return "the kernel takes it for no module of its own";
    case EINVAL:
      return "the kernel finds it invalid";
    case ENOENT:
      return "the kernel lacks a symbol that it needs";
    case EEXIST:
      return "a module of its name is loaded";
    case EBUSY:
      return "the kernel is busy with another transition, or something else holds a patched function";
    case EAGAIN:
      return "a patched function's BPF trampoline was being changed";
    case EBADMSG:
      return "its signature is damaged";
    default:
      return nullptr;
  }
}

// What of the kernel's messages speaks of it.
std::vector<std::string> about(const std::vector<std::string>& messages, const std::string& name) {
  std::vector<std::string> found;
  for (const std::string& message : messages)
    for (const char* word : {"livepatch:", "odule", "Lockdown:", "PKCS#7", "ftrace"})
      if (message.find(word) != std::string::npos || message.find(name) != std::string::npos) {
        found.push_back("kernel: " + message);
        break;
      }
  return found;
}

}  // namespace

std::string misfit(const ModuleFile& module, const System& system) {
  if (!module.livepatch) return fmt::format("{} is no livepatch", module.name);
  if (module.release != system.release())
    return fmt::format("{} is for {}, and {} runs here", module.name, module.release, system.release());
  if (!fs::exists(system.path("/sys/kernel/livepatch")))
    return fmt::format("{} was built without CONFIG_LIVEPATCH", system.release());
  if (taint_would_panic(system))
    return "this kernel was booted with panic_on_taint, and would panic: a livepatch taints it";
  return {};
}

Change Changer::refuse(std::string message, std::vector<std::string> details) const {
  Change change;
  change.outcome = refused;
  change.message = std::move(message);
  change.details = std::move(details);
  return change;
}

// Whether no transition is running any more: there is one at most on a machine.
bool Changer::wait_for_others() const {
  const auto busy = [&] { return std::ranges::any_of(loaded_patches(system_), &LoadedPatch::transition); };
  const auto begin = system_.now();
  bool told = false;
  while (busy()) {
    if (system_.now() - begin >= options_.wait) return false;
    if (!std::exchange(told, true)) options_.tell("waiting for another transition");
    system_.sleep(step);
  }
  return true;
}

// A patch that is disabled leaves sysfs a moment after its transition.
bool Changer::settled(const std::string& name) const {
  const auto patch = loaded_patch(system_, name);
  return !patch || (!patch->transition && patch->enabled);
}

bool Changer::wait_for(const std::string& name, double& seconds) const {
  const auto begin = system_.now();
  auto told = begin;
  while (true) {
    const bool ended = settled(name);
    const auto now = system_.now();
    seconds = std::chrono::duration<double>(now - begin).count();
    if (ended) return true;
    if (now - begin >= options_.wait) return false;
    if (now - told >= 5s) {
      told = now;
      if (const auto patch = loaded_patch(system_, name); patch && patch->transition)
        options_.tell(fmt::format("{} tasks have still to change over", stalled_tasks(system_, *patch).size()));
    }
    system_.sleep(step);
  }
}

int Changer::insert(const ModuleFile& module) {
  for (unsigned attempt = 1;; ++attempt) {
    const int error = system_.load(module.path);
    if ((error != EBUSY && error != EAGAIN) || attempt == tries) return error;
    options_.tell(fmt::format("{}; trying again", meaning(error)));
    system_.sleep(pause);
  }
}

bool Changer::remove_module(const std::string& name) {
  const auto begin = system_.now();
  while (true) {
    const int error = system_.remove(name);
    if (error == 0 || error == ENOENT) return true;
    if ((error != EAGAIN && error != EBUSY && error != EWOULDBLOCK) || system_.now() - begin >= removal) return false;
    system_.sleep(step);
  }
}

Change Changer::load(const ModuleFile& module) {
  const std::string& name = module.name;
  if (std::string why = misfit(module, system_); !why.empty() && !options_.force) return refuse(std::move(why));
  if (!wait_for_others())
    return refuse("another transition doesn't end", {"see kpatch status; kpatch unload takes its patch back"});
  const std::vector<LoadedPatch> before = loaded_patches(system_);
  const auto same_name = std::ranges::find(before, name, &LoadedPatch::name);
  if (same_name != before.end()) {
    if (loaded_build_id(system_, name) != module.build_id)
      return refuse(fmt::format("another module of the name {} is loaded", name),
                    {"give the new one a name of its own (kpatch-build --name), so that it can replace the old one"});
    Change change;
    change.message = fmt::format("{} is loaded already", name);
    return change;
  }
  std::vector<Hook> hooks = hooks_on(system_, module.functions);
  for (Hook& hook : foreign_code(system_, module)) hooks.push_back(std::move(hook));
  std::ranges::stable_sort(hooks, std::greater(), &Hook::bearing);
  if (!options_.force && !hooks.empty() && is_against(hooks.front().bearing)) return refuse_for(module.name, hooks);
  // What was replaced or disabled stays in memory under its name.
  if (std::ranges::count(left_modules(system_), name) > 0 && !remove_module(name))
    return refuse(fmt::format("an older module of the name {} does nothing any more, but can't be unloaded", name));
  return complete_load(module, before);
}

// What the kernel would refuse without saying why, or would take though its new function never runs.
Change Changer::refuse_for(const std::string& name, std::span<const Hook> hooks) const {
  std::vector<std::string> details;
  for (const Hook& hook : hooks) {
    if (!is_against(hook.bearing)) continue;
    details.push_back(sentence_of(hook));
    if (!hook.advice.empty()) details.back() += "; " + hook.advice;
  }
  return refuse(fmt::format("{} isn't loaded: {}", name,
                            hooks.front().bearing == Bearing::foreign ? "what it replaces isn't what was shipped"
                                                                      : "something else hooks what it replaces"),
                std::move(details));
}

// The name is in the module's own struct, whatever its .modinfo says.
std::string Changer::name_in_kernel(const ModuleFile& module, const std::vector<LoadedPatch>& before) const {
  if (!loaded_patch(system_, module.name))
    for (const LoadedPatch& patch : loaded_patches(system_))
      if (std::ranges::count(before, patch.name, &LoadedPatch::name) == 0) return patch.name;
  return module.name;
}

Change Changer::complete_load(const ModuleFile& module, const std::vector<LoadedPatch>& before) {
  const KernelLog log(system_);
  // What isn't installed isn't loaded again by itself either.
  if (store_.find(module.name, module.release)) store_.begin_trial(module.name, module.release);
  if (const int error = insert(module); error != 0) {
    store_.end_trial(module.name, module.release);
    const char* known = meaning(error);
    return refuse(fmt::format("{} can't be loaded: {}", module.name, known != nullptr ? known : std::strerror(error)),
                  about(log.messages(), module.name));
  }
  Change change;
  const std::string name = name_in_kernel(module, before);
  if (name != module.name)
    change.details.push_back(fmt::format("its .modinfo calls it {}, which the kernel doesn't go by", module.name));
  if (!wait_for(name, change.seconds)) return take_back(name, std::move(change), true);
  const auto patch = loaded_patch(system_, name);
  if (!patch) {
    store_.end_trial(module.name, module.release);
    remove_module(name);
    return refuse(fmt::format("{} was loaded, but has no patch in sysfs", name), about(log.messages(), name));
  }
  // Those that were replaced leave sysfs a moment later than their transition ends.
  for (const LoadedPatch& old : before) {
    const auto begin = system_.now();
    while (patch->replace.value_or(true) && loaded_patch(system_, old.name) && system_.now() - begin < 2s)
      system_.sleep(step);
    if (loaded_patch(system_, old.name)) continue;
    change.replaced.push_back(old.name);
    if (!remove_module(old.name))
      change.details.push_back(fmt::format("{} does nothing any more, but stays in memory", old.name));
  }
  for (const HookedFunction& function : not_redirected(system_, *patch))
    change.details.push_back(fmt::format("{} isn't redirected, by ftrace's own list", function.name));
  for (const Hook& hook : hooks_on(system_, functions_of(*patch)))
    if (hook.bearing == Bearing::blind || is_against(hook.bearing)) change.details.push_back(sentence_of(hook));
  change.message = fmt::format("{} is in effect after {:.1f} s", name, change.seconds);
  if (!change.replaced.empty()) change.message += ", in place of " + joined(change.replaced, ", ");
  return change;
}

Change Changer::unload(const std::string& name) {
  const auto patch = loaded_patch(system_, name);
  Change change;
  if (!patch) {
    if (std::ranges::count(left_modules(system_), name) == 0) return refuse(fmt::format("{} isn't loaded", name));
    if (!remove_module(name)) return refuse(fmt::format("{} does nothing any more, but can't be unloaded", name));
    change.message = fmt::format("{} is unloaded; it did nothing any more", name);
    return change;
  }
  // Its own transition is reversed by the same write.
  if (!patch->transition && !wait_for_others()) return refuse("another transition doesn't end", {"see kpatch status"});
  if (patch->enabled) {
    if (const int error = system_.write(enabled_file(name), "0"); error != 0)
      return refuse(fmt::format("{} can't be disabled: {}", name, std::strerror(error)),
                    error == EBUSY ? std::vector<std::string>{"a newer livepatch is loaded: unload that first"}
                                   : std::vector<std::string>{});
  }
  if (const auto begin = system_.now(); true) {
    while (loaded_patch(system_, name)) {
      if (system_.now() - begin >= options_.wait) return take_back(name, std::move(change), false);
      system_.sleep(step);
    }
    change.seconds = std::chrono::duration<double>(system_.now() - begin).count();
  }
  if (!remove_module(name)) {
    change.details.push_back("its module can't be unloaded: it was forced once, or something else uses it");
    change.message = fmt::format("{} is out of effect", name);
    return change;
  }
  store_.end_trial(name, system_.release());
  change.message = fmt::format("{} is unloaded after {:.1f} s", name, change.seconds);
  return change;
}

// Reverses a transition that doesn't end.
Change Changer::take_back(const std::string& name, Change change, bool loading) {
  if (const auto patch = loaded_patch(system_, name)) change.stalled = stalled_tasks(system_, *patch);
  options_.tell(fmt::format("the transition didn't end in {} s; taking it back", options_.wait.count()));
  const int error = system_.write(enabled_file(name), loading ? "0" : "1");
  const auto begin = system_.now();
  const auto there = [&] {
    const auto patch = loaded_patch(system_, name);
    return loading ? !patch : patch && !patch->transition && patch->enabled;
  };
  while (!there() && system_.now() - begin < options_.wait) system_.sleep(step);
  if (!there()) {
    change.outcome = between;
    change.message = fmt::format(
        "the transition of {} doesn't end in either direction{}: some tasks run the old code, "
        "some the new one",
        name, error != 0 ? fmt::format(" ({})", std::strerror(error)) : "");
    change.details.push_back("end the tasks that are named, or kpatch force, after which the module stays for ever");
    return change;
  }
  change.outcome = taken_back;
  if (loading) {
    remove_module(name);
    store_.end_trial(name, system_.release());
  }
  change.message =
      fmt::format("the transition of {} didn't end in {} s, and was taken back: what ran before {}{}", name,
                  options_.wait.count(), loading ? "its load" : "it", loading ? " runs again" : " stays loaded");
  return change;
}

}  // namespace kpatch
