// Two mistakes that load, run, and show much later:
//
//   while (!kthread_should_stop())    the thread is in here whenever it is looked at, so that the transition to (or from)
//                                     the livepatch does not end (Documentation/livepatch/livepatch.rst)
//   limit = 2                         limit is __ro_after_init: the kernel made it read-only when its init was over
//                                     (init/main.c, mark_readonly, since 4.6; of a module: do_init_module,
//                                     module_enable_ro, since 4.8), and the write is a fault
#include "create-diff-object/lints.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "arch/arch.h"
#include "create-diff-object/names.h"
#include "create-diff-object/places.h"

namespace kpatch {
namespace {

class Linter {
 public:
  Linter(const Pair& pair, const Selection& selection, const Binary& parent, Diagnostics& diagnostics)
      : pair_(pair), patched_(pair.patched), selection_(selection), parent_(parent), diagnostics_(diagnostics) {}

  void run() {
    find_main_loops();
    find_sealed_writes();
  }

 private:
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
      // Arguments are set up right before the call: the last function whose address is taken is the thread's. Another
      // one may be handed to a timer or a work queue by the same function.
      SymbolId handed = no_symbol;
      for (const Relocation& r : patched_.relocations(s.section, extent.begin, extent.end)) {
        const Target target = patched_.meaning(r);
        if (target.symbol == no_symbol) continue;
        const Symbol& other = patched_.symbol(target.symbol);
        if (asks_for_the_end(other.name) && replaced.contains(SymbolId{i})) loops.insert(SymbolId{i});
        if (other.function() && patched_.arch().code.use_of(home.code(), r) == Use::address) handed = target.symbol;
        if (starts_threads(other.name) && replaced.contains(handed)) loops.insert(handed);
      }
    }
    for (SymbolId function : loops)
      diagnostics_.warn("stall", place_of(patched_, function),
                        "is the main loop of a kernel thread, which may never leave it: the transition may stall there",
                        "patch what the loop calls instead");
  }

  // Whether the variable is read-only once the init of the kernel, or of its module, is over.
  bool is_sealed(const Object& object, const Target& target) const {
    if (target.symbol == no_symbol) return false;
    const Symbol& variable = object.symbol(target.symbol);
    if (variable.section != no_section) return object.section(variable.section).name == sealed_section;
    if (variable.defined()) return false;
    return std::ranges::any_of(parent_.named(variable.name), [&](uint32_t id) {
      const BinarySymbol& s = parent_.symbols()[id];
      return s.binding != SymbolBinding::local &&
             (parent_.in_ro_after_init(s) || parent_.section_name(s.section) == sealed_section);
    });
  }

  // Calls visit(variable, place of the instruction) for writes of the code in [begin, end) to such variables.
  template <typename Visit>
  void each_sealed_write(const Object& object, SectionId home, Object::Extent code, Visit visit) const {
    const CodeSection section = object.section(home).code();
    for (const Relocation& r : object.relocations(home, code.begin, code.end)) {
      const Target target = object.meaning(r);
      if (is_sealed(object, target) && object.arch().code.writes(section, code.begin, r))
        visit(target.symbol, r.offset);
    }
  }

  // What the running kernel's code does already: pairs of function and variable.
  std::set<std::pair<std::string, std::string_view>> known_writes() const {
    std::set<std::pair<std::string, std::string_view>> known;
    const Object& orig = pair_.orig;
    for (uint32_t i = 1; i < orig.symbols().size(); ++i) {
      const Symbol& s = orig.symbols()[i];
      if (!s.function() || s.section == no_section || orig.section(s.section).kind == SectionKind::init) continue;
      each_sealed_write(orig, s.section, orig.extent(SymbolId{i}), [&](SymbolId variable, uint64_t) {
        known.emplace(outermost_name(s.name), orig.symbol(variable).name);
      });
    }
    return known;
  }

  // The init of the livepatch itself, for the objects of vmlinux: klp_enable_patch() calls it.
  bool runs_in_init(SymbolId function) const {
    return !parent_.relocatable() && std::ranges::any_of(selection_.callbacks, [&](const Callback& callback) {
      return callback.kind == "pre_patch" &&
             std::ranges::any_of(patched_.relocations(callback.section, callback.offset, callback.offset + 1),
                                 [&](const Relocation& r) { return patched_.meaning(r).symbol == function; });
    });
  }

  void find_sealed_writes() {
    if (patched_.arch().code.writes == nullptr) return;
    const auto known = known_writes();
    std::set<std::pair<std::string, SymbolId>> told;
    for (const Chunk& chunk : selection_.chunks) {
      const SectionKind kind = patched_.section(chunk.section).kind;
      if (kind != SectionKind::text && kind != SectionKind::shared_text) continue;
      each_sealed_write(patched_, chunk.section, {chunk.begin, chunk.end}, [&](SymbolId variable, uint64_t at) {
        const Symbol& s = patched_.symbol(variable);
        const SymbolId twin = pair_.twins.orig(variable);
        const std::string_view name = twin == no_symbol ? s.name : pair_.orig.symbol(twin).name;
        const std::string writer = outermost_name(chunk.name(patched_));
        const bool is_new = twin == no_symbol && s.section != no_section;
        if (known.contains({writer, name}) || (is_new && runs_in_init(chunk.symbol)) ||
            !told.emplace(writer, variable).second)
          return;
        diagnostics_.warn(
            "ro-after-init", chunk.place(patched_, at),
            fmt::format("writes to {}, which is __ro_after_init: read-only since the init of {} is over, so that the "
                        "write faults",
                        name,
                        is_new                  ? "the livepatch"
                        : parent_.relocatable() ? "the module"
                                                : "the kernel"),
            is_new ? "leave __ro_after_init out" : "write to a variable of the patch's own, or to a shadow variable");
      });
    }
  }

  static constexpr std::string_view sealed_section = ".data..ro_after_init";

  const Pair& pair_;
  const Object& patched_;
  const Selection& selection_;
  const Binary& parent_;
  Diagnostics& diagnostics_;
};

}  // namespace

void lint(const Pair& pair, const Selection& selection, const Binary& parent, Diagnostics& diagnostics) {
  Linter(pair, selection, parent, diagnostics).run();
}

}  // namespace kpatch
