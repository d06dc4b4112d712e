// The kernel's `inline` says notrace too (include/linux/compiler_types.h). What the compiler doesn't inline after all
// is a function without an ftrace site:
//
//   static inline bool io_recv_finish(…)        changed, not traced
//   int io_recv(…)   { … io_recv_finish(…) … }    calls it, as does io_recvmsg()
//
// It can't be redirected, but its callers can: their new copies call its new copy. That is right when nobody else can
// get at the old one: it is local, its address is nowhere but in calls and in its own cold part, and every function that
// calls it is replaced, in the same way where need be. Each reference of the original object counts, since it is the running code that has to
// be led away. A caller without a twin was inlined or renamed: those that called it have changed by that already.
//
// Code in shared sections (.noinstr.text, .entry.text) stays out: what it promises about where it lies, a copy in a
// module doesn't hold. So does what may not be probed, since the copy would not be on that list.

#include "create-diff-object/callers.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "arch/arch.h"
#include "create-diff-object/correlate.h"
#include "create-diff-object/names.h"

namespace kpatch {
namespace {

class Spreader {
 public:
  Spreader(const Pair& pair, Comparison& comparison)
      : pair_(pair), orig_(pair.orig), patched_(pair.patched), comparison_(comparison) {}

  void run() {
    std::vector<SymbolId> untraced;
    for (uint32_t i = 1; i < patched_.symbols().size(); ++i)
      if (const SymbolId id{i}; comparison_.of(id) == Status::changed && needs_callers(id)) untraced.push_back(id);
    if (untraced.empty()) return;
    find_uses();
    for (SymbolId id : untraced) {
      std::vector<SymbolId> replaced;
      state_.assign(orig_.symbols().size(), false);
      if (lead_away(pair_.twins.orig(id), replaced)) change(replaced);
    }
  }

 private:
  bool traced(SymbolId orig) const { return has_ftrace_site(orig_, pair_.orig_layout, orig); }

  bool needs_callers(SymbolId patched) const {
    const Symbol& s = patched_.symbol(patched);
    const SymbolId twin = pair_.twins.orig(patched);
    return s.function() && !s.global() && twin != no_symbol && comparison_.parents[index(patched)] == no_symbol &&
           patched_.section(s.section).kind == SectionKind::text && !traced(twin);
  }

  // A cold part jumps back into its function, and goes with it.
  SymbolId cold_of(SymbolId user) const {
    return is_cold_part(orig_.symbol(user).name) ? parents_[index(user)] : no_symbol;
  }

  // Who calls each symbol of the original, and which ones are used in another way.
  void find_uses() {
    parents_ = find_parents(orig_);
    callers_.resize(orig_.symbols().size());
    escaped_.resize(orig_.symbols().size());
    for (const Section& section : orig_.sections()) {
      if (is_silent(section)) continue;
      const SectionId home{static_cast<uint32_t>(&section - orig_.sections().data())};
      for (const Relocation& r : section.relocations) {
        const Target target = orig_.meaning(r);
        if (target.symbol == no_symbol || !orig_.symbol(target.symbol).function()) continue;
        const SymbolId user = section.kind == SectionKind::text || section.kind == SectionKind::shared_text
                                  ? orig_.symbol_at(home, r.offset)
                                  : no_symbol;
        if (user == target.symbol || (user != no_symbol && cold_of(user) == target.symbol)) continue;
        const bool call = user != no_symbol && orig_.symbol(user).function() && target.offset == 0 &&
                          orig_.arch().code.use_of(section.code(), r) == Use::call;
        if (call)
          callers_[index(target.symbol)].push_back(user);
        else
          escaped_[index(target.symbol)] = true;
      }
    }
  }

  // Tables tell of a function without giving anybody a way into it.
  static bool is_silent(const Section& section) {
    switch (section.kind) {
      case SectionKind::table:
      case SectionKind::objtool_notes:
      case SectionKind::rebuilt:
      case SectionKind::debug:
      case SectionKind::author_macros:
        return true;
      default:
        return (section.flags & SHF_ALLOC) == 0 || section.name == "__patchable_function_entries";
    }
  }

  // Whether the running function is out of reach once all of `replaced` (patched ids, added to) are.
  bool lead_away(SymbolId orig, std::vector<SymbolId>& replaced) {
    if (state_[index(orig)]) return true;
    state_[index(orig)] = true;
    const SymbolId patched = pair_.twins.patched(orig);
    if (patched == no_symbol) return true;
    // A part goes with its parent.
    const SymbolId parent = comparison_.parents[index(patched)];
    if (traced(orig)) {
      replaced.push_back(patched);
      return true;
    }
    if (parent != no_symbol)
      return pair_.twins.orig(parent) != no_symbol && lead_away(pair_.twins.orig(parent), replaced);
    if (!needs_callers(patched) || escaped_[index(orig)] || callers_[index(orig)].empty()) return false;
    replaced.push_back(patched);
    const auto& callers = callers_[index(orig)];
    return std::all_of(callers.begin(), callers.end(), [&](SymbolId caller) { return lead_away(caller, replaced); });
  }

  void change(const std::vector<SymbolId>& replaced) {
    for (SymbolId id : replaced) {
      if (needs_callers(id)) comparison_.through_callers.insert(id);
      Status& status = comparison_.status[index(id)];
      if (status != Status::same && status != Status::lines_only) continue;
      status = Status::changed;
      comparison_.reasons[id] =
          fmt::format("calls {}, which changes and has no ftrace site", patched_.symbol(replaced.front()).name);
    }
  }

  const Pair& pair_;
  const Object& orig_;
  const Object& patched_;
  Comparison& comparison_;
  std::vector<SymbolId> parents_;               // by original id: see find_parents()
  std::vector<std::vector<SymbolId>> callers_;  // by original id
  std::vector<bool> escaped_;                   // by original id: used otherwise than by a call
  std::vector<bool> state_;                     // by original id: looked at for the present function
};

}  // namespace

void spread_to_callers(const Pair& pair, Comparison& comparison) { Spreader(pair, comparison).run(); }

}  // namespace kpatch
