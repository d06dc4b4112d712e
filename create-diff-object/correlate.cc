// Twins. The compiler numbers clones and static locals anew in each compile, and a patch that adds one shifts the rest:
//
//   original                          patched
//   copy_signal.isra.6                copy_signal.isra.7
//   count.1   (static in show)        count.2   (static in show)
//   count.2   (static in store)       count.3   (static in store)
//   hash.constprop.0                  hash.constprop.1     emitted in another order
//   hash.constprop.1                  hash.constprop.0
//
// An equal name is strong evidence only where nothing in it is a number. So symbols are grouped by stem (the name
// without the numbers), type and binding, and each group goes down a ladder. A rung takes out the pairs that it is sure
// of, and leaves the rest to the next; the order is the rule, since a lower rung would guess where a higher one knows.
//
//   rung         who            what it knows, and an example
//   name         all but        a group of one and one: meminfo_proc_show; f.isra.6 = f.isra.7
//                static locals
//   whole name   the others     a name without numbers that each side has once: count, beside count.1 of a function
//   parent       parts          the twin of the function that it was cut from: f.isra.7.cold = f.isra.6.cold
//   content      functions,     equal code and equal meanings, so that any will do; equal names first:
//                constants      hash.constprop.1 = hash.constprop.0
//   place        static locals  the instruction that refers to it, in a function that is otherwise the same:
//                               __already_done.2 and .3 of a macro that f uses twice
//   declaration  static locals  the function around it (DWARF): count.1 of show, which store inlines
//   users        all            who refers to it; most in common, no tie, no rival: both used by show
//   last         all            the only ones left over, where nothing speaks against it: its user was inlined
//   linkage      all            the one name that is left over on both sides, static here and global there
//
// What cannot be told apart stays without a twin: a function is then new, and its callers change with it, which is
// always right; data without a twin is refused when it is needed, because its state would be lost. Position in the file
// is no evidence. Which rung joined a pair is kept, and `--explain` names it.

#include "create-diff-object/correlate.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "arch/arch.h"
#include "create-diff-object/fingerprint.h"
#include "create-diff-object/source-lines.h"

namespace kpatch {
namespace {

bool takes_part(const Object& object, const Symbol& symbol) {
  if (symbol.name.empty() || symbol.type == SymbolType::section || symbol.type == SymbolType::file) return false;
  if (is_local_label(symbol.name) || is_special_static(symbol.name) || is_prefix_symbol(symbol.name)) return false;
  if (symbol.section == no_section) return true;
  switch (object.section(symbol.section).kind) {
    case SectionKind::dyndbg:
      return symbol.global();  // local ones are copied fresh
    case SectionKind::author_macros:
    case SectionKind::debug:
    case SectionKind::structure:
      return false;
    default:
      return true;
  }
}

struct Group {
  std::vector<SymbolId> orig, patched;
};

class Correlator {
  using StaticLocals = std::map<std::pair<SectionId, uint64_t>, std::string>;

 public:
  Correlator(const Object& orig, const Object& patched) : orig_(orig), patched_(patched) {
    result_.to_orig.resize(patched.symbols().size(), no_symbol);
    result_.to_patched.resize(orig.symbols().size(), no_symbol);
    result_.evidence.resize(patched.symbols().size(), Evidence::none);
    result_.ambiguous.resize(patched.symbols().size(), false);
  }

  Correlation run() {
    collect(orig_, &Group::orig);
    collect(patched_, &Group::patched);
    bool users_needed = false;
    for (auto& [key, group] : groups_) users_needed = users_needed || needs_users(group);
    if (users_needed) {
      orig_users_ = find_users(orig_);
      patched_users_ = find_users(patched_);
    }
    for (auto& [key, group] : groups_) pair(group);
    pair_across_linkage();
    return std::move(result_);
  }

 private:
  void collect(const Object& object, std::vector<SymbolId> Group::*side) {
    uint32_t files = 0;
    for (const Symbol& s : object.symbols()) files = std::max(files, s.file);
    for (uint32_t i = 1; i < object.symbols().size(); ++i) {
      const Symbol& s = object.symbols()[i];
      if (!takes_part(object, s)) continue;
      std::string key;
      key += s.global() ? 'g' : 'l';
      key += !s.defined() ? 'u' : s.function() ? 'f' : 'd';
      // Several files in one object (ld -r): a local belongs to its file.
      if (files > 1 && !s.global()) key += object.file_name(s.file);
      key += '\0';
      key += s.global() ? std::string{s.name} : symbol_stem(s.name);
      (groups_[key].*side).push_back(SymbolId{i});
    }
  }

  // `static` comes and goes with a patch (a second file needs the function), and changes nothing of what it stands for.
  // Only what the ladder left over takes part, so that a name has one meaning on each side.
  void pair_across_linkage() {
    std::map<std::pair<bool, std::string>, Group> names;
    auto collect = [&](const Object& object, const std::vector<SymbolId>& twins, std::vector<SymbolId> Group::*side) {
      for (uint32_t i = 1; i < object.symbols().size(); ++i) {
        const Symbol& s = object.symbols()[i];
        if (twins[i] != no_symbol || s.section == no_section || !takes_part(object, s)) continue;
        (names[{s.function(), symbol_stem(s.name)}].*side).push_back(SymbolId{i});
      }
    };
    collect(orig_, result_.to_patched, &Group::orig);
    collect(patched_, result_.to_orig, &Group::patched);
    for (const auto& [name, group] : names) {
      if (!alone(group)) continue;
      const SymbolId o = group.orig.front(), p = group.patched.front();
      if (orig_.symbol(o).global() != patched_.symbol(p).global()) join(o, p, Evidence::linkage);
    }
  }

  static bool alone(const Group& group) { return group.orig.size() == 1 && group.patched.size() == 1; }

  bool static_local(const Group& group) const {
    const Symbol& s = patched_.symbol(group.patched.front());
    return !s.function() && !s.global() && s.defined() && is_static_local(s.name);
  }

  bool needs_users(const Group& group) const {
    if (group.orig.empty() || group.patched.empty()) return false;
    return !alone(group) || static_local(group);
  }

  void pair(Group& group) {
    if (group.orig.empty() || group.patched.empty()) return;
    if (static_local(group)) return pair_static_locals(group);
    if (alone(group)) return join(group.orig.front(), group.patched.front(), Evidence::name);
    pair_by_whole_name(group);
    pair_by_parent(group);
    if (group.patched.empty()) return;
    if (patched_.symbol(group.patched.front()).function()) pair_by_content(group);
    pair_by_users(group, false);
    if (alone(group)) return join(group.orig.front(), group.patched.front(), Evidence::last);
    for (SymbolId id : group.patched)
      if (!group.orig.empty()) result_.ambiguous[index(id)] = true;
  }

  void join(SymbolId o, SymbolId p, Evidence evidence) {
    result_.to_orig[index(p)] = o;
    result_.to_patched[index(o)] = p;
    result_.evidence[index(p)] = evidence;
  }

  // Joins the pair and takes both out of the group.
  void take(Group& group, size_t o, size_t p, Evidence evidence) {
    join(group.orig[o], group.patched[p], evidence);
    group.orig.erase(group.orig.begin() + static_cast<std::ptrdiff_t>(o));
    group.patched.erase(group.patched.begin() + static_cast<std::ptrdiff_t>(p));
  }

  // A name without numbers says which is which, unless it occurs twice.
  void pair_by_whole_name(Group& group) {
    std::map<std::string_view, Group> names;
    for (SymbolId id : group.orig) names[orig_.symbol(id).name].orig.push_back(id);
    for (SymbolId id : group.patched) names[patched_.symbol(id).name].patched.push_back(id);
    for (auto& [name, same] : names) {
      if (!alone(same) || is_mangled(name)) continue;
      const auto o = std::find(group.orig.begin(), group.orig.end(), same.orig.front()) - group.orig.begin();
      const auto p =
          std::find(group.patched.begin(), group.patched.end(), same.patched.front()) - group.patched.begin();
      take(group, static_cast<size_t>(o), static_cast<size_t>(p), Evidence::whole_name);
    }
  }

  // Parts of clones go where their parents went (parents come first: their stem is a prefix).
  void pair_by_parent(Group& group) {
    if (orig_parents_.empty()) {
      orig_parents_ = find_parents(orig_);
      patched_parents_ = find_parents(patched_);
    }
    for (size_t p = 0; p < group.patched.size();) {
      const SymbolId parent = patched_parents_[index(group.patched[p])];
      const SymbolId twin = parent == no_symbol ? no_symbol : result_.orig(parent);
      auto o = std::find_if(group.orig.begin(), group.orig.end(),
                            [&](SymbolId id) { return twin != no_symbol && orig_parents_[index(id)] == twin; });
      if (o == group.orig.end())
        ++p;
      else
        take(group, static_cast<size_t>(o - group.orig.begin()), p, Evidence::parent);
    }
  }

  // Functions of equal code are interchangeable: equal names first, then any.
  void pair_by_content(Group& group) {
    std::map<uint64_t, Group> shapes;
    for (SymbolId id : group.orig) shapes[shape(orig_, id)].orig.push_back(id);
    for (SymbolId id : group.patched) shapes[shape(patched_, id)].patched.push_back(id);
    Group left;
    for (auto& entry : shapes) {
      Group& same = entry.second;
      for (size_t p = 0; p < same.patched.size();) {
        auto equal_name = std::find_if(same.orig.begin(), same.orig.end(), [&](SymbolId o) {
          return orig_.symbol(o).name == patched_.symbol(same.patched[p]).name;
        });
        if (equal_name == same.orig.end()) {
          ++p;
          continue;
        }
        take(same, static_cast<size_t>(equal_name - same.orig.begin()), p, Evidence::content);
      }
      while (!same.orig.empty() && !same.patched.empty()) take(same, 0, 0, Evidence::content);
      left.orig.insert(left.orig.end(), same.orig.begin(), same.orig.end());
      left.patched.insert(left.patched.end(), same.patched.begin(), same.patched.end());
    }
    std::sort(left.orig.begin(), left.orig.end());
    std::sort(left.patched.begin(), left.patched.end());
    group = std::move(left);
  }

  // Constants hold no state: equal contents are as good as identity (`__msg.3` of NL_SET_ERR_MSG, dozens a file). Of
  // several that are equal, those of equal users belong together, in their order: else functions that nobody touched would
  // seem to refer to another one. Their numbers move with every new static local of the file, and say nothing.
  void pair_constants(Group& group) {
    std::map<std::pair<uint64_t, std::vector<std::string>>, Group> by_users;
    for (SymbolId id : group.orig) by_users[{shape(orig_, id), orig_users_[index(id)]}].orig.push_back(id);
    for (SymbolId id : group.patched) by_users[{shape(patched_, id), patched_users_[index(id)]}].patched.push_back(id);
    std::map<uint64_t, Group> shapes;
    for (auto& [key, same] : by_users) pair_in_order(same, shapes[key.first]);
    group = {};
    for (auto& [shape, same] : shapes) pair_in_order(same, group);
    std::sort(group.orig.begin(), group.orig.end());
    std::sort(group.patched.begin(), group.patched.end());
  }

  // The first with the first, and so on; what one side has more of goes to `left`.
  void pair_in_order(Group& same, Group& left) {
    std::sort(same.orig.begin(), same.orig.end());
    std::sort(same.patched.begin(), same.patched.end());
    const auto pairs = static_cast<std::ptrdiff_t>(std::min(same.orig.size(), same.patched.size()));
    for (size_t i = 0; i < static_cast<size_t>(pairs); ++i) join(same.orig[i], same.patched[i], Evidence::content);
    left.orig.insert(left.orig.end(), same.orig.begin() + pairs, same.orig.end());
    left.patched.insert(left.patched.end(), same.patched.begin() + pairs, same.patched.end());
  }

  static size_t shared(const std::vector<std::string>& a, const std::vector<std::string>& b) {
    size_t count = 0;
    for (auto i = a.begin(), j = b.begin(); i != a.end() && j != b.end();) {
      if (*i == *j)
        ++count, ++i, ++j;
      else if (*i < *j)
        ++i;
      else
        ++j;
    }
    return count;
  }

  bool fits(SymbolId o, SymbolId p, bool data) const {
    const Symbol& a = orig_.symbol(o);
    const Symbol& b = patched_.symbol(p);
    return !data || (a.type == b.type && a.size == b.size);
  }

  // Pairs whose users point at each other and at no one else.
  void pair_by_users(Group& group, bool data) {
    auto best = [&](SymbolId p) -> std::optional<size_t> {
      size_t most = 0, at = 0, ties = 0;
      for (size_t o = 0; o < group.orig.size(); ++o) {
        if (!fits(group.orig[o], p, data)) continue;
        const size_t n = shared(orig_users_[index(group.orig[o])], patched_users_[index(p)]);
        if (n > most)
          most = n, at = o, ties = 0;
        else if (n == most)
          ++ties;
      }
      if (most == 0 || ties != 0) return std::nullopt;
      return at;
    };
    for (bool again = true; again;) {
      again = false;
      for (size_t p = 0; p < group.patched.size() && !again; ++p) {
        const auto o = best(group.patched[p]);
        if (!o) continue;
        // nobody else may claim the same one
        bool rival = false;
        for (size_t q = 0; q < group.patched.size(); ++q)
          if (q != p)
            if (const auto other = best(group.patched[q]); other && *other == *o) rival = true;
        if (rival) continue;
        take(group, *o, p, Evidence::users);
        again = true;
      }
    }
  }

  // Whether two functions are instruction by instruction the same, but for numbers that are loaded, the text of
  // strings, and the numbers in names.
  bool same_stream(SymbolId o, SymbolId p) const {
    const Symbol &a = orig_.symbol(o), &b = patched_.symbol(p);
    const Object::Extent from = orig_.extent(o), to = patched_.extent(p);
    const auto code = orig_.section(a.section).contents, other = patched_.section(b.section).contents;
    if (from.end - from.begin != to.end - to.begin || from.end > code.size() || to.end > other.size()) return false;
    const auto x = orig_.relocations(a.section, from.begin, from.end);
    const auto y = patched_.relocations(b.section, to.begin, to.end);
    if (x.size() != y.size()) return false;
    for (size_t i = 0; i < x.size(); ++i) {
      if (x[i].offset - from.begin != y[i].offset - to.begin || x[i].type != y[i].type) return false;
      const Target left = orig_.meaning(x[i]), right = patched_.meaning(y[i]);
      if (left.is_string != right.is_string || (left.symbol == no_symbol) != (right.symbol == no_symbol)) return false;
      if (left.is_string || left.symbol == no_symbol) continue;
      if (left.offset != right.offset ||
          symbol_stem(orig_.symbol(left.symbol).name) != symbol_stem(patched_.symbol(right.symbol).name))
        return false;
    }
    return orig_.arch().code.numbers_only(code.subspan(from.begin, from.end - from.begin),
                                          other.subspan(to.begin, to.end - to.begin),
                                          [](const NumberChange&) { return true; });
  }

  // Functions of one name in each object, and what each static local of the patched one stands for in the original.
  void find_places() {
    std::unordered_map<std::string_view, SymbolId> functions;
    for (uint32_t i = 1; i < orig_.symbols().size(); ++i) {
      const Symbol& s = orig_.symbols()[i];
      if (!s.function() || s.section == no_section) continue;
      if (auto [it, fresh] = functions.try_emplace(s.name, SymbolId{i}); !fresh) it->second = no_symbol;
    }
    for (uint32_t i = 1; i < patched_.symbols().size(); ++i) {
      const Symbol& s = patched_.symbols()[i];
      if (!s.function() || s.section == no_section) continue;
      const auto twin = functions.find(s.name);
      if (twin == functions.end() || twin->second == no_symbol || !same_stream(twin->second, SymbolId{i})) continue;
      const Object::Extent from = orig_.extent(twin->second), to = patched_.extent(SymbolId{i});
      const auto x = orig_.relocations(orig_.symbol(twin->second).section, from.begin, from.end);
      const auto y = patched_.relocations(s.section, to.begin, to.end);
      for (size_t k = 0; k < x.size(); ++k) {
        const Target left = orig_.meaning(x[k]), right = patched_.meaning(y[k]);
        if (left.symbol == no_symbol || right.symbol == no_symbol) continue;
        places_[right.symbol].insert(left.symbol);
        claims_[left.symbol].insert(right.symbol);
      }
    }
  }

  // Several static locals of one name in one function (a macro that was used several times): where nothing but what a
  // patch may change in passing differs in that function, the instruction that refers to one says which it is.
  void pair_by_place(Group& group) {
    if (!std::exchange(places_known_, true)) find_places();
    for (size_t p = 0; p < group.patched.size();) {
      const auto place = places_.find(group.patched[p]);
      auto o = group.orig.end();
      if (place != places_.end() && place->second.size() == 1 && claims_[*place->second.begin()].size() == 1)
        o = std::find(group.orig.begin(), group.orig.end(), *place->second.begin());
      if (o == group.orig.end() || !fits(*o, group.patched[p], true))
        ++p;
      else
        take(group, static_cast<size_t>(o - group.orig.begin()), p, Evidence::place);
    }
  }

  // The function in which a static local was written (DWARF), of which the group may have one: users don't tell those
  // apart that one function got by inlining another.
  void pair_by_declaration(Group& group) {
    if (!orig_declared_) {
      orig_declared_ = SourceLines(orig_).static_locals();
      patched_declared_ = SourceLines(patched_).static_locals();
    }
    std::map<std::string, Group> functions;
    auto collect = [&](const Object& object, const StaticLocals& declared, std::vector<SymbolId> Group::*side) {
      for (SymbolId id : group.*side) {
        const Symbol& s = object.symbol(id);
        if (const auto found = declared.find({s.section, s.value}); found != declared.end())
          (functions[found->second].*side).push_back(id);
      }
    };
    collect(orig_, *orig_declared_, &Group::orig);
    collect(patched_, *patched_declared_, &Group::patched);
    for (const auto& [function, same] : functions) {
      if (!alone(same) || !fits(same.orig.front(), same.patched.front(), true)) continue;
      const auto o = std::find(group.orig.begin(), group.orig.end(), same.orig.front()) - group.orig.begin();
      const auto p =
          std::find(group.patched.begin(), group.patched.end(), same.patched.front()) - group.patched.begin();
      take(group, static_cast<size_t>(o), static_cast<size_t>(p), Evidence::declaration);
    }
  }

  // A static local's number says nothing; its users do. The last one of a stem follows when its users cannot speak:
  // they are new, or vanished by inlining.
  void pair_static_locals(Group& group) {
    const Symbol& s = patched_.symbol(group.patched.front());
    if (s.section != no_section && patched_.section(s.section).kind == SectionKind::rodata) pair_constants(group);
    if (!alone(group)) pair_by_place(group);
    if (!alone(group)) pair_by_declaration(group);
    pair_by_users(group, true);
    if (alone(group)) {
      const SymbolId o = group.orig.front(), p = group.patched.front();
      if (fits(o, p, true) && !speaks_against(o, p)) return join(o, p, Evidence::last);
    }
    for (SymbolId id : group.patched)
      if (!group.orig.empty()) result_.ambiguous[index(id)] = true;
  }

  // Users on both sides exist in both objects, and are different ones.
  bool speaks_against(SymbolId o, SymbolId p) {
    if (orig_names_.empty()) {
      for (const Symbol& s : orig_.symbols()) orig_names_.push_back(outermost_name(s.name));
      for (const Symbol& s : patched_.symbols()) patched_names_.push_back(outermost_name(s.name));
      std::sort(orig_names_.begin(), orig_names_.end());
      std::sort(patched_names_.begin(), patched_names_.end());
    }
    auto known = [](const std::vector<std::string>& users, const std::vector<std::string>& names) {
      return std::any_of(users.begin(), users.end(),
                         [&](const std::string& user) { return std::binary_search(names.begin(), names.end(), user); });
    };
    return known(orig_users_[index(o)], patched_names_) && known(patched_users_[index(p)], orig_names_);
  }

  // A digest of a function's code and of what it refers to, by stems and contents, not by numbers.
  static uint64_t shape(const Object& object, SymbolId id) {
    const Symbol& s = object.symbol(id);
    if (s.section == no_section) return 0;
    Fingerprint shape;
    shape.add_bytes(object, s.section, object.extent(id), [&](const Relocation& r) {
      const Target target = object.meaning(r);
      if (target.is_string) {
        shape.add_text(target.string);
      } else if (target.symbol != no_symbol) {
        shape.add_text(symbol_stem(object.symbol(target.symbol).name));
        shape.add(static_cast<uint64_t>(target.offset));
      } else if (target.section != no_section && object.section(target.section).kind == SectionKind::constants) {
        shape.add_text(object.section(target.section).name);
      }
    });
    return shape.value();
  }

  const Object& orig_;
  const Object& patched_;
  Correlation result_;
  std::map<std::string, Group> groups_;
  std::vector<std::vector<std::string>> orig_users_, patched_users_;
  std::vector<std::string> orig_names_, patched_names_;
  std::vector<SymbolId> orig_parents_, patched_parents_;
  bool places_known_ = false;
  std::map<SymbolId, std::set<SymbolId>> places_, claims_;        // see find_places(); by patched and by original id
  std::optional<StaticLocals> orig_declared_, patched_declared_;  // see SourceLines::static_locals()
};

}  // namespace

std::string_view text_of(Evidence evidence) {
  switch (evidence) {
    case Evidence::none:
      return "none";
    case Evidence::name:
      return "name";
    case Evidence::whole_name:
      return "whole name";
    case Evidence::parent:
      return "parent";
    case Evidence::content:
      return "content";
    case Evidence::place:
      return "place";
    case Evidence::declaration:
      return "declaration";
    case Evidence::users:
      return "users";
    case Evidence::last:
      return "last one left";
    case Evidence::linkage:
      return "name, though not its linkage";
  }
  return {};
}

std::vector<std::vector<std::string>> find_users(const Object& object, bool globals) {
  std::vector<std::vector<std::string>> users(object.symbols().size());
  for (uint32_t i = 1; i < object.sections().size(); ++i) {
    const Section& section = object.sections()[i];
    const SectionKind kind = section.kind;
    if (kind == SectionKind::table || kind == SectionKind::objtool_notes || kind == SectionKind::debug ||
        kind == SectionKind::rebuilt || kind == SectionKind::ignored || kind == SectionKind::toc)
      continue;
    for (const Relocation& r : section.relocations) {
      const Target target = object.meaning(r);
      if (target.symbol == no_symbol) continue;
      const Symbol& used = object.symbol(target.symbol);
      if ((used.global() && !globals) || used.section == no_section) continue;
      SymbolId user = object.symbol_at(SectionId{i}, r.offset);
      if (user == no_symbol) user = section.owner;
      if (user == no_symbol || user == target.symbol) continue;
      users[index(target.symbol)].push_back(outermost_name(object.symbol(user).name));
    }
  }
  for (std::vector<std::string>& list : users) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
  }
  return users;
}

std::vector<SymbolId> find_parents(const Object& object) {
  std::unordered_map<std::string_view, std::vector<SymbolId>> functions;
  for (uint32_t i = 1; i < object.symbols().size(); ++i) {
    const Symbol& s = object.symbols()[i];
    if (s.function() && s.section != no_section) functions[s.name].push_back(SymbolId{i});
  }
  std::vector<SymbolId> parents(object.symbols().size(), no_symbol);
  for (uint32_t i = 1; i < object.symbols().size(); ++i) {
    const Symbol& s = object.symbols()[i];
    if (!s.function() || s.section == no_section) continue;
    const auto name = part_parent(s.name);
    if (!name) continue;
    const auto found = functions.find(*name);
    if (found == functions.end()) continue;
    for (SymbolId id : found->second)
      if (found->second.size() == 1 || object.symbol(id).file == s.file) parents[i] = id;
  }
  return parents;
}

Correlation correlate(const Object& orig, const Object& patched) { return Correlator(orig, patched).run(); }

}  // namespace kpatch
