#include "kpatch/commands.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kpatch/change.h"
#include "kpatch/loaded.h"
#include "kpatch/module-file.h"
#include "kpatch/store.h"
#include "support/error.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

void print(const std::string& line) { std::fputs((line + "\n").c_str(), stdout); }
void tell(const std::string& line) { std::fputs((line + "\n").c_str(), stderr); }
void print(const json& value) { print(value.dump(2, ' ', false, json::error_handler_t::replace)); }

bool looks_like_file(const std::string& name) { return name.find('/') != std::string::npos || name.ends_with(".ko"); }

std::string state_of(const LoadedPatch& patch) {
  if (patch.transition) return patch.enabled ? "enabling" : "disabling";
  return patch.enabled ? "enabled" : "disabled";
}

json json_of(const System& system, const LoadedPatch& patch) {
  json objects = json::array();
  for (const PatchedThing& thing : patch.things) {
    json object = {{"name", thing.object}, {"functions", thing.functions}};
    if (thing.patched) object["patched"] = *thing.patched;
    objects.push_back(std::move(object));
  }
  json value = {{"name", patch.name}, {"state", state_of(patch)}, {"objects", std::move(objects)}};
  value["fixes"] = loaded_fixes(system, patch.name);
  if (patch.replace) value["replace"] = *patch.replace;
  if (patch.stack_order) value["stack_order"] = *patch.stack_order;
  return value;
}

json json_of(const StalledTask& task) {
  return {{"pid", task.pid},           {"tid", task.tid}, {"command", task.command},
          {"function", task.function}, {"why", task.why}, {"stack", task.stack}};
}

json json_of(const Change& change, const std::string& module, const char* command) {
  const char* outcomes[] = {"done", "refused", "taken back", "between"};
  json value = {{"command", command},        {"module", module},          {"outcome", outcomes[change.outcome]},
                {"message", change.message}, {"details", change.details}, {"replaced", change.replaced},
                {"seconds", change.seconds}};
  value["stalled"] = json::array();
  for (const StalledTask& task : change.stalled) value["stalled"].push_back(json_of(task));
  return value;
}

void print_stalled(const std::vector<StalledTask>& tasks, std::FILE* to) {
  for (const StalledTask& task : tasks) {
    std::fputs(fmt::format("  {} ({}) {}\n", task.tid, task.command, task.why).c_str(), to);
    for (const std::string& frame : task.stack) std::fputs(fmt::format("      {}\n", frame).c_str(), to);
  }
}

// CVE-2026-1 is cve-2026-1; a commit is told by its first 12 digits as well as by all.
bool names(std::string_view fix, std::string_view asked) {
  const auto same = [](char a, char b) { return std::tolower(a) == std::tolower(b); };
  if (std::ranges::equal(fix, asked, same)) return true;
  const auto is_commit = [](std::string_view text) {
    return text.size() >= 12 && text.size() <= 40 &&
           std::ranges::all_of(text, [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; });
  };
  if (!is_commit(fix) || !is_commit(asked)) return false;
  const size_t common = std::min(fix.size(), asked.size());
  return std::ranges::equal(fix.substr(0, common), asked.substr(0, common), same);
}

class Commands {
 public:
  Commands(const TargetOptions& options, System& system) : options_(options), system_(system), store_(system) {}

  int run() {
    const std::string& command = options_.command;
    if (command == "load") return load();
    if (command == "unload") return unload();
    if (command == "install") return install();
    if (command == "uninstall") return uninstall();
    if (command == "accept") return accept();
    if (command == "list") return list();
    if (command == "info") return info();
    if (command == "status") return status();
    if (command == "signal") return signal();
    if (command == "force") return force();
    return uname();
  }

 private:
  std::string release() const { return options_.release.empty() ? system_.release() : options_.release; }

  ModuleFile module_of(const std::string& name) const {
    if (looks_like_file(name)) return read_module(name);
    const auto installed = store_.find(name, system_.release());
    if (!installed)
      throw Error(fmt::format("{} isn't installed for {}; a file is given as ./{}.ko", name, system_.release(), name));
    return read_module(installed->file);
  }

  // Loading is for the superuser, and the kernel's own answer doesn't say so.
  void require_root() const {
    if (geteuid() != 0 && system_.path("/") == "/")
      throw Error(fmt::format("kpatch {}: only root can do that", options_.command));
  }

  Changer changer() const {
    ChangeOptions options;
    options.wait = options_.wait;
    options.force = options_.force;
    options.tell = [](std::string_view line) { tell(std::string(line)); };
    return {system_, std::move(options)};
  }

  int report(const Change& change, const std::string& module) {
    if (options_.json) {
      results_.push_back(json_of(change, module, options_.command.c_str()));
    } else {
      std::FILE* to = change.outcome == done ? stdout : stderr;
      std::fputs(fmt::format("{}{}\n", change.outcome == done ? "" : "error: ", change.message).c_str(), to);
      for (const std::string& detail : change.details) std::fputs(fmt::format(">>> {}\n", detail).c_str(), to);
      print_stalled(change.stalled, to);
    }
    return change.outcome;
  }

  int finish(int worst) {
    if (options_.json) print(json(results_));
    return worst;
  }

  int load() {
    require_root();
    if (options_.all) return load_installed();
    int worst = done;
    // All are looked at before the first one is loaded.
    std::vector<ModuleFile> modules;
    for (const std::string& name : options_.names) modules.push_back(module_of(name));
    Changer changes = changer();
    for (const ModuleFile& module : modules) worst = std::max(worst, report(changes.load(module), module.name));
    return finish(worst);
  }

  int load_installed() {
    if (options_.boot && system_.boot_option("kpatch.enable") == "0") {
      tell("kpatch.enable=0: nothing is loaded");
      return finish(done);
    }
    int worst = done;
    Changer changes = changer();
    for (const Installed& installed : store_.installed(system_.release())) {
      const auto trial = store_.trial(installed.name, installed.release);
      if (options_.boot && trial && trial->boot_id != system_.boot_id()) {
        Change change;
        change.outcome = refused;
        change.message = fmt::format(
            "{} isn't loaded: the machine went down after it was loaded, before it was accepted", installed.name);
        change.details = {fmt::format("if it wasn't the livepatch: kpatch accept --force {}", installed.name)};
        worst = std::max(worst, report(change, installed.name));
        continue;
      }
      try {
        worst = std::max(worst, report(changes.load(read_module(installed.file)), installed.name));
      } catch (const Error& error) {
        Change change;  // one that is damaged keeps no other from its place
        change.outcome = refused;
        change.message = error.what();
        worst = std::max(worst, report(change, installed.name));
      }
    }
    return finish(worst);
  }

  int unload() {
    require_root();
    std::vector<std::string> names;
    for (const std::string& name : options_.names)
      names.push_back(looks_like_file(name) ? read_module(name).name : module_name(name));
    if (options_.all) {
      for (const LoadedPatch& patch : loaded_patches(system_)) names.push_back(patch.name);
      std::ranges::reverse(names);  // the newest first
    }
    int worst = done;
    Changer changes = changer();
    for (const std::string& name : names) worst = std::max(worst, report(changes.unload(name), name));
    return finish(worst);
  }

  int install() {
    std::vector<ModuleFile> modules;
    for (const std::string& name : options_.names) {
      modules.push_back(read_module(name));
      const ModuleFile& module = modules.back();
      if (!module.livepatch) throw Error(fmt::format("{}: it is no livepatch", name));
      if (!options_.release.empty() && module.release != options_.release && !options_.force)
        throw Error(fmt::format("{}: it is for {}, not for {}", name, module.release, options_.release));
    }
    for (const ModuleFile& module : modules) {
      const Installed installed = store_.install(module);
      if (options_.json)
        results_.push_back(
            {{"module", installed.name}, {"release", installed.release}, {"file", installed.file.string()}});
      else
        print(fmt::format("{} is installed for {}", installed.name, installed.release));
    }
    return finish(done);
  }

  int uninstall() {
    for (const std::string& name : options_.names) {
      const std::string module = looks_like_file(name) ? read_module(name).name : module_name(name);
      store_.uninstall(module, release());
      if (options_.json)
        results_.push_back({{"module", module}, {"release", release()}});
      else
        print(fmt::format("{} is no longer installed for {}{}", module, release(),
                          loaded_patch(system_, module) ? "; it stays loaded" : ""));
    }
    return finish(done);
  }

  // The kernel says by its own counters whether something went wrong since.
  int accept() {
    const std::vector<std::string> names = options_.names.empty() ? store_.trials(system_.release()) : options_.names;
    int worst = done;
    for (const std::string& given : names) {
      const std::string name = module_name(given);
      const auto trial = store_.trial(name, system_.release());
      if (!trial && !store_.find(name, system_.release()))
        throw Error(fmt::format("{} isn't installed for {}", name, system_.release()));
      std::string why;
      if (trial && trial->boot_id != system_.boot_id())
        why = "the machine went down after it was loaded";
      else if (trial && system_.counter("oops_count") > trial->oopses)
        why = "the kernel had an oops since it was loaded";
      else if (trial && system_.counter("warn_count") > trial->warnings)
        why = "the kernel warned since it was loaded";
      if (!why.empty() && !options_.force) {
        worst = refused;
      } else {
        why.clear();
        store_.end_trial(name, system_.release());
      }
      if (options_.json)
        results_.push_back({{"module", name}, {"accepted", why.empty()}, {"why", why}});
      else if (why.empty())
        print(fmt::format("{} is accepted", name));
      else
        tell(fmt::format("error: {} isn't accepted: {}\n>>> if that wasn't the livepatch: kpatch accept --force {}",
                         name, why, name));
    }
    return finish(worst);
  }

  int list() {
    const std::vector<LoadedPatch> patches = loaded_patches(system_);
    const std::vector<Installed> installed = store_.installed();
    if (options_.json) {
      json value = {{"loaded", json::array()}, {"installed", json::array()}, {"left", left_modules(system_)}};
      for (const LoadedPatch& patch : patches) value["loaded"].push_back(json_of(system_, patch));
      for (const Installed& module : installed)
        value["installed"].push_back(
            {{"name", module.name}, {"release", module.release}, {"file", module.file.string()}});
      print(value);
      return done;
    }
    print(std::string("Loaded patch modules:"));
    for (const LoadedPatch& patch : patches)
      print(fmt::format("{} [{}{}]", patch.name, state_of(patch), patch.transition ? "..." : ""));
    print(std::string("\nInstalled patch modules:"));
    for (const Installed& module : installed) print(fmt::format("{} ({})", module.name, module.release));
    return done;
  }

  int info() {
    const std::string& name = options_.names.front();
    const ModuleFile module = module_of(name);
    if (options_.json) {
      json value = {{"file", module.path.string()},  {"name", module.name},        {"release", module.release},
                    {"livepatch", module.livepatch}, {"signed", module.is_signed}, {"info", json::array()}};
      for (const auto& [key, text] : module.info) value["info"].push_back({{"key", key}, {"value", text}});
      value["misfit"] = misfit(module, system_);
      print(value);
      return done;
    }
    print(fmt::format("{:<16} {}", "file", module.path.string()));
    for (const auto& [key, text] : module.info) print(fmt::format("{:<16} {}", key, text));
    print(fmt::format("{:<16} {}", "signature", module.is_signed ? "yes" : "no"));
    if (const std::string why = misfit(module, system_); !why.empty())
      print(fmt::format("{:<16} no: {}", "loads here", why));
    return done;
  }

  // Of what runs, not of what lies on the disk. That a kernel has a fix from the start no livepatch tells.
  int fixed() {
    json answer = json::array();
    int worst = done;
    for (const std::string& cve : options_.cves) {
      std::string by;
      for (const LoadedPatch& patch : loaded_patches(system_)) {
        const std::vector<std::string> fixes = loaded_fixes(system_, patch.name);
        if (patch.enabled && !patch.transition &&
            std::ranges::any_of(fixes, [&](const auto& f) { return names(f, cve); }))
          by = patch.name;
      }
      if (by.empty()) worst = refused;
      answer.push_back({{"name", cve}, {"fixed", !by.empty()}, {"by", by}});
      if (!options_.json)
        print(by.empty() ? fmt::format("{}: not known to be fixed by a livepatch in effect", cve)
                         : fmt::format("{}: fixed by {}", cve, by));
    }
    if (options_.json) print(answer);
    return worst;
  }

  int status() {
    if (!options_.cves.empty()) return fixed();
    const bool supported = fs::exists(system_.path("/sys/kernel/livepatch"));
    const std::vector<LoadedPatch> patches = loaded_patches(system_);
    std::vector<std::string> waiting;
    for (const Installed& module : store_.installed(system_.release()))
      if (std::ranges::none_of(patches, [&](const LoadedPatch& p) { return p.name == module.name && p.enabled; }))
        waiting.push_back(module.name);
    // A cumulative patch took the place of what was installed before it.
    const auto installed = store_.installed(system_.release());
    const bool newest_in_effect = !installed.empty() && std::ranges::count(waiting, installed.back().name) == 0;
    if (newest_in_effect) waiting.clear();
    const auto moving = std::ranges::find_if(patches, &LoadedPatch::transition);
    const bool in_effect = std::ranges::any_of(patches, &LoadedPatch::enabled);
    const int code = !supported ? 3 : !waiting.empty() ? 2 : in_effect ? 0 : 1;
    const char* const words[] = {"patched", "no livepatch", "installed, and not in effect",
                                 "no support for livepatches"};
    std::vector<StalledTask> stalled;
    if (moving != patches.end()) stalled = stalled_tasks(system_, *moving);
    if (options_.json) {
      json value = {{"kernel", system_.release()},           {"state", words[code]},     {"code", code},
                    {"transition", moving != patches.end()}, {"patches", json::array()}, {"not_in_effect", waiting}};
      for (const LoadedPatch& patch : patches) value["patches"].push_back(json_of(system_, patch));
      value["stalled"] = json::array();
      for (const StalledTask& task : stalled) value["stalled"].push_back(json_of(task));
      print(value);
      return code;
    }
    print(fmt::format("kernel      {}", system_.release()));
    print(fmt::format("state       {}{}", words[code], moving != patches.end() ? ", in transition" : ""));
    for (const LoadedPatch& patch : patches) {
      std::vector<std::string> objects;
      for (const PatchedThing& thing : patch.things)
        objects.push_back(fmt::format("{}{}: {}", thing.object, thing.patched == false ? " (not loaded)" : "",
                                      joined(thing.functions, ", ")));
      print(fmt::format("{:<11} {}{}{}", state_of(patch), patch.name, objects.empty() ? "" : "; ",
                        joined(objects, "; ")));
    }
    for (const LoadedPatch& patch : patches)
      if (const auto fixes = loaded_fixes(system_, patch.name); !fixes.empty())
        print(fmt::format("fixes       {}", joined(fixes, ", ")));
    for (const std::string& name : waiting) print(fmt::format("installed   {}, which isn't in effect", name));
    if (!stalled.empty()) print(std::string("waiting for"));
    print_stalled(stalled, stdout);
    return code;
  }

  // Kernels from 4.12 on wake those that sleep by themselves, every 15 seconds; before 5.1 they could be told to.
  int signal() {
    const std::vector<LoadedPatch> patches = loaded_patches(system_);
    const auto moving = std::ranges::find_if(patches, &LoadedPatch::transition);
    if (moving == patches.end()) {
      if (options_.json)
        print(json{{"transition", nullptr}, {"stalled", json::array()}});
      else
        print(std::string("no transition is running"));
      return done;
    }
    const int error = system_.write("/sys/kernel/livepatch/" + moving->name + "/signal", "1");
    const std::vector<StalledTask> stalled = stalled_tasks(system_, *moving);
    if (options_.json) {
      json value = {{"transition", moving->name}, {"stalled", json::array()}};
      for (const StalledTask& task : stalled) value["stalled"].push_back(json_of(task));
      print(value);
      return done;
    }
    print(fmt::format("{} is {}; {} task{} to change over{}", moving->name, state_of(*moving), stalled.size(),
                      stalled.size() == 1 ? " has" : "s have",
                      error == 0 ? ", which were signaled" : "; the kernel wakes them every 15 s"));
    print_stalled(stalled, stdout);
    return done;
  }

  int force() {
    require_root();
    const std::vector<LoadedPatch> patches = loaded_patches(system_);
    const auto moving = std::ranges::find_if(patches, &LoadedPatch::transition);
    if (moving == patches.end()) throw Error("no transition is running");
    if (const int error = system_.write("/sys/kernel/livepatch/" + moving->name + "/force", "1"); error != 0)
      throw Error(fmt::format("the transition of {} can't be forced: {}", moving->name, std::strerror(error)));
    if (options_.json)
      print(json{{"forced", moving->name}});
    else
      print(fmt::format("the transition of {} was forced; its module can't be unloaded any more", moving->name));
    return done;
  }

  int uname() {
    std::vector<std::string> names;
    for (const LoadedPatch& patch : loaded_patches(system_))
      if (patch.enabled && !patch.transition) names.push_back(patch.name);
    if (options_.json)
      print(json{{"release", system_.release()}, {"patches", names}});
    else
      print(system_.release() + (names.empty() ? "" : "/" + joined(names, ",")));
    return done;
  }

  const TargetOptions& options_;
  System& system_;
  Store store_;
  std::vector<json> results_;
};

}  // namespace

int run_command(const TargetOptions& options, System& system) { return Commands(options, system).run(); }

}  // namespace kpatch
