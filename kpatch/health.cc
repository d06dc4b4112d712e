// A patch may load well, and do harm only when its code runs:
//
//     health command ─► load ─► ┌─ each second: oops_count, warn_count, taint, the log ┐ ─► time over: accepted
//        │ fails                │  the health command, at once, now and then, at the end │
//        ▼                      └────────────────────┬──────────────────────────────────┘
//     refused: it tells nothing                      ▼ something is amiss
//                                 what ran before takes its place (by its installed file), or it is unloaded
//
// The counters are there since Linux 6.2, and in the stable kernels since then; WARN_ONCE that fired before is silent in
// the log and in the counter.
#include "kpatch/health.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "kpatch/loaded.h"
#include "support/error.h"
#include "support/process.h"
#include "support/text.h"

namespace kpatch {
namespace {

using namespace std::chrono_literals;

constexpr auto look = 1s;            // between two looks at the kernel
constexpr auto most_often = 30s;     // between two runs of the command
constexpr auto command_limit = 60s;  // for one run

// Documentation/admin-guide/tainted-kernels.rst. A livepatch sets K, O and E by itself.
struct TaintBit {
  unsigned bit;
  const char* what;
};
constexpr std::array<TaintBit, 4> faults = {{
    {5, "a bad page (taint B)"},
    {7, "an oops (taint D)"},
    {9, "a warning (taint W)"},
    {14, "a soft lockup (taint L)"},
}};

unsigned long taint_of(const System& system) {
  return std::strtoul(system.text("/proc/sys/kernel/tainted").c_str(), nullptr, 10);
}

// Of each loaded livepatch that would be replaced, the installed file.
struct Before {
  std::string name;
  std::optional<ModuleFile> file;
  bool on_trial = false;
};

class WatchedLoad {
 public:
  WatchedLoad(System& system, const ChangeOptions& options, const ModuleFile& module, const WatchOptions& watch)
      : system_(system), options_(options), store_(system), module_(module), watch_(watch) {}

  Change run() {
    if (const std::string why = not_to_be_put_back(); !why.empty() && !options_.force)
      return refuse(
          why, {"kpatch install its file first, so that it can be put back, or load without --health and --watch"});
    if (std::string why = command_complaint(); !why.empty())
      return refuse(fmt::format("{} isn't loaded: {}", module_.name, why),
                    {"the health command must succeed before the load, or it tells nothing after it"});
    const bool was_loaded = loaded_patch(system_, module_.name).has_value();
    Health health(system_);
    Change change = Changer(system_, options_).load(module_);
    if (change.outcome != done || was_loaded) return change;
    const std::string amiss = first_complaint(health);
    if (!amiss.empty()) return put_back(amiss, std::move(change));
    store_.end_trial(module_.name, module_.release);
    change.details.push_back(watch_.length.count() > 0 ? fmt::format("nothing was amiss in {} s", watch_.length.count())
                                                       : "nothing is amiss");
    return change;
  }

 private:
  Change refuse(std::string message, std::vector<std::string> details) const {
    Change change;
    change.outcome = refused;
    change.message = std::move(message);
    change.details = std::move(details);
    return change;
  }

  // Fills before_.
  std::string not_to_be_put_back() {
    for (const LoadedPatch& patch : loaded_patches(system_)) {
      if (patch.name == module_.name) continue;
      Before before = {patch.name, std::nullopt, store_.trial(patch.name, system_.release()).has_value()};
      const auto installed = store_.find(patch.name, system_.release());
      const std::string build_id = loaded_build_id(system_, patch.name);
      try {
        if (installed && !build_id.empty()) before.file = read_module(installed->file);
      } catch (const Error&) {
        before.file.reset();  // damaged: as if it weren't there
      }
      if (before.file && before.file->build_id != build_id) before.file.reset();
      before_.push_back(std::move(before));
    }
    const auto lost = std::ranges::find_if(before_, [](const Before& b) { return !b.file; });
    return lost == before_.end()
               ? ""
               : fmt::format("{} isn't loaded: {}, which runs now, couldn't be put back: its file isn't installed",
                             module_.name, lost->name);
  }

  // One run of the command; empty: it ended well.
  std::string command_complaint() const {
    if (watch_.command.empty()) return {};
    std::vector<std::unique_ptr<Process>> command;
    command.push_back(std::make_unique<Process>(Command{.argv = {"/bin/sh", "-c", watch_.command},
                                                        .directory = {},
                                                        .environment = {{"KPATCH_MODULE", module_.name}}},
                                                0, false));
    const auto begin = std::chrono::steady_clock::now();
    while (!command[0]->advance(wait_for_output(command)[0], {}))
      if (std::chrono::steady_clock::now() - begin >= command_limit)
        return fmt::format("the health command didn't end in {} s", command_limit.count());
    const CommandResult& result = command[0]->result;
    if (result.ok()) return {};
    const std::vector<std::string_view> lines = lines_of(trimmed(result.output));
    return fmt::format("the health command ended with {}{}", result.status,
                       lines.empty() ? "" : fmt::format(": {}", lines.back()));
  }

  std::string first_complaint(Health& health) {
    const auto begin = system_.now();
    const auto every = std::clamp<std::chrono::seconds>(watch_.length / 20, look, most_often);
    std::optional<std::chrono::steady_clock::time_point> asked;
    if (watch_.length.count() > 0)
      options_.tell(fmt::format("{} is in effect; watching for {} s", module_.name, watch_.length.count()));
    while (true) {
      const auto now = system_.now();
      const bool last = now - begin >= watch_.length;
      if (std::string amiss = health.complaint(); !amiss.empty()) return amiss;
      if (last || !asked || now - *asked >= every) {
        asked = now;
        if (std::string amiss = command_complaint(); !amiss.empty()) return amiss;
        // What the command met with counts as well.
        if (std::string amiss = health.complaint(); !amiss.empty()) return amiss;
      }
      if (last) return {};
      system_.sleep(look);
    }
  }

  Change put_back(const std::string& amiss, Change change) {
    options_.tell(fmt::format("{}: taking {} back", amiss, module_.name));
    Changer changer(system_, options_);
    std::vector<std::string> running;
    Change back;
    for (const Before& before : before_) {
      if (!before.file || std::ranges::count(change.replaced, before.name) == 0) continue;
      back = changer.load(*before.file);
      if (back.outcome != done) break;
      if (!before.on_trial) store_.end_trial(before.name, system_.release());
      running.push_back(before.name);
    }
    // Nothing replaced it, or what did left it in place.
    if (back.outcome == done && loaded_patch(system_, module_.name)) back = changer.unload(module_.name);
    if (store_.find(module_.name, module_.release)) store_.begin_trial(module_.name, module_.release);
    if (back.outcome != done) {
      back.outcome = between;
      back.message = fmt::format("{}, and {} couldn't be taken back: {}", amiss, module_.name, back.message);
      return back;
    }
    // With --force it may have replaced one whose file isn't installed.
    std::vector<std::string> lost;
    for (const std::string& name : change.replaced)
      if (std::ranges::count(running, name) == 0) lost.push_back(name);
    change.outcome = taken_back;
    change.message = fmt::format(
        "{} was taken back: {}; {}", module_.name, amiss,
        !lost.empty()     ? fmt::format("{} isn't in effect again: its file isn't installed", joined(lost, ", "))
        : running.empty() ? "what ran before its load runs again"
                          : fmt::format("{} is in effect again", joined(running, ", ")));
    change.replaced.clear();
    return change;
  }

  System& system_;
  const ChangeOptions& options_;
  Store store_;
  const ModuleFile& module_;
  const WatchOptions& watch_;
  std::vector<Before> before_;
};

}  // namespace

bool tells_of_a_fault(std::string_view message) {
  constexpr std::array<std::string_view, 14> words = {"WARNING: ",
                                                      "BUG: ",
                                                      "kernel BUG at",
                                                      "Oops: ",
                                                      "general protection fault",
                                                      "Unable to handle kernel",
                                                      "rcu: INFO:",
                                                      "blocked for more than",
                                                      "KASAN: ",
                                                      "UBSAN: ",
                                                      "list_add corruption",
                                                      "list_del corruption",
                                                      "refcount_t: ",
                                                      "---[ end trace"};
  return std::ranges::any_of(words, [&](std::string_view word) { return message.find(word) != message.npos; });
}

Health::Health(System& system)
    : system_(system),
      log_(system),
      oopses_(system.counter("oops_count")),
      warnings_(system.counter("warn_count")),
      taint_(taint_of(system)) {}

std::string Health::complaint() {
  if (!complained_.empty()) return complained_;
  for (const std::string& message : log_.messages())
    if (complained_.empty() && tells_of_a_fault(message))
      complained_ = fmt::format("the kernel logged \"{}\"", message);
  const unsigned long fresh = taint_of(system_) & ~taint_;
  for (const TaintBit& fault : faults)
    if (complained_.empty() && (fresh >> fault.bit & 1U) != 0)
      complained_ = fmt::format("the kernel had {}", fault.what);
  if (complained_.empty() && system_.counter("oops_count") > oopses_) complained_ = "the kernel had an oops";
  if (complained_.empty() && system_.counter("warn_count") > warnings_) complained_ = "the kernel had a warning";
  return complained_;
}

Change load_and_watch(System& system, const ChangeOptions& options, const ModuleFile& module,
                      const WatchOptions& watch) {
  return WatchedLoad(system, options, module, watch).run();
}

}  // namespace kpatch
