// A livepatch replaces functions, not what they work on. Objects that exist were made by the kernel's own code, and go on
// being used by functions that aren't patched:
//
//   struct pipe_inode_info {                      the livepatch's functions read `head` 8 bytes further on than
//     struct mutex mutex;                         everybody else, who made the pipes that are open
//     wait_queue_head_t rd_wait, wr_wait;
//   + unsigned int limit, level;
//     unsigned int head;
//
// Code shows that only as other numbers in instructions, so the types of both objects are compared, as the compiler
// described them in DWARF. The same holds for what a module passes to an exported function.
//
// New members in a hole, other names, and new values of an enum leave what exists where it is; of the first two the author
// is told, since what lies there may mean something else now.
//
// A struct that lives on the stacks of patched functions alone is no danger, but that can't be shown: its address may go
// through a `void *` (smp_call_function(), a work item), into a task's field, or come back from a cast, and none of these
// leaves a trace in DWARF. So it is told who is known to use the type, and the author decides (--ack).

#include "create-diff-object/data-layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>

#include "create-diff-object/names.h"
#include "support/text.h"

namespace kpatch {
namespace {

std::string in_bytes(uint64_t bits) {
  return bits % 8 == 0 ? fmt::format("{}", bits / 8) : fmt::format("{}, bit {}", bits / 8, bits % 8);
}

std::set<std::string_view> exports_of(const Object& object) {
  std::set<std::string_view> names;
  for (const Symbol& s : object.symbols())
    for (std::string_view prefix : {std::string_view{"__ksymtab_"}, std::string_view{"__export_symbol_"}})
      if (s.section != no_section && s.name.starts_with(prefix)) names.insert(s.name.substr(prefix.size()));
  return names;
}

constexpr size_t shown = 3;  // of the members that change

bool same_shape(std::string_view one, std::string_view other) {
  constexpr std::string_view pointer = "pointer to ", untyped = "pointer to void";
  if (!one.starts_with(pointer) || !other.starts_with(pointer)) return one == other;
  return one == other || one == untyped || other == untyped;
}

// The same bytes mean the same: what was void * may be called by its type, a number be held by a struct.
bool same_meaning(const TypeMember& one, const TypeMember& other) {
  return one.size == other.size && (same_shape(one.shape, other.shape) || same_shape(one.bare, other.bare));
}

std::string_view last_part(std::string_view name) { return name.substr(name.rfind('.') + 1); }

bool overlap(const TypeMember& one, const TypeMember& other) {
  return one.bits < other.bits + other.size && other.bits < one.bits + one.size;
}

// New members of a struct that was there.
struct NewMembers {
  std::vector<std::string> gained;     // "n at 104", where no member was that is gone
  std::vector<std::string> replacing;  // "p lies where a was": not the same under another name
  std::vector<std::string> renamed;    // "n was m": the same bytes under another name
};

NewMembers new_members(const TypeLayout& before, const TypeLayout& after) {
  std::vector<std::pair<std::string_view, const TypeMember*>> fresh, gone;
  for (const auto& [name, member] : after.members)
    if (!before.members.contains(name)) fresh.emplace_back(name, &member);
  for (const auto& [name, member] : before.members)
    if (!after.members.contains(name)) gone.emplace_back(name, &member);
  std::ranges::stable_sort(fresh, {}, [](const auto& entry) { return entry.second->bits; });
  NewMembers result;
  std::string_view holder;   // the last one gained: what lies in it came with it
  std::string_view renamer;  // the same of the last one renamed
  const auto lies_in = [](std::string_view name, std::string_view outer) {
    return !outer.empty() && name.starts_with(outer) && name[outer.size()] == '.';
  };
  for (const auto& [name, member] : fresh) {
    std::string_view was, called;
    for (const auto& [old_name, old] : gone) {
      const bool same = old->bits == member->bits && same_meaning(*old, *member);
      if (same && (called.empty() || last_part(old_name) == last_part(name))) called = old_name;
      if (was.empty() && overlap(*old, *member)) was = old_name;
    }
    if (!called.empty()) {
      // In or out of a struct within, a member is called as before.
      if (last_part(called) == last_part(name) || lies_in(name, renamer)) continue;
      result.renamed.push_back(fmt::format("{} was {}", name, called));
      renamer = name;
      continue;
    }
    if (!was.empty()) {
      result.replacing.push_back(fmt::format("{} lies where {} was", name, was));
    } else if (!lies_in(name, holder)) {
      result.gained.push_back(fmt::format("{} at {}", name, in_bytes(member->bits)));
      holder = name;
    }
  }
  return result;
}

std::vector<std::string> member_changes(const TypeLayout& before, const TypeLayout& after) {
  std::vector<std::string> changes;
  for (const auto& [name, member] : before.members) {
    const auto found = after.members.find(name);
    if (found == after.members.end()) continue;
    const TypeMember& other = found->second;
    if (member.bits != other.bits)
      changes.push_back(fmt::format("{} moves from {} to {}", name, in_bytes(member.bits), in_bytes(other.bits)));
    else if (member.size != other.size)
      changes.push_back(fmt::format("{} has {} bits instead of {}", name, other.size, member.size));
    else if (!same_meaning(member, other))
      changes.push_back(fmt::format("{} is a {} instead of a {}", name, other.shape, member.shape));
  }
  return changes;
}

// What comes first, and how many there are beside it.
std::vector<std::string> first_of(std::vector<std::string> changes) {
  if (changes.size() <= shown) return changes;
  const size_t more = changes.size() - shown;
  changes.resize(shown);
  changes.push_back(fmt::format("{} more members change", more));
  return changes;
}

const TypeLayout* find(const Types& types, const std::string& name) {
  const auto it = types.layouts.find(name);
  return it == types.layouts.end() ? nullptr : &it->second;
}

// What the object tells of who else knows the type.
std::vector<NameList> users_of(const Types& types, const std::string& name) {
  std::vector<NameList> users;
  const auto add = [&](const char* what, std::vector<std::string> names) {
    if (!names.empty()) users.push_back({what, std::move(names)});
  };
  const auto list = [&](const std::map<std::string, std::set<std::string>>& of) {
    const auto it = of.find(name);
    return it == of.end() ? std::vector<std::string>() : std::vector<std::string>(it->second.begin(), it->second.end());
  };
  std::vector<std::string> holders, pointers;
  for (const auto& [other, type] : types.layouts) {
    if (type.embeds.contains(name)) holders.push_back(other);
    if (type.points_to.contains(name)) pointers.push_back(other);
  }
  add("held by", std::move(holders));
  add("pointed to by", std::move(pointers));
  add("in variable", list(types.variables));
  add("passed to or from", list(types.functions));
  return users;
}

// What a key of genksyms' list is called in C, and in Types: "s#mutex" -> "struct mutex".
std::string name_of_cause(std::string_view cause) {
  const std::string rest(cause.size() > 2 && cause[1] == '#' ? cause.substr(2) : cause);
  if (cause.starts_with("s#")) return "struct " + rest;
  if (cause.starts_with("u#")) return "union " + rest;
  if (cause.starts_with("e#")) return "enum " + rest;
  return rest;
}

// Refuses by the versions that the kernel itself compares. A version changes for every word of a declaration; what types
// that lie as before change for is left to a warning: such a module knows nothing of a new member, and leaves in it
// whatever is there.
class ExportCheck {
 public:
  ExportCheck(const Types& before, const Types& after, bool layout_acknowledged, bool patches_code,
              Diagnostics& diagnostics)
      : before_(before),
        after_(after),
        layout_acknowledged_(layout_acknowledged),
        patches_code_(patches_code),
        diagnostics_(diagnostics) {}

  // done: exports that were refused already.
  void run(const std::vector<ExportChange>& changes, const std::set<std::string_view>& done) {
    // What one type changes for all of its users is said once.
    std::map<std::vector<std::string>, std::vector<const ExportChange*>> by_causes;
    for (const ExportChange& change : changes)
      if (!done.contains(change.name)) by_causes[change.causes].push_back(&change);
    for (const auto& [causes, exports] : by_causes) add(causes, exports);
  }

 private:
  enum class Harm { none, layout, declaration };

  Harm harm_of(const std::vector<std::string>& causes) const {
    Harm harm = Harm::none;
    for (const std::string& cause : causes) {
      const TypeLayout* one = find(before_, name_of_cause(cause));
      const TypeLayout* other = find(after_, name_of_cause(cause));
      if (one == nullptr || other == nullptr) return Harm::declaration;
      if (layout_change(*one, *other)) harm = Harm::layout;
    }
    return harm;
  }

  std::string words_for(const std::vector<std::string>& causes, const ExportChange& change) const {
    std::vector<std::string> words;
    for (const std::string& cause : causes) {
      const std::string name = name_of_cause(cause);
      const TypeLayout *one = find(before_, name), *other = find(after_, name);
      const auto how = one != nullptr && other != nullptr ? layout_change(*one, *other) : std::nullopt;
      words.push_back(cause == change.name ? "its own declaration" : how ? fmt::format("{} ({})", name, *how) : name);
    }
    return some_of(words);
  }

  void add(const std::vector<std::string>& causes, const std::vector<const ExportChange*>& exports) {
    const Harm harm = harm_of(causes);
    // Types of an object that keeps all its code: those whose code changes tell.
    if (harm != Harm::declaration && !patches_code_) return;
    const ExportChange& first = *exports.front();
    std::vector<std::string> others;
    for (size_t i = 1; i < exports.size(); ++i) others.push_back(exports[i]->name);
    const bool refused = harm == Harm::declaration || (harm == Harm::layout && !layout_acknowledged_);
    diagnostics_.add(
        {"export",
         refused ? Severity::refusal : Severity::warning,
         {.function = first.name},
         fmt::format("is exported, and its version changes from {:#010x} to {:#010x}, by {}{}. Modules that exist were "
                     "compiled with the old one{}",
                     first.before, first.after, words_for(causes, first),
                     others.empty() ? "" : fmt::format("; so do those of {}", some_of(others)),
                     harm == Harm::none ? ", which lies as it did: what they make has nothing of a new member" : ""),
         refused ? "keep the declaration and the types that it leads to; what is new goes into a shadow variable "
                   "(klp_shadow_alloc), or a function of its own"
                 : ""});
  }

  const Types& before_;
  const Types& after_;
  bool layout_acknowledged_, patches_code_;
  Diagnostics& diagnostics_;
};

// The exports that were refused.
std::set<std::string_view> check_prototypes(const Types& before, const Types& after,
                                            const std::set<std::string_view>& exports,
                                            const std::vector<ExportChange>& changes, Diagnostics& diagnostics) {
  std::set<std::string_view> refused;
  for (const auto& [name, prototype] : before.prototypes) {
    const auto other = after.prototypes.find(name);
    if (!exports.contains(name) || other == after.prototypes.end() || other->second == prototype) continue;
    const auto change = std::ranges::find(changes, name, &ExportChange::name);
    diagnostics.refuse(
        "export", {.function = name},
        fmt::format("is exported, and its prototype changes: {} instead of {}{}. Modules that exist were compiled with "
                    "the old one",
                    other->second, prototype,
                    change == changes.end()
                        ? ""
                        : fmt::format("; its version from {:#010x} to {:#010x}", change->before, change->after)),
        "add a function, and leave this one as it is");
    refused.insert(name);
  }
  return refused;
}

}  // namespace

std::optional<std::string> layout_change(const TypeLayout& before, const TypeLayout& after) {
  std::vector<std::string> changes;
  if (before.size != after.size)
    changes.push_back(
        fmt::format("{} from {} to {} bytes", before.size < after.size ? "grows" : "shrinks", before.size, after.size));
  if (before.alignment < after.alignment)
    changes.push_back(fmt::format("begins at a multiple of {} bytes", after.alignment));
  NewMembers fresh = new_members(before, after);
  std::vector<std::string> members = member_changes(before, after);
  members.insert(members.begin(), fresh.replacing.begin(), fresh.replacing.end());
  std::ranges::move(first_of(std::move(members)), std::back_inserter(changes));
  for (const auto& [name, value] : before.values) {
    const auto other = after.values.find(name);
    if (other != after.values.end() && other->second != value)
      changes.push_back(fmt::format("{} is {} instead of {}", name, other->second, value));
  }
  if (changes.empty()) return std::nullopt;
  if (!fresh.gained.empty())
    changes.insert(changes.begin(), "gains " + joined(first_of(std::move(fresh.gained)), ", "));
  return joined(changes, "; ");
}

namespace {

// What the struct's users are told, and what the author may do.
constexpr const char* keep_layout =
    "leave the layout as it is, and keep what is new in a shadow variable (klp_shadow_alloc); where only the patched "
    "functions ever see it (on their stacks), --ack data-layout";

size_t names_in_common(const TypeLayout& one, const TypeLayout& other) {
  const auto count = [](const auto& mine, const auto& theirs) {
    return static_cast<size_t>(
        std::ranges::count_if(mine, [&](const auto& entry) { return theirs.contains(entry.first); }));
  };
  return count(one.members, other.members) + count(one.values, other.values);
}

bool same_file(const TypeLayout& one, const TypeLayout& other) {
  const auto base_name = [](std::string_view file) { return file.substr(file.rfind('/') + 1); };
  return base_name(one.place.file) == base_name(other.place.file);
}

// now: "is struct waiter now, and ", where the type has another name.
void check_type(const Types& types, const std::string& name, const TypeLayout& after, bool acknowledged,
                Diagnostics& diagnostics, const std::string& now = {}) {
  const TypeLayout& before = types.layouts.at(name);
  const Location place{.source = before.place.file, .line = before.place.line, .function = name};
  const auto change = layout_change(before, after);
  if (!change) {
    const NewMembers fresh = new_members(before, after);
    const auto warn = [&](std::string message, std::string advice) {
      diagnostics.add(
          {"data-layout", Severity::warning, place, now + message, std::move(advice), users_of(types, name)});
    };
    if (!fresh.gained.empty())
      warn(fmt::format(
               "gains {}, where there was room: in what exists lies whatever was left there, and code that isn't "
               "patched neither sets nor keeps it",
               some_of(fresh.gained)),
           "make sure that the patched functions set it before they read it, or use a shadow variable "
           "(klp_shadow_alloc)");
    if (!fresh.renamed.empty())
      warn(fmt::format("has a member under another name ({}): what exists holds it as the old one, and code that isn't "
                       "patched goes on writing it so",
                       some_of(fresh.renamed)),
           "make sure that the name alone is new: where its unit or its meaning is, too (jiffies, then nanoseconds), "
           "keep "
           "the old member, and what is new in a shadow variable (klp_shadow_alloc)");
    return;
  }
  std::vector<NameList> users = users_of(types, name);
  const bool unseen = users.empty() && before.own_file;
  diagnostics.add({"data-layout", acknowledged ? Severity::warning : Severity::refusal, place,
                   fmt::format("{}changes its layout: {}. {}", now, *change,
                               unseen ? "It is defined in this file alone, and nothing but its functions' parameters "
                                        "and locals show it; what exists was made with the old one"
                                      : "What exists was made with the old one, for code that may not be patched"),
                   keep_layout, std::move(users)});
}

// A struct of the same file that is gone under its old name, and goes on under another one. What hangs on lists, or lies
// on the stacks of sleeping tasks, was made as the old one all the same.
void check_renamed_types(const Types& before, const Types& after, bool acknowledged, Diagnostics& diagnostics) {
  for (const auto& [name, layout] : before.layouts) {
    if (after.layouts.contains(name) || layout.place.file.empty()) continue;
    const TypeLayout* best = nullptr;
    std::string_view best_name;
    size_t most = 0;
    for (const auto& [other_name, other] : after.layouts) {
      if (other.keyword != layout.keyword || before.layouts.contains(other_name) || !same_file(layout, other)) continue;
      const size_t common = names_in_common(layout, other);
      if (common > most) best = &other, best_name = other_name, most = common;
    }
    if (best == nullptr || most * 2 < layout.members.size() + layout.values.size()) continue;
    if (layout_change(layout, *best) || !new_members(layout, *best).gained.empty())
      check_type(before, name, *best, acknowledged, diagnostics, fmt::format("is {} now, and ", best_name));
  }
}

// Whether the struct that one shape names lies as that of the other one: a new name alone.
bool renamed_type(const Types& before, const Types& after, const TypeMember& one, const TypeMember& other) {
  const TypeLayout *old_type = find(before, one.shape), *new_type = find(after, other.shape);
  return old_type != nullptr && new_type != nullptr && !layout_change(*old_type, *new_type) &&
         new_members(*old_type, *new_type).gained.empty();
}

// The kernel's BTF stays as it was built. By it BPF programs call kernel functions, and the verifier checks what they pass;
// endings of parameters' names are a part of that (Documentation/bpf/kfuncs.rst):
//
//   __bpf_kfunc int bpf_dynptr_adjust(const struct bpf_dynptr *p__nullable, …)
void check_btf(const Object& orig, const Types& before, const Types& after, Diagnostics& diagnostics) {
  constexpr std::string_view listed = "__BTF_ID__func__";
  std::set<std::string, std::less<>> functions;
  for (const Symbol& s : orig.symbols())
    if (s.name.starts_with(listed)) {
      std::string_view name = s.name.substr(listed.size());
      if (const size_t number = name.rfind("__"); number != std::string_view::npos) name = name.substr(0, number);
      functions.emplace(name);
    }
  for (const auto& [name, prototype] : before.prototypes) {
    const auto other = after.prototypes.find(name);
    // Attach points of iterators (DEFINE_BPF_ITER_FUNC) are in no list.
    if (!functions.contains(name) && !name.starts_with("bpf_iter_")) continue;
    if (other == after.prototypes.end() || other->second == prototype) continue;
    diagnostics.refuse(
        "btf", {.function = name},
        fmt::format("is known to BPF programs, and its prototype changes: {} instead of {}. The kernel's "
                    "BTF, by which they are checked and call it, stays as it is",
                    other->second, prototype),
        "leave the prototype as it is");
  }
  const auto has_ending = [](const std::string& parameter) { return parameter.find("__", 1) != std::string::npos; };
  for (const auto& [name, parameters] : before.parameters) {
    const auto other = after.parameters.find(name);
    if (other == after.parameters.end() || other->second.size() != parameters.size()) continue;
    for (size_t i = 0; i < parameters.size(); ++i) {
      const std::string &was = parameters[i], &is = other->second[i];
      if (was == is || (!has_ending(was) && !has_ending(is))) continue;
      diagnostics.refuse(
          "btf", {.function = name},
          fmt::format("its parameter is {} instead of {}: the verifier of BPF goes by the ending of that "
                      "name, and reads it in the kernel's BTF, which stays as it is",
                      is, was),
          "leave the parameter's name as it is, and check in the function itself");
    }
  }
}

// Variables of the kernel whose bytes get another meaning under the old name:
//
//   static unsigned long cookie;      →      static struct job *cookie;
//
// Those that the module brings along have what their new declaration says.
void check_variables(const Pair& pair, const Selection& selection, const Types& before, const Types& after,
                     bool acknowledged, Diagnostics& diagnostics) {
  std::set<std::string> brought;
  for (const Chunk& chunk : selection.chunks)
    if (chunk.symbol != no_symbol) brought.insert(source_name(pair.patched.symbol(chunk.symbol).name));
  for (const auto& [key, variable] : before.variable_shapes) {
    const auto found = after.variable_shapes.find(key);
    if (found == after.variable_shapes.end() || same_meaning(variable, found->second)) continue;
    const TypeMember& other = found->second;
    if (renamed_type(before, after, variable, other)) continue;
    const size_t colon = key.find(": ");
    const std::string name = colon == std::string::npos ? key : key.substr(colon + 2);
    if (brought.contains(name)) continue;
    diagnostics.add(
        {"data-layout",
         acknowledged ? Severity::warning : Severity::refusal,
         {.function = name},
         fmt::format(
             "is a {}{}, and lives in the kernel, where what it holds was written as the old one", other.shape,
             other.shape == variable.shape ? " of another layout" : fmt::format(" instead of a {}", variable.shape)),
         "give the new variable a name of its own, and take over what the old one holds in a callback "
         "(pre_patch)"});
  }
}

// Who has the address of a function that the kernel's own object hands out: functions by name, and data by section. Tables
// of the kernel tell of code, and call nothing.
std::set<std::string> who_has_address(const Object& object, SymbolId function) {
  std::set<std::string> names;
  const CodeFacts& code = object.arch().code;
  for (uint32_t i = 1; i < object.sections().size(); ++i) {
    const Section& home = object.sections()[i];
    const bool text = home.kind == SectionKind::text || home.kind == SectionKind::shared_text;
    if (!text && home.kind != SectionKind::data && home.kind != SectionKind::rodata) continue;
    for (const Relocation& r : home.relocations) {
      const Target target = object.meaning(r);
      if (target.symbol != function || target.offset != 0) continue;
      const SymbolId holder = object.symbol_at(SectionId{i}, r.offset);
      if (text) {
        if (code.use_of(home.code(), r) != Use::address) continue;
        if (code.takes_address != nullptr &&
            !code.takes_address(home.code(), holder == no_symbol ? 0 : object.symbol(holder).value, r))
          continue;
      }
      names.insert(std::string{holder == no_symbol ? home.name : object.symbol(holder).name});
    }
  }
  return names;
}

// A function that was handed out as a pointer is called through it as it was declared then: what is under way (a timer, a
// work item, a head for RCU) when the livepatch comes, or goes, meets the other one.
//
//   static void free_ioctx(struct work_struct *work)      →      static void free_ioctx(struct rcu_head *rcu)
void check_pointers(const Pair& pair, const Selection& selection, const Types& before, const Types& after,
                    bool acknowledged, Diagnostics& diagnostics) {
  for (const SymbolId id : selection.functions) {
    const SymbolId twin = pair.twins.orig(id);
    const std::string name{pair.patched.symbol(id).name};
    if (twin == no_symbol || pair.orig.symbol(twin).name != name) continue;
    const auto prototype_in = [&](const Types& types) {
      const auto own = types.own_prototypes.find(name);
      if (own != types.own_prototypes.end()) return own->second;
      const auto global = types.prototypes.find(name);
      return global == types.prototypes.end() ? std::string() : global->second;
    };
    const std::string was = prototype_in(before), is = prototype_in(after);
    if (was.empty() || is.empty() || was == is) continue;
    const std::set<std::string> holders = who_has_address(pair.orig, twin);
    if (holders.empty()) continue;
    diagnostics.add(
        {"data-layout",
         acknowledged ? Severity::warning : Severity::refusal,
         {.function = name},
         fmt::format("was handed out by {} as {}, and is {} now: what still calls it through a pointer, when "
                     "the livepatch comes or goes, calls it as the other one",
                     some_of({holders.begin(), holders.end()}), was, is),
         "give the new function a name of its own, and leave the old one as it is"});
  }
}

}  // namespace

std::vector<std::string> check_data_layout(const Pair& pair, const Selection& selection,
                                           const std::vector<ExportChange>& export_changes,
                                           const std::set<std::string>& acknowledged, Diagnostics& diagnostics) {
  if (pair.orig.sections().size() <= 1) return {};  // the file is new: nothing was compiled with it
  const Types before = read_types(SourceLines(pair.orig)), after = read_types(SourceLines(pair.patched));
  check_btf(pair.orig, before, after, diagnostics);
  const bool patches_code = !selection.nothing_to_do();
  const bool layout_acknowledged = acknowledged.contains("data-layout");
  const std::set<std::string_view> refused =
      check_prototypes(before, after, exports_of(pair.patched), export_changes, diagnostics);
  ExportCheck(before, after, layout_acknowledged, patches_code, diagnostics).run(export_changes, refused);
  std::vector<std::string> changed;
  for (const auto& [name, prototype] : before.prototypes) {
    const auto other = after.prototypes.find(name);
    if (other != after.prototypes.end() && other->second != prototype && !refused.contains(name))
      changed.push_back(name);
  }
  if (!patches_code) return changed;
  check_renamed_types(before, after, layout_acknowledged, diagnostics);
  check_pointers(pair, selection, before, after, layout_acknowledged, diagnostics);
  check_variables(pair, selection, before, after, layout_acknowledged, diagnostics);
  for (const auto& [name, layout] : before.layouts)
    if (const TypeLayout* other = find(after, name)) check_type(before, name, *other, layout_acknowledged, diagnostics);
  return changed;
}

}  // namespace kpatch
