// A variable of the kernel stays where it is, and patched code goes on using it, as long as it can be recognised:
//
//   static unsigned long next_id = 1;            static atomic_long_t last_id;
//   … id = next_id++;                       →    … id = atomic_long_inc_return(&last_id);
//
// Here the patched function would use a new variable, which begins empty, while the kernel's own is at 1,234. So each
// writable variable that a replaced function used, and that is gone from the patched object, is looked for among the new
// ones that the same functions use. One that holds the same (by its type in DWARF; without DWARF its size) is taken for
// its successor, and the patch is refused. One that holds something else may be a lock in another's place or may have
// nothing to do with it: the author is told.
//
// Functions are kept as well, by timers, work items, notifiers: the kernel's own goes on being called by what was set up
// before, though the patch calls it otherwise.
//
//   INIT_WORK(&w->work, old_name);          →    INIT_WORK(&w->work, new_name);      /* and a fix in new_name */

#include "create-diff-object/lost-state.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "create-diff-object/correlate.h"
#include "create-diff-object/names.h"
#include "create-diff-object/places.h"
#include "create-diff-object/types.h"
#include "support/text.h"

namespace kpatch {
namespace {

class LostState {
 public:
  LostState(const Pair& pair, Diagnostics& diagnostics)
      : pair_(pair), orig_(pair.orig), patched_(pair.patched), diagnostics_(diagnostics) {}

  void run(const std::vector<SymbolId>& functions) {
    std::set<SymbolId> changed;
    for (SymbolId id : functions) changed.insert(pair_.twins.orig(id));
    for (SymbolId function : changed) {
      const Object::Extent extent = orig_.extent(function);
      for (const Relocation& r : orig_.relocations(orig_.symbol(function).section, extent.begin, extent.end)) {
        const Target target = orig_.meaning(r);
        if (target.symbol == no_symbol || target.section == no_section) continue;
        if (orig_.symbol(target.symbol).function())
          check_function(target.symbol, function, r);
        else
          check(target.symbol, function);
      }
    }
  }

 private:
  // How sure it is that a new variable stands in an old one's place.
  enum class Likeness { none, same_users, same_contents, same_name };

  void check(SymbolId used, SymbolId function) {
    const Symbol& s = orig_.symbol(used);
    if (s.type != SymbolType::object || pair_.twins.patched(used) != no_symbol) return;
    if (is_static_local(s.name)) {
      const Section& home = orig_.section(s.section);
      if (!s.global() && (home.flags & SHF_WRITE) != 0 && home.kind != SectionKind::dyndbg)
        lose_static_local(used, function);
    } else if ((holds_state(orig_, used) || tells_apart(orig_, used)) && checked_.insert(used).second) {
      look_for_successor(used, orig_.symbol(function).name);
    }
  }

  // Without a new variable that could stand in its place nothing begins anew: the kernel's keeps what it holds, for the
  // time after the livepatch.
  void lose_static_local(SymbolId used, SymbolId function) {
    if (!checked_.insert(used).second) return;
    const std::string_view user = orig_.symbol(function).name;
    if (has_heir(used))
      diagnostics_.refuse("static-local", place_of(orig_, used),
                          fmt::format("of {} is no longer there, or has another size: its state would be lost", user));
    else
      diagnostics_.warn(
          "static-local", place_of(orig_, used),
          fmt::format("of {} is no longer there: what it holds stays in the kernel, and counts again once "
                      "the livepatch is unloaded",
                      user));
  }

  // A new writable variable that the same functions use, or new ones; any new static local, since that may have moved to
  // whatever function; or anything new of another file: a variable, or a function that has it now.
  bool has_heir(SymbolId lost) {
    for (uint32_t i = 1; i < patched_.symbols().size(); ++i) {
      const SymbolId id{i};
      const Symbol& heir = patched_.symbol(id);
      if (pair_.twins.orig(id) != no_symbol) continue;
      if (heir.global() && !heir.defined()) return true;
      if (holds_state(patched_, id) &&
          (is_static_local(heir.name) || have_a_user_in_common(lost, id) || has_a_new_user(id)))
        return true;
    }
    return false;
  }

  bool has_a_new_user(SymbolId id) {
    return std::ranges::any_of(users().second[index(id)],
                               [&](const std::string& user) { return new_functions().contains(user); });
  }

  const std::set<std::string, std::less<>>& new_functions() {
    if (!new_functions_) {
      new_functions_.emplace();
      for (uint32_t i = 1; i < patched_.symbols().size(); ++i) {
        const Symbol& s = patched_.symbols()[i];
        if (s.function() && s.section != no_section && pair_.twins.orig(SymbolId{i}) == no_symbol)
          new_functions_->emplace(outermost_name(s.name));
      }
    }
    return *new_functions_;
  }

  // A function that is gone, and whose address a replaced one took.
  void check_function(SymbolId lost, SymbolId user, const Relocation& r) {
    if (pair_.twins.patched(lost) != no_symbol || part_parent(orig_.symbol(lost).name)) return;
    if (orig_.arch().code.use_of(orig_.section(orig_.symbol(user).section).code(), r) != Use::address) return;
    if (!checked_.insert(lost).second) return;
    const std::string_view name = orig_.symbol(lost).name, taker = orig_.symbol(user).name;
    if (const SymbolId heir = new_callback(pair_.twins.patched(user)); heir != no_symbol)
      diagnostics_.refuse(
          "state-lost", place_of(patched_, heir),
          fmt::format("may be {} of the kernel that runs under another name. {} handed out the address of "
                      "that one, and what it was handed to (a timer, a work item, a list) goes on calling "
                      "it, without the patch",
                      name, taker),
          "leave the function's name as it is: the kernel's own leads to the patched one then");
    else
      diagnostics_.warn("state-lost", place_of(orig_, lost),
                        fmt::format("is gone. {} handed out its address, and what it was handed to before the patch (a "
                                    "timer, a work item, a list) goes on calling it",
                                    taker),
                        "take it back in a pre_patch callback, or leave the function there, and patch it");
  }

  // A new function whose address is taken by the same function, or, where that takes none now, by any other.
  SymbolId new_callback(SymbolId user) const {
    SymbolId found = new_function_handed_out_by(user);
    for (uint32_t i = 1; i < patched_.symbols().size() && found == no_symbol; ++i)
      if (patched_.symbols()[i].function() && patched_.symbols()[i].section != no_section)
        found = new_function_handed_out_by(SymbolId{i});
    return found;
  }

  SymbolId new_function_handed_out_by(SymbolId user) const {
    if (user == no_symbol) return no_symbol;
    const SectionId home = patched_.symbol(user).section;
    const Object::Extent extent = patched_.extent(user);
    for (const Relocation& r : patched_.relocations(home, extent.begin, extent.end)) {
      const Target target = patched_.meaning(r);
      if (target.symbol == no_symbol || target.offset != 0 || pair_.twins.orig(target.symbol) != no_symbol) continue;
      const Symbol& s = patched_.symbol(target.symbol);
      if (s.function() && s.section != no_section &&
          patched_.arch().code.use_of(patched_.section(home).code(), r) == Use::address)
        return target.symbol;
    }
    return no_symbol;
  }

  static bool holds_state(const Object& object, SymbolId id) {
    const Symbol& s = object.symbol(id);
    if (s.section == no_section || s.type != SymbolType::object || is_special_static(s.name)) return false;
    const Section& home = object.section(s.section);
    return (home.flags & SHF_WRITE) != 0 && (home.kind == SectionKind::data || home.kind == SectionKind::bss);
  }

  // Operations are told apart by their address: `f->f_op == &eventpoll_fops`.
  static bool tells_apart(const Object& object, SymbolId id) {
    const Symbol& s = object.symbol(id);
    if (s.section == no_section || s.type != SymbolType::object || is_special_static(s.name)) return false;
    const Section& home = object.section(s.section);
    if (home.kind != SectionKind::rodata && home.kind != SectionKind::data) return false;
    const Object::Extent extent = object.extent(id);
    return std::ranges::any_of(object.relocations(s.section, extent.begin, extent.end), [&](const Relocation& r) {
      const Target target = object.meaning(r);
      return target.symbol != no_symbol && object.symbol(target.symbol).function();
    });
  }

  void look_for_successor(SymbolId lost, std::string_view user) {
    const Symbol& before = orig_.symbol(lost);
    SymbolId best = no_symbol;
    Likeness how = Likeness::none;
    std::vector<std::string> others;
    for (uint32_t i = 1; i < patched_.symbols().size(); ++i) {
      const Likeness likeness = likeness_of(lost, SymbolId{i});
      if (likeness == Likeness::same_users) others.emplace_back(patched_.symbol(SymbolId{i}).name);
      if (likeness > how) best = SymbolId{i}, how = likeness;
    }
    if (how == Likeness::none) return;
    if (how == Likeness::same_users) {
      diagnostics_.add(
          {"state-lost", Severity::warning, place_of(patched_, best),
           fmt::format("is new where {} uses {} in the kernel that runs: what that one holds is in none of "
                       "{}, which begin{} anew",
                       user, before.name, some_of(others), others.size() == 1 ? "s" : ""),
           "take over what the old one holds in a callback (pre_patch); a lock that somebody holds while "
           "the livepatch is loaded isn't held under its new name"});
      return;
    }
    const bool operations = !holds_state(orig_, lost);
    const std::string message =
        operations && how == Likeness::same_contents
            ? fmt::format(
                  "may be {} of the kernel that runs under another name, and is told apart by its address: what "
                  "exists has the old one",
                  before.name)
        : how == Likeness::same_contents
            ? fmt::format("may be {} of the kernel that runs under another name: both hold the same, and {} uses them",
                          before.name, user)
        : patched_.symbol(best).section == no_section
            ? fmt::format("moves from {} to another file", orig_.file_name(before.file))
            : fmt::format("was a variable of the file, and is one of a function");
    diagnostics_.refuse("state-lost", place_of(patched_, best),
                        operations ? message : message + "; its state would be lost",
                        "leave name and file of the variable as they are: the kernel does not care for them");
  }

  Likeness likeness_of(SymbolId lost, SymbolId id) {
    const Symbol &s = orig_.symbol(lost), &heir = patched_.symbol(id);
    if (pair_.twins.orig(id) != no_symbol) return Likeness::none;
    if (heir.section == no_section) return heir.global() && heir.name == s.name ? Likeness::same_name : Likeness::none;
    const bool operations = !holds_state(orig_, lost);
    if (operations ? !tells_apart(patched_, id) || heir.size != s.size : !holds_state(patched_, id))
      return Likeness::none;
    if (!have_a_user_in_common(lost, id)) return Likeness::none;
    if (is_static_local(heir.name)) {
      // A new static local is told of by a rule of its own.
      const bool same =
          heir.name.starts_with(fmt::format("{}.", s.name)) || heir.name.ends_with(fmt::format(".{}", s.name));
      return same && heir.size == s.size ? Likeness::same_name : Likeness::none;
    }
    return heir.size == s.size && hold_the_same(s.name, heir.name) ? Likeness::same_contents : Likeness::same_users;
  }

  bool have_a_user_in_common(SymbolId lost, SymbolId id) {
    const auto &before = users().first[index(lost)], &after = users().second[index(id)];
    return std::ranges::any_of(before, [&](const auto& user) { return std::ranges::binary_search(after, user); });
  }

  using Users = std::vector<std::vector<std::string>>;  // of each symbol, by its id

  const std::pair<Users, Users>& users() {
    if (!users_) users_ = {find_users(orig_, true), find_users(patched_, true)};
    return *users_;
  }

  bool hold_the_same(std::string_view lost, std::string_view heir) {
    if (!types_) types_ = {read_types(SourceLines(orig_)), read_types(SourceLines(patched_))};
    const auto before = types_->first.variable_shapes.find(std::string{lost});
    const auto after = types_->second.variable_shapes.find(std::string{heir});
    if (before == types_->first.variable_shapes.end() || after == types_->second.variable_shapes.end()) return true;
    return before->second.shape == after->second.shape || before->second.bare == after->second.bare;
  }

  const Pair& pair_;
  const Object& orig_;
  const Object& patched_;
  Diagnostics& diagnostics_;
  std::set<SymbolId> checked_;  // by original id
  std::optional<std::pair<Users, Users>> users_;
  std::optional<std::set<std::string, std::less<>>> new_functions_;
  std::optional<std::pair<Types, Types>> types_;
};

}  // namespace

void check_lost_state(const Pair& pair, const std::vector<SymbolId>& functions, Diagnostics& diagnostics) {
  LostState(pair, diagnostics).run(functions);
}

}  // namespace kpatch
