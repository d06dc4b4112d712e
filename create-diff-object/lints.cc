// Two mistakes that load, run, and show much later:
//
//   timer_setup(&t, new_tick, 0)      new_tick is the livepatch's own. echo 0 > enabled; rmmod; and a second later the
//                                     timer calls what was freed
//   while (!kthread_should_stop())    the thread is in here whenever it is looked at, so that the transition to (or from)
//                                     the livepatch does not end (Documentation/livepatch/livepatch.rst)
//
// A pointer to a function that the kernel has goes to the kernel's own, and is no such case.
#include "create-diff-object/lints.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>

#include "arch/arch.h"
#include "create-diff-object/places.h"

namespace kpatch {
namespace {

class Linter {
 public:
  Linter(const Pair& pair, const Selection& selection, Diagnostics& diagnostics)
      : patched_(pair.patched), selection_(selection), diagnostics_(diagnostics) {}

  void run() {
    find_handed_out();
    find_main_loops();
  }

 private:
  void find_handed_out() {
    const std::set<SymbolId> added(selection_.added.begin(), selection_.added.end());
    if (added.empty()) return;
    std::map<SymbolId, std::set<std::string>> takers;
    for (const Chunk& chunk : selection_.chunks) {
      const Section& home = patched_.section(chunk.section);
      switch (home.kind) {
        case SectionKind::text:
        case SectionKind::shared_text:
        case SectionKind::data:
        case SectionKind::rodata:
          break;
        default:
          continue;  // tables tell of code, and the author's macros are what undoes things
      }
      for (const Relocation& r : patched_.relocations(chunk.section, chunk.begin, chunk.end)) {
        const Target target = patched_.meaning(r);
        if (target.symbol == no_symbol || target.offset != 0 || !added.contains(target.symbol)) continue;
        if (patched_.arch().code.use_of(home.code(), r) == Use::call) continue;
        takers[target.symbol].insert(chunk.name(patched_));
      }
    }
    for (const auto& [function, names] : takers)
      diagnostics_.warn(
          "handed-out", place_of(patched_, function),
          fmt::format("is new in the livepatch, and {} takes its address: who keeps it (a timer, a work item, a "
                      "notifier, a table of operations) would call freed memory once the livepatch is unloaded",
                      fmt::join(names, ", ")),
          "take it back in a pre_unpatch callback, or never unload");
  }

  // Asked by a thread's main loop between two turns.
  static bool asks_for_the_end(std::string_view name) {
    constexpr auto names = std::to_array<std::string_view>(
        {"kthread_should_stop", "kthread_should_park", "kthread_freezable_should_stop", "kthread_should_stop_or_park"});
    return std::ranges::find(names, name) != names.end();
  }

  static bool starts_threads(std::string_view name) {
    return name.starts_with("kthread_create") || name.starts_with("kthread_run") || name == "kernel_thread" ||
           name == "user_mode_thread" || name == "create_io_thread" || name == "vhost_task_create";
  }

  void find_main_loops() {
    std::set<SymbolId> loops;
    const std::set<SymbolId> replaced(selection_.functions.begin(), selection_.functions.end());
    for (uint32_t i = 1; i < patched_.symbols().size(); ++i) {
      const Symbol& s = patched_.symbols()[i];
      if (!s.function() || s.section == no_section) continue;
      const Section& home = patched_.section(s.section);
      const Object::Extent extent = patched_.extent(SymbolId{i});
      std::set<SymbolId> handed;
      bool starts = false;
      for (const Relocation& r : patched_.relocations(s.section, extent.begin, extent.end)) {
        const Target target = patched_.meaning(r);
        if (target.symbol == no_symbol) continue;
        const Symbol& other = patched_.symbol(target.symbol);
        if (asks_for_the_end(other.name) && replaced.contains(SymbolId{i})) loops.insert(SymbolId{i});
        starts = starts || starts_threads(other.name);
        if (replaced.contains(target.symbol) && patched_.arch().code.use_of(home.code(), r) == Use::address)
          handed.insert(target.symbol);
      }
      if (starts) loops.insert(handed.begin(), handed.end());
    }
    for (SymbolId function : loops)
      diagnostics_.warn("stall", place_of(patched_, function),
                        "is the main loop of a kernel thread, which may never leave it: the transition may stall there",
                        "patch what the loop calls instead");
  }

  const Object& patched_;
  const Selection& selection_;
  Diagnostics& diagnostics_;
};

}  // namespace

void lint(const Pair& pair, const Selection& selection, Diagnostics& diagnostics) {
  Linter(pair, selection, diagnostics).run();
}

}  // namespace kpatch
