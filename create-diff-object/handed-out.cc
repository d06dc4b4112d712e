// Mistakes that load, run, and show much later:
//
//   timer_setup(&t, new_tick, 0)           new_tick is the livepatch's own. echo 0 > enabled; rmmod; and a second later
//                                          the timer calls what was freed
//   list_add(&new_watch.list, &watches)    the list leads through freed memory then
//   pci_request_regions(pdev, "nvme")      so does /proc/iomem: strings of a replaced function come as copies
//
// A pointer to a function that the kernel has goes to the kernel's own, and is no such case.
#include "create-diff-object/handed-out.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "arch/arch.h"
#include "create-diff-object/names.h"
#include "create-diff-object/places.h"
#include "create-diff-object/types.h"

namespace kpatch {
namespace {

// By these something else leads to what holds them.
constexpr auto links = std::to_array<std::string_view>(
    {"struct list_head", "struct hlist_head", "struct hlist_node", "struct hlist_nulls_node", "struct hlist_nulls_head",
     "struct llist_node", "struct rb_node", "struct plist_node", "struct rhash_head", "struct callback_head",
     "struct timer_list", "struct hrtimer", "struct work_struct", "struct notifier_block", "struct tasklet_struct",
     "struct kobject", "struct wait_queue_entry"});

// In these somebody is linked only while he waits, in code that the transition or a reference to the module waits for.
constexpr auto waiting = std::to_array<std::string_view>(
    {"struct mutex", "struct rw_semaphore", "struct wait_queue_head", "struct swait_queue_head", "struct completion",
     "struct semaphore", "struct rt_mutex", "struct rt_mutex_base", "struct percpu_rw_semaphore",
     "struct ratelimit_state"});

// Functions that keep the name that they are given, as a pointer: kernel/irq/manage.c, kernel/resource.c, kernel/cpu.c,
// kernel/events/core.c, drivers/pci/pci.c, drivers/base/class.c, lib/devres.c, drivers/virtio/virtio_ring.c.
constexpr auto keepers = std::to_array<std::string_view>({"__cpuhp_setup_state",
                                                          "__cpuhp_setup_state_cpuslocked",
                                                          "perf_pmu_register",
                                                          "__devm_request_region",
                                                          "__request_percpu_irq",
                                                          "__request_region",
                                                          "class_create",
                                                          "devm_request_any_context_irq",
                                                          "devm_request_threaded_irq",
                                                          "pci_request_region",
                                                          "pci_request_regions",
                                                          "pci_request_regions_exclusive",
                                                          "pci_request_selected_regions",
                                                          "pci_request_selected_regions_exclusive",
                                                          "pcim_iomap_regions",
                                                          "pcim_request_all_regions",
                                                          "pcim_request_region",
                                                          "request_any_context_irq",
                                                          "request_nmi",
                                                          "request_threaded_irq",
                                                          "vring_create_virtqueue",
                                                          "vring_new_virtqueue"});

bool contains(const auto& list, std::string_view word) { return std::ranges::find(list, word) != list.end(); }

class HandedOut {
 public:
  HandedOut(const Pair& pair, const Selection& selection, const Binary& parent, Diagnostics& diagnostics)
      : pair_(pair), patched_(pair.patched), selection_(selection), parent_(parent), diagnostics_(diagnostics) {}

  void run() {
    find_functions();
    find_operations();
    find_linked();
    find_names();
  }

 private:
  bool is_function(const Symbol& symbol) const {
    if (symbol.function()) return true;
    return !symbol.defined() && std::ranges::any_of(parent_.named(symbol.name), [&](uint32_t id) {
      return parent_.symbols()[id].type == SymbolType::function;
    });
  }

  bool takes_address(const Section& home, uint64_t from, const Relocation& r) const {
    const CodeFacts& code = patched_.arch().code;
    if (code.takes_address != nullptr) return code.takes_address(home.code(), from, r);
    return code.use_of(home.code(), r) == Use::address;
  }

  using Takers = std::map<SymbolId, std::set<std::string>>;

  // Who takes the address of each, or of a part of it.
  Takers takers_of(const std::set<SymbolId>& variables) const {
    Takers takers;
    for (const Chunk& chunk : selection_.chunks) {
      const Section& home = patched_.section(chunk.section);
      if (home.kind != SectionKind::text && home.kind != SectionKind::shared_text) continue;
      for (const Relocation& r : patched_.relocations(chunk.section, chunk.begin, chunk.end)) {
        const Target target = patched_.meaning(r);
        if (target.symbol != no_symbol && variables.contains(target.symbol) && takes_address(home, chunk.begin, r))
          takers[target.symbol].insert(chunk.name(patched_));
      }
    }
    return takers;
  }

  void find_functions() {
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

  // New variables that lead to functions of the kernel (operations, a timer); those of the livepatch are told of
  // themselves.
  std::set<SymbolId> new_operations() const {
    const std::set<SymbolId> added(selection_.added.begin(), selection_.added.end());
    std::set<SymbolId> operations;
    for (const Chunk& chunk : selection_.chunks) {
      if (chunk.symbol == no_symbol || pair_.twins.orig(chunk.symbol) != no_symbol) continue;
      const Symbol& s = patched_.symbol(chunk.symbol);
      const SectionKind kind = patched_.section(chunk.section).kind;
      if (s.type != SymbolType::object || is_special_static(s.name)) continue;
      if (kind != SectionKind::rodata && kind != SectionKind::data) continue;
      bool leads = false, own = false;
      for (const Relocation& r : patched_.relocations(chunk.section, chunk.begin, chunk.end)) {
        const Target target = patched_.meaning(r);
        if (target.symbol == no_symbol) continue;
        leads |= is_function(patched_.symbol(target.symbol));
        own |= added.contains(target.symbol);
      }
      if (leads && !own) operations.insert(chunk.symbol);
    }
    return operations;
  }

  void find_operations() {
    const std::set<SymbolId> operations = new_operations();
    if (operations.empty()) return;
    for (const auto& [variable, names] : takers_of(operations)) {
      told_.insert(variable);
      diagnostics_.warn(
          "handed-out", place_of(patched_, variable),
          fmt::format("is new in the livepatch and leads to functions, and {} takes its address: who keeps "
                      "it (an open file, a timer, a list) would read freed memory once the livepatch is "
                      "unloaded",
                      fmt::join(names, ", ")),
          "take it back in a pre_unpatch callback, or never unload");
    }
  }

  // Of a variable's type, what links it: "struct work_struct"; empty: nothing does.
  static std::string_view link_in(const Types& types, const std::string& shape) {
    if (contains(waiting, shape)) return {};
    if (contains(links, shape)) return shape;
    const auto layout = types.layouts.find(shape);
    if (layout == types.layouts.end()) return {};
    const auto& members = layout->second.members;
    for (const auto& [name, member] : members) {
      if (!contains(links, member.shape)) continue;
      bool waits = false;
      for (size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1)) {
        const auto holder = members.find(name.substr(0, dot));
        waits |= holder != members.end() && contains(waiting, holder->second.shape);
      }
      if (!waits) return member.shape;
    }
    return {};
  }

  // Of a static local, whose key is "f: x", the name alone is known here.
  static const TypeMember* shape_of(const Types& types, std::string_view symbol) {
    const std::string name = source_name(symbol), ending = ": " + name;
    for (const auto& [key, shape] : types.variable_shapes)
      if (key == name || (is_static_local(symbol) && key.ends_with(ending))) return &shape;
    return nullptr;
  }

  void find_linked() {
    std::set<SymbolId> variables;
    for (const Chunk& chunk : selection_.chunks) {
      if (chunk.symbol == no_symbol || pair_.twins.orig(chunk.symbol) != no_symbol || told_.contains(chunk.symbol))
        continue;
      const Symbol& s = patched_.symbol(chunk.symbol);
      const SectionKind kind = patched_.section(chunk.section).kind;
      if (s.type == SymbolType::object && !is_special_static(s.name) &&
          (kind == SectionKind::data || kind == SectionKind::bss))
        variables.insert(chunk.symbol);
    }
    if (variables.empty()) return;
    const Takers takers = takers_of(variables);
    if (takers.empty()) return;
    const Types types = read_types(SourceLines(patched_));
    for (const auto& [variable, names] : takers) {
      const TypeMember* shape = shape_of(types, patched_.symbol(variable).name);
      const std::string_view link = shape == nullptr ? std::string_view{} : link_in(types, shape->shape);
      if (link.empty()) continue;
      diagnostics_.warn(
          "handed-out", place_of(patched_, variable),
          fmt::format("is new in the livepatch, and {} takes its address: what it is linked to (it is, or has, "
                      "a {}) would lead to freed memory once the livepatch is unloaded",
                      fmt::join(names, ", "), link),
          "take it out of there in a pre_unpatch callback, or never unload");
    }
  }

  // Arguments are set up right before the call.
  void find_names() {
    for (const Chunk& chunk : selection_.chunks) {
      const Section& home = patched_.section(chunk.section);
      if (chunk.symbol == no_symbol || (home.kind != SectionKind::text && home.kind != SectionKind::shared_text))
        continue;
      std::string_view given;
      for (const Relocation& r : patched_.relocations(chunk.section, chunk.begin, chunk.end)) {
        const Target target = patched_.meaning(r);
        if (target.is_string) given = target.string;
        if (target.symbol == no_symbol || patched_.arch().code.use_of(home.code(), r) != Use::call) continue;
        if (const std::string_view callee = patched_.symbol(target.symbol).name;
            !given.empty() && contains(keepers, callee))
          diagnostics_.warn("handed-out", chunk.place(patched_, r.offset),
                            fmt::format("gives the livepatch's string \"{}\" to {}, which keeps it: who reads it there "
                                        "(/proc/interrupts, /proc/iomem) would read freed memory once the livepatch is "
                                        "unloaded",
                                        given, callee),
                            "patch what it calls instead, or keep the module loaded once this ran");
        given = {};
      }
    }
  }

  const Pair& pair_;
  const Object& patched_;
  const Selection& selection_;
  const Binary& parent_;
  Diagnostics& diagnostics_;
  std::set<SymbolId> told_;  // operations
};

}  // namespace

void warn_of_handed_out(const Pair& pair, const Selection& selection, const Binary& parent, Diagnostics& diagnostics) {
  HandedOut(pair, selection, parent, diagnostics).run();
}

}  // namespace kpatch
