#include "kpatch/commands.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kpatch/change.h"
#include "kpatch/events.h"
#include "kpatch/health.h"
#include "kpatch/hooks.h"
#include "kpatch/loaded.h"
#include "kpatch/metrics.h"
#include "kpatch/module-file.h"
#include "kpatch/running-code.h"
#include "kpatch/statements.h"
#include "kpatch/store.h"
#include "kpatch/summary.h"
#include "kpatch/support-bundle.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

void print(const std::string& line) { std::fputs((line + "\n").c_str(), stdout); }
void tell(const std::string& line) { std::fputs((line + "\n").c_str(), stderr); }
void print(const json& value) { print(value.dump(2, ' ', false, json::error_handler_t::replace)); }

json json_of(const System& system, const LoadedPatch& patch) {
  json objects = json::array();
  for (const PatchedThing& thing : patch.things) {
    json object = {{"name", thing.object}, {"functions", thing.functions}};
    if (thing.patched) object["patched"] = *thing.patched;
    objects.push_back(std::move(object));
  }
  json value = {{"name", patch.name}, {"state", state_of(patch)}, {"objects", std::move(objects)}};
  value["fixes"] = loaded_fixes(system, patch.name);
  value["attempts"] = json::array();
  for (const Attempts& attempts : loaded_attempts(system, patch.name))
    value["attempts"].push_back({{"name", attempts.name}, {"count", attempts.count}});
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
    try {
      return run_command();
    } catch (const std::exception& error) {
      if (options_.json && options_.command != "vex") print_failure(error.what());
      throw;
    }
  }

 private:
  int run_command() {
    const std::string& command = options_.command;
    if (command == "load") return load();
    if (command == "unload") return unload();
    if (command == "install") return install();
    if (command == "uninstall") return uninstall();
    if (command == "accept") return accept();
    if (command == "list") return list();
    if (command == "info") return info();
    if (command == "status") return status();
    if (command == "vex") return print_statement(options_, system_, store_);
    if (command == "support-bundle") return support_bundle();
    if (command == "check") return check();
    if (command == "signal") return signal();
    if (command == "force") return force();
    return uname();
  }

  // Behind what was done of several modules before.
  void print_failure(const std::string& why) {
    json failure = {{"command", options_.command}, {"outcome", "refused"}, {"message", why}};
    if (!about_.empty()) failure["module"] = about_;
    const bool one = options_.command == "info" || options_.command == "list" || options_.command == "uname" ||
                     options_.command == "signal" || options_.command == "force" ||
                     options_.command == "support-bundle" || (options_.command == "status" && options_.cves.empty());
    if (one) return print(failure);
    results_.push_back(std::move(failure));
    print(json(results_));
  }

  std::string release() const { return options_.release.empty() ? system_.release() : options_.release; }

  ModuleFile module_of(const std::string& name) const { return store_.module_of(name, system_.release()); }

  // Loading is for the superuser, and the kernel's own answer doesn't say so.
  void require_root() const {
    if (geteuid() != 0 && system_.path("/") == "/")
      throw Error(fmt::format("kpatch {}: only root can do that", options_.command));
  }

  ChangeOptions change_options() const {
    ChangeOptions options;
    options.wait = options_.wait;
    options.force = options_.force;
    options.tell = [](std::string_view line) { tell(std::string(line)); };
    return options;
  }

  Changer changer() const { return {system_, change_options()}; }

  WatchOptions watch() const { return {options_.health, options_.watch}; }

  Change load_one(const ModuleFile& module) {
    return watch().asked() ? load_and_watch(system_, change_options(), module, watch()) : changer().load(module);
  }

  // What happened to a module, for whoever asks later. file: what was to be loaded.
  void log(const Change& change, const std::string& module, const fs::path& file, const std::string& build_id,
           const std::string& for_release) const {
    if (options_.log.empty()) return;
    const fs::path place = options_.log == "-" ? system_.path(event_log) : fs::path(options_.log);
    const Event event = {options_.command, module, for_release, file, build_id, change};
    if (const std::string why = append_event(place, event_line(event, system_, now())); !why.empty())
      tell(fmt::format("warning: {}: this isn't logged", why));
  }

  static long long now() { return static_cast<long long>(std::time(nullptr)); }

  int report(const Change& change, const ModuleFile& module) {
    log(change, module.name, module.path, module.build_id, module.release);
    return report(change, module.name);
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
    for (const std::string& name : options_.names) {
      try {
        modules.push_back(module_of(name));
      } catch (const Error& error) {
        const Change change = refusal(error.what());
        log(change, name, looks_like_file(name) ? fs::path(name) : fs::path(), {}, {});
        return finish(report(change, name));
      }
    }
    for (const ModuleFile& module : modules) {
      const Change change = load_one(module);
      worst = std::max(worst, report(change, module));
      if (change.outcome != done && watch().asked()) break;  // the machine isn't well, or can't be watched
    }
    return finish(worst);
  }

  static Change refusal(std::string message) {
    Change change;
    change.outcome = refused;
    change.message = std::move(message);
    return change;
  }

  int load_installed() {
    if (options_.boot && system_.boot_option("kpatch.enable") == "0") {
      tell("kpatch.enable=0: nothing is loaded");
      return finish(done);
    }
    int worst = done;
    for (const Installed& installed : store_.installed(system_.release())) {
      const auto trial = store_.trial(installed.name, installed.release);
      if (options_.boot && trial && trial->boot_id != system_.boot_id()) {
        Change change = refusal(fmt::format(
            "{} isn't loaded: the machine went down after it was loaded, before it was accepted", installed.name));
        change.details = {fmt::format("if it wasn't the livepatch: kpatch accept --force {}", installed.name)};
        log(change, installed.name, installed.file, {}, installed.release);
        worst = std::max(worst, report(change, installed.name));
        continue;
      }
      try {
        const ModuleFile module = read_module(installed.file);
        const Change change = load_one(module);
        log(change, installed.name, module.path, module.build_id, module.release);
        worst = std::max(worst, report(change, installed.name));
      } catch (const Error& error) {
        const Change change = refusal(error.what());  // one that is damaged keeps no other from its place
        log(change, installed.name, installed.file, {}, installed.release);
        worst = std::max(worst, report(change, installed.name));
      }
    }
    return finish(worst);
  }

  int unload() {
    require_root();
    std::vector<std::string> names;
    for (const std::string& name : options_.names)
      names.push_back(looks_like_file(about_ = name) ? read_module(name).name : module_name(name));
    if (options_.all) {
      for (const LoadedPatch& patch : loaded_patches(system_)) names.push_back(patch.name);
      std::ranges::reverse(names);  // the newest first
    }
    int worst = done;
    Changer changes = changer();
    for (const std::string& name : names) {
      // Known while it is loaded only.
      const std::string build_id = loaded_build_id(system_, name);
      const fs::path file = store_.file_of_loaded(name, system_.release(), build_id);
      const Change change = changes.unload(name);
      log(change, name, file, build_id, system_.release());
      worst = std::max(worst, report(change, name));
    }
    return finish(worst);
  }

  int install() {
    std::vector<ModuleFile> modules;
    for (const std::string& name : options_.names) {
      about_ = name;
      modules.push_back(read_module(name));
      const ModuleFile& module = modules.back();
      require_livepatch(module);
      if (!options_.release.empty() && module.release != options_.release && !options_.force)
        throw Error(fmt::format("{}: it is for {}, not for {}", name, module.release, options_.release));
    }
    for (const ModuleFile& module : modules) {
      about_ = module.name;
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
      about_ = name;
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
      about_ = given;
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

  json list_json(const std::vector<LoadedPatch>& patches, const std::vector<Installed>& installed) const {
    json value = {{"loaded", json::array()}, {"installed", json::array()}, {"left", left_modules(system_)}};
    for (const LoadedPatch& patch : patches) value["loaded"].push_back(json_of(system_, patch));
    for (const Installed& module : installed)
      value["installed"].push_back(
          {{"name", module.name}, {"release", module.release}, {"file", module.file.string()}});
    return value;
  }

  int list() {
    const std::vector<LoadedPatch> patches = loaded_patches(system_);
    const std::vector<Installed> installed = store_.installed();
    if (options_.json) {
      print(list_json(patches, installed));
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
    about_ = options_.names.front();
    const ModuleFile module = module_of(about_);
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

  json status_json(const Summary& summary) const {
    json value = {{"kernel", system_.release()},
                  {"state", words_for(summary.state)},
                  {"code", static_cast<int>(summary.state)},
                  {"transition", !summary.moving.empty()},
                  {"patches", json::array()},
                  {"not_in_effect", summary.waiting}};
    for (const LoadedPatch& patch : summary.patches) value["patches"].push_back(json_of(system_, patch));
    value["stalled"] = json::array();
    for (const StalledTask& task : summary.stalled) value["stalled"].push_back(json_of(task));
    return value;
  }

  // What is in it is told before it is written: whoever sends it shall know.
  int support_bundle() {
    const auto text_of = [](const json& value) {
      return value.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
    };
    std::vector<SupportPart> parts = support_parts(system_);
    parts.insert(parts.begin() + 1,
                 {{"kpatch status --json", text_of(status_json(summary_of(system_)))},
                  {"kpatch list --json", text_of(list_json(loaded_patches(system_), store_.installed()))}});
    for (const auto& [name, text] : parts) tell(fmt::format("{:>8} bytes  {}", text.size(), name));
    const std::string text = options_.json ? text_of(json(parts)) : support_text(parts);
    if (options_.output.empty()) {
      std::fputs(text.c_str(), stdout);
      return done;
    }
    write_file(options_.output, text);
    tell(fmt::format("{} is written; read it before you send it", options_.output));
    return done;
  }

  int status() {
    if (!options_.cves.empty()) return fixed();
    const Summary summary = summary_of(system_);
    if (!options_.metrics.empty()) {
      write_file(options_.metrics, metrics_of(summary, system_, now()));
      return done;
    }
    const int code = static_cast<int>(summary.state);
    if (options_.json) {
      print(status_json(summary));
      return code;
    }
    print(fmt::format("kernel      {}", system_.release()));
    print(fmt::format("state       {}{}", words_for(summary.state), summary.moving.empty() ? "" : ", in transition"));
    for (const LoadedPatch& patch : summary.patches) {
      std::vector<std::string> objects;
      for (const PatchedThing& thing : patch.things)
        objects.push_back(fmt::format("{}{}: {}", thing.object, thing.patched == false ? " (not loaded)" : "",
                                      joined(thing.functions, ", ")));
      print(fmt::format("{:<11} {}{}{}", state_of(patch), patch.name, objects.empty() ? "" : "; ",
                        joined(objects, "; ")));
    }
    for (const LoadedPatch& patch : summary.patches)
      if (const auto fixes = loaded_fixes(system_, patch.name); !fixes.empty())
        print(fmt::format("fixes       {}", joined(fixes, ", ")));
    for (const LoadedPatch& patch : summary.patches)
      for (const Attempts& attempts : loaded_attempts(system_, patch.name))
        print(fmt::format("attempts    {}: {}, counted by {}", attempts.name, attempts.count, patch.name));
    for (const std::string& name : summary.waiting) print(fmt::format("installed   {}, which isn't in effect", name));
    if (!summary.stalled.empty()) print(std::string("waiting for"));
    print_stalled(summary.stalled, stdout);
    return code;
  }

  // Of modules before they are loaded; without any, of what is in effect.
  int check() {
    int worst = clear;
    for (const std::string& name : options_.names) {
      about_ = name;
      const ModuleFile module = module_of(name);
      std::vector<std::string> against;
      if (std::string why = misfit(module, system_); !why.empty()) against.push_back(std::move(why));
      worst = std::max(worst, check(module.name, module.functions, against, foreign_code(system_, module)));
    }
    if (options_.names.empty())
      for (const LoadedPatch& patch : loaded_patches(system_)) {
        std::vector<std::string> against;
        for (const HookedFunction& function : not_redirected(system_, patch))
          against.push_back(fmt::format("{} isn't redirected, by ftrace's own list", function.name));
        worst = std::max(worst, check(patch.name, functions_of(patch), against));
      }
    if (!options_.json && options_.names.empty() && loaded_patches(system_).empty())
      print(std::string("no livepatch is loaded"));
    return finish(worst == unclear ? 2 : worst == something_against ? 1 : 0);
  }

  // In the order of what matters more.
  enum Clearness { clear, unclear, something_against };

  int check(const std::string& name, const std::vector<HookedFunction>& functions,
            const std::vector<std::string>& against, std::vector<Hook> code = {}) {
    std::vector<Hook> hooks = hooks_on(system_, functions);
    for (Hook& hook : code) hooks.push_back(std::move(hook));
    std::ranges::stable_sort(hooks, std::greater(), &Hook::bearing);
    if (functions.empty() && !loaded_patch(system_, name))
      hooks.push_back({Bearing::unknown, "", "which functions it replaces isn't told by modules of other builders"});
    const std::vector<StalledTask> sleepers = sleepers_in(system_, functions);
    int worst = against.empty() ? clear : something_against;
    for (const Hook& hook : hooks)
      worst = std::max<int>(worst, is_against(hook.bearing)           ? something_against
                                   : hook.bearing == Bearing::unknown ? unclear
                                                                      : clear);
    if (options_.json) {
      json value = {{"module", name}, {"against", against}, {"hooks", json::array()}, {"sleepers", json::array()}};
      for (const Hook& hook : hooks)
        value["hooks"].push_back({{"bearing", word_for(hook.bearing)},
                                  {"function", hook.function},
                                  {"what", hook.what},
                                  {"advice", hook.advice}});
      for (const StalledTask& task : sleepers) value["sleepers"].push_back(json_of(task));
      results_.push_back(std::move(value));
      return worst;
    }
    const char* verdicts[] = {"nothing is against it", "not all can be known", "something is against it"};
    print(fmt::format("{}: {} function{}; {}", name, functions.size(), functions.size() == 1 ? "" : "s",
                      verdicts[worst]));
    for (const std::string& why : against) print(fmt::format("  {:<13} {}", "against", why));
    for (const Hook& hook : hooks) {
      print(fmt::format("  {:<13} {}", word_for(hook.bearing), sentence_of(hook)));
      if (!hook.advice.empty()) print(fmt::format("  {:<13} >>> {}", "", hook.advice));
    }
    for (const StalledTask& task : sleepers)
      print(fmt::format("  {:<13} {} ({}) {}", "transition", task.tid, task.command, task.why));
    return worst;
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
  std::string about_;  // the module that is being looked at
};

}  // namespace

int run_command(const TargetOptions& options, System& system) { return Commands(options, system).run(); }

}  // namespace kpatch
