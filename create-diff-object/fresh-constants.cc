#include "create-diff-object/fresh-constants.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "arch/arch.h"
#include "create-diff-object/names.h"
#include "create-diff-object/readers.h"

namespace kpatch {
namespace {

bool is_text(SectionKind kind) { return kind == SectionKind::text || kind == SectionKind::shared_text; }

class Finder {
 public:
  Finder(const Pair& pair, const std::vector<Status>& status) : pair_(pair), status_(status) {}

  FreshConstants run() {
    for (uint32_t i = 1; i < pair_.patched.symbols().size(); ++i)
      if (const SymbolId id{i}; status_[i] == Status::changed && may_be_copied(id)) candidates_.emplace(id, "");
    changed_ = candidates_;
    if (candidates_.empty()) return {};
    find_users(pair_.patched, [](SymbolId id) { return id; });
    find_users(pair_.orig, [&](SymbolId id) { return pair_.twins.patched(id); });
    add_holders();
    look_at_code(pair_.patched, pair_.patched_layout, [](SymbolId id) { return id; });
    look_at_code(pair_.orig, pair_.orig_layout, [&](SymbolId id) { return pair_.twins.patched(id); });
    settle();
    FreshConstants result{std::move(candidates_), {}};
    for (const auto& [id, reason] : changed_)
      if (!result.copied.contains(id)) result.kept.emplace(id, refused_[id]);
    return result;
  }

 private:
  // A static constant that points to nothing but strings and other constants, before and after, or to labels.
  bool may_be_copied(SymbolId patched) const {
    const Symbol& s = pair_.patched.symbol(patched);
    const SymbolId orig = pair_.twins.orig(patched);
    return !s.global() && s.type == SymbolType::object && orig != no_symbol &&
           pair_.patched.section(s.section).kind == SectionKind::rodata &&
           ((plain(pair_.orig, orig) && plain(pair_.patched, patched)) ||
            (labels_of_a_function(pair_.orig, orig) && labels_of_a_function(pair_.patched, patched)));
  }

  // The table of a `goto *`: addresses of labels (GNU C's &&label) have a meaning in their own function alone, which is
  // new when its table is. A function's own address isn't one of its labels.
  static bool labels_of_a_function(const Object& object, SymbolId id) {
    const Object::Extent extent = object.extent(id);
    std::string_view function;
    for (const Relocation& r : object.relocations(object.symbol(id).section, extent.begin, extent.end)) {
      const Target target = object.meaning(r);
      if (target.symbol == no_symbol || target.section == no_section) return false;
      const Symbol& s = object.symbol(target.symbol);
      const bool cold = is_cold_part(s.name);
      if (!s.function() || (target.offset <= 0 && !cold)) return false;
      const std::string_view name = cold ? s.name.substr(0, s.name.find(".cold")) : std::string_view{s.name};
      if (!function.empty() && function != name) return false;
      function = name;
    }
    return !function.empty();
  }

  static bool plain(const Object& object, SymbolId id) {
    const Object::Extent extent = object.extent(id);
    const auto references = object.relocations(object.symbol(id).section, extent.begin, extent.end);
    return std::ranges::all_of(references, [&](const Relocation& r) {
      const Target target = object.meaning(r);
      if (target.is_string) return true;
      return target.symbol != no_symbol && target.section != no_section &&
             object.symbol(target.symbol).type == SymbolType::object &&
             object.section(target.section).kind == SectionKind::rodata;
    });
  }

  // What refers to each symbol outside of replaceable code: constants by their ids, all else as out of reach.
  template <typename Map>
  void find_users(const Object& object, Map map) {
    for (const Section& section : object.sections()) {
      if (is_text(section.kind) || section.kind == SectionKind::debug || section.kind == SectionKind::toc) continue;
      const SectionId home{static_cast<uint32_t>(&section - object.sections().data())};
      for (const Relocation& r : section.relocations) {
        const SymbolId target = object.meaning(r).symbol;
        if (target == no_symbol || map(target) == no_symbol) continue;
        const SymbolId user = section.kind == SectionKind::rodata ? object.symbol_at(home, r.offset) : no_symbol;
        if (user != no_symbol && map(user) != no_symbol)
          holders_[map(target)].insert(map(user));
        else
          refused_.emplace(map(target), section.kind == SectionKind::init
                                            ? "what reads it has run, and is gone"
                                            : fmt::format("{} refers to it", section.name));
      }
    }
  }

  // A constant that points to one which is copied has to point to the copy.
  void add_holders() {
    std::vector<SymbolId> work;
    for (const auto& [id, reason] : candidates_) work.push_back(id);
    while (!work.empty()) {
      const SymbolId id = work.back();
      work.pop_back();
      for (SymbolId holder : holders_[id]) {
        if (candidates_.contains(holder)) continue;
        if (!may_be_copied(holder)) {
          refused_.emplace(id, fmt::format("{} points to it", pair_.patched.symbol(holder).name));
          continue;
        }
        candidates_.emplace(holder, fmt::format("it points to {}, which changes", pair_.patched.symbol(id).name));
        work.push_back(holder);
      }
    }
  }

  // Refuses those whose address code may keep or compare where nobody sees it, so that it outlives the livepatch.
  template <typename Map>
  void look_at_code(const Object& object, const Layout& layout, Map map) {
    const CodeFacts& code = object.arch().code;
    if (code.takes_address == nullptr) return;
    for (uint32_t i = 1; i < object.symbols().size(); ++i) {
      const Symbol& s = object.symbols()[i];
      if (!s.function() || s.section == no_section || !is_text(object.section(s.section).kind)) continue;
      const Object::Extent extent = object.extent(SymbolId{i});
      std::map<SymbolId, std::vector<uint64_t>> addresses;  // where the function makes one, by the object's own id
      for (const Relocation& r : object.relocations(s.section, extent.begin, extent.end)) {
        const SymbolId target = object.meaning(r).symbol;
        if (target == no_symbol || !candidates_.contains(map(target)) || refused_.contains(map(target))) continue;
        if (code.takes_address(object.section(s.section).code(), s.value, r))
          addresses[target].push_back(r.offset);
        else if (holds_addresses(map(target)))
          refused_.emplace(map(target), fmt::format("{} reads addresses in it, which it may keep", s.name));
      }
      for (const auto& [constant, fields] : addresses) {
        FlowFacts facts = flow_facts(object, layout, s.section, constant);
        facts.holds_addresses = holds_addresses(map(constant));
        if (code.only_reads == nullptr ||
            !code.only_reads(object.section(s.section).code(), {s.value, extent.end}, fields, facts))
          refused_.emplace(map(constant), fmt::format("{} may keep its address", s.name));
      }
    }
  }

  // Whether it points to a constant of which there may be a copy: who loads that address has the copy's.
  bool holds_addresses(SymbolId constant) const {
    return std::ranges::any_of(candidates_, [&](const auto& candidate) {
      const auto found = holders_.find(candidate.first);
      return found != holders_.end() && found->second.contains(constant);
    });
  }

  static const Relocation* relocation_at(const Object& object, SectionId section, uint64_t field) {
    const auto found = object.relocations(section, field, field + 1);
    return found.empty() ? nullptr : &found.front();
  }

  static FlowFacts flow_facts(const Object& object, const Layout& layout, SectionId section, SymbolId constant) {
    FlowFacts facts;
    facts.target = [&object, section](uint64_t field) -> std::optional<std::string_view> {
      const Relocation* r = relocation_at(object, section, field);
      if (r == nullptr) return std::nullopt;
      const Target target = object.meaning(*r);
      return target.symbol == no_symbol || target.offset != 0 ? std::string_view{} : object.symbol(target.symbol).name;
    };
    // A function of this file that has such a name isn't the kernel's.
    facts.handling = [&object](std::string_view name, unsigned argument) {
      const bool own = std::ranges::any_of(object.symbols(), [&](const Symbol& s) {
        return s.name == name && (s.section != no_section || !s.global());
      });
      return own ? Handling::unknown : what_becomes_of(name, argument);
    };
    facts.is_end = [&object, section, constant](uint64_t field) {
      const Relocation* r = relocation_at(object, section, field);
      if (r == nullptr) return false;
      const Target target = object.meaning(*r);
      const Object::Extent extent = object.extent(constant);
      return target.symbol == constant && static_cast<uint64_t>(target.offset) == extent.end - extent.begin;
    };
    facts.ways = [&object, &layout, section](uint64_t begin, uint64_t end) {
      return other_ways(object, layout, section, begin, end);
    };
    return facts;
  }

  static std::optional<std::vector<uint64_t>> other_ways(const Object& object, const Layout& layout, SectionId section,
                                                         uint64_t begin, uint64_t end) {
    std::vector<uint64_t> ways;
    for (const TableEntry& entry : layout.entries(section, begin, end)) {
      const std::string_view name = object.section(entry.table).name;
      const auto table = std::ranges::find(object.arch().tables, name, &TableFacts::section);
      if (table == object.arch().tables.end() || table->effect == Effect::replaces) return std::nullopt;
      if (table->effect == Effect::none) continue;
      const auto references = object.relocations(entry.table, entry.begin, entry.end);
      if (references.size() < 2) return std::nullopt;
      const Target way = object.target(references[1]);
      if (way.section != section) return std::nullopt;
      const uint64_t base = way.symbol == no_symbol ? 0 : object.symbol(way.symbol).value;
      ways.push_back(base + static_cast<uint64_t>(way.offset));
    }
    return ways;
  }

  // A constant is copied when those that point to it are; one that didn't change itself, when it points to one that is.
  void settle() {
    for (bool again = true; again;) {
      again = false;
      for (auto i = candidates_.begin(); i != candidates_.end();) {
        const SymbolId id = i->first;
        const auto& holders = holders_[id];
        const bool good = !refused_.contains(id) &&
                          std::ranges::all_of(holders, [&](SymbolId holder) { return candidates_.contains(holder); });
        const bool needed = i->second.empty() || std::ranges::any_of(candidates_, [&](const auto& other) {
                              return holders_[other.first].contains(id);
                            });
        for (SymbolId holder : holders)
          if (!candidates_.contains(holder))
            refused_.emplace(id, fmt::format("{} points to it", pair_.patched.symbol(holder).name));
        if (good && needed) {
          ++i;
          continue;
        }
        i = candidates_.erase(i);
        again = true;
      }
    }
  }

  const Pair& pair_;
  const std::vector<Status>& status_;
  std::map<SymbolId, std::string> candidates_;      // with the reason of those that didn't change themselves
  std::map<SymbolId, std::set<SymbolId>> holders_;  // of a constant: the constants that point to it (patched ids)
  std::map<SymbolId, std::string> refused_;         // why
  std::map<SymbolId, std::string> changed_;
};

}  // namespace

FreshConstants find_fresh_constants(const Pair& pair, const std::vector<Status>& status) {
  return Finder{pair, status}.run();
}

}  // namespace kpatch
