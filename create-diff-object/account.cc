// Selection begins with what changed and follows its references. What nothing refers to it never sees: the kernel finds
// such things by walking a section.
//
//   late_initcall(red_init);                       .initcall7.init    read once, at boot
//   module_param(limit, int, 0644);                __param            read when its module is loaded
//   DECLARE_PCI_FIXUP_FINAL(0x8086, …, quirk);     .pci_fixup_final   read from vmlinux's own range
//   BTF_ID_FLAGS(func, bpf_foo, KF_SLEEPABLE)      .BTF_ids           found by symbol, filled in when vmlinux is linked
//
// In a livepatch an entry of these has no reader, so that the change would be lost in silence. So both objects are read
// once more, section by section: entries that differ are refused, by a rule of their section, or listed as idle with the
// reason. A section that nobody has described is refused when it differs.
//
// Entries are compared by meaning: bytes, and what each reference stands for. Counters and lines in names
// (`__initcall__kmod_red__345_12_red_init7`) move with every patch and say nothing.
//
// Readers: include/asm-generic/vmlinux.lds.h names the ranges; init/main.c (initcalls, setup), kernel/params.c,
// drivers/pci/quirks.c, kernel/bpf/btf.c, kernel/kprobes.c, lib/error-inject.c; 5.10 to 7.2.

#include "create-diff-object/account.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "arch/arch.h"
#include "create-diff-object/fingerprint.h"
#include "create-diff-object/labels.h"
#include "create-diff-object/places.h"
#include "support/error.h"

namespace kpatch {
namespace {

// What is told of a section whose entries differ.
struct SectionRule {
  std::string_view text;  // the beginning of the section's name
  Fate fate = Fate::refused;
  std::string_view rule{};    // of the refusal
  std::string_view reason{};  // what reads it, and when; for refusals, what to do
};

constexpr auto section_rules = std::to_array<SectionRule>({
    {".initcall", Fate::refused, "initcall",
     "initcalls run once, when the kernel boots; call the function from a pre_patch callback instead"},
    {".con_initcall", Fate::refused, "initcall", "console initcalls run once, when the kernel boots"},
    {".init.setup", Fate::refused, "boot-parameter", "boot parameters are read once, when the kernel boots"},
    {"__param", Fate::refused, "module-param",
     "parameters are registered when their module is loaded, or at boot; leave it out, or use a callback to set the "
     "variable"},
    {".pci_fixup", Fate::refused, "pci-quirk",
     "the kernel walks the quirks of its own image alone; apply it to the devices from a callback"},
    {".BTF_ids", Fate::refused, "btf-ids", "BTF ids are filled in when the kernel is linked, and read there alone"},
    {"_kprobe_blacklist", Fate::refused, "probe-list",
     "the list of what must not be probed is the kernel's own; leave the change of the list out"},
    {"_error_injection_whitelist", Fate::refused, "probe-list",
     "the list for error injection is the kernel's own; leave the change of the list out"},
    {"__tracepoints", Fate::refused, "tracepoint", "a livepatch can't add, remove or change tracepoints"},
    {"_ftrace_eval_map", Fate::refused, "tracepoint", "a livepatch can't change what trace events print"},
    {"_ftrace_events", Fate::refused, "tracepoint", "a livepatch can't add, remove or change trace events"},
    {"__bpf_raw_tp_map", Fate::refused, "tracepoint", "a livepatch can't add, remove or change tracepoints"},
    {"__tracepoint_str", Fate::idle, {}, "names strings for trace output"},
    {"__syscalls_metadata", Fate::idle, {}, "names system calls for tracing"},
    {".static_call", Fate::refused, "static-call", "a livepatch can't add or remove static calls; test a variable"},
    {"___srcu_struct_ptrs", Fate::refused, "srcu",
     "the kernel sets up the SRCU structures of a module when it is loaded, and finds the module's own alone; call "
     "init_srcu_struct() in a pre_patch callback"},
    {".export_symbol", Fate::refused, "export", "how a symbol is exported can't change in a kernel that runs"},
    {"__ksymtab_strings", Fate::idle, {}, "names of exports"},
    {"__ksymtab", Fate::refused, "export", "how a symbol is exported can't change in a kernel that runs"},
    {"___ksymtab", Fate::refused, "export", "how a symbol is exported can't change in a kernel that runs"},
    {"__kcrctab", Fate::idle, {}, "checksums of exports, made when the kernel is linked"},
    {"___kcrctab", Fate::idle, {}, "checksums of exports, made when the kernel is linked"},
    {"___kentry", Fate::idle, {}, "keeps symbols alive when the kernel is linked"},
    {".no_trim_symbol", Fate::idle, {}, "keeps exports when the kernel is built"},
    {"__tracepoint_check", Fate::idle, {}, "tells the kernel's build which tracepoints are used"},
    {".modinfo", Fate::idle, {}, "is read when its module is loaded"},
    {"__modver", Fate::idle, {}, "shows a version under /sys"},
    {".exitcall", Fate::idle, {}, "is dropped when the kernel is linked"},
    {".exit.", Fate::idle, {}, "never runs in the kernel proper, and at a module's end in that module"},
    {".init.", Fate::idle, {}, "is gone when the kernel has booted"},
    {".meminit.", Fate::idle, {}, "is gone when the kernel has booted"},
    {".cpuinit.", Fate::idle, {}, "is gone when the kernel has booted"},
    {".kunit", Fate::idle, {}, "tests of the kernel run when it boots"},
    {"__kunit", Fate::idle, {}, "tests of the kernel run when it boots"},
    {".stubs", Fate::rebuilt, {}, "filled by the module loader"},
    {".ftrace.tramp", Fate::rebuilt, {}, "filled by the module loader"},
    {"__patchable_function_entries", Fate::rebuilt, {}, "padding of functions"},
});

// Tables of the kernel's own image that only boot code walks have no row each.
constexpr SectionRule boot_table = {
    "", Fate::refused, "boot-table",
    "the kernel reads it from its own image alone; a livepatch can't add to it, nor change it"};

constexpr SectionRule unknown_section = {
    "", Fate::refused, "unknown-section",
    "what reads this section isn't known, so that nobody can say whether it would be read in a livepatch"};

const SectionRule& rule_of(const Section& section) {
  for (const SectionRule& rule : section_rules)
    if (section.name.starts_with(rule.text)) return rule;
  return section.kind == SectionKind::unknown ? unknown_section : boot_table;
}

// Kinds whose contents only this ledger looks at.
bool walked(const Section& section) {
  if ((section.flags & SHF_ALLOC) == 0 && section.name != ".modinfo") return false;
  switch (section.kind) {
    case SectionKind::ignored:
    case SectionKind::never_copied:
    case SectionKind::unknown:
      return true;
    case SectionKind::init:  // objects there are compared; but not what is new, or gone
      return section.name.starts_with(".init.setup");
    default:
      return false;
  }
}

// The part of a section that one entry takes.
struct Item {
  std::string key;   // equal for the same entry of the other object
  std::string name;  // for a person
  uint64_t digest = 0;
};

class Items {
 public:
  explicit Items(const Object& object) : object_(object) {}

  // By the name that the section has without what follows a plus ("___ksymtab_gpl+name").
  std::map<std::string, std::vector<Item>> all() {
    std::map<std::string, std::vector<Item>> sections;
    for (uint32_t i = 1; i < object_.sections().size(); ++i) {
      const Section& section = object_.sections()[i];
      if (!walked(section)) continue;
      std::vector<Item>& items = sections[std::string{section.name.substr(0, section.name.find('+'))}];
      for (Item& item : split(SectionId{i})) items.push_back(std::move(item));
    }
    return sections;
  }

  const Section* example(std::string_view name) const {
    for (const Section& section : object_.sections())
      if (walked(section) && section.name.substr(0, section.name.find('+')) == name) return &section;
    return nullptr;
  }

 private:
  // At its symbols; what stands before the first one, or has none, at its references, since a table entry has one.
  std::vector<Item> split(SectionId id) {
    const Section& section = object_.section(id);
    std::vector<uint64_t> starts;
    for (SymbolId s : section.symbols)
      if (!is_local_label(object_.symbol(s).name)) starts.push_back(object_.symbol(s).value);
    if (starts.empty() && section.name != ".modinfo") starts = entry_starts(section);
    if (starts.empty() || starts.front() != 0) starts.insert(starts.begin(), 0);
    starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
    std::vector<Item> items;
    for (size_t i = 0; i < starts.size(); ++i) {
      const uint64_t begin = std::min(starts[i], section.size);
      const uint64_t end = i + 1 < starts.size() ? std::min(starts[i + 1], section.size) : section.size;
      if (begin < end) items.push_back(item(id, begin, end));
    }
    return items;
  }

  // Where entries of equal size begin, each with references at the same places; nothing where they don't.
  static std::vector<uint64_t> entry_starts(const Section& section) {
    std::vector<uint64_t> starts;
    const auto relocations = section.relocations;
    if (relocations.size() < 2) return starts;
    const uint64_t first = relocations.front().offset;
    for (size_t each = 1; each <= 4 && each < relocations.size(); ++each) {
      const uint64_t stride = relocations[each].offset - first;
      if (stride == 0 || section.size % stride != 0 || section.size / stride * each != relocations.size()) continue;
      bool regular = true;
      for (size_t i = each; i < relocations.size() && regular; ++i)
        regular = relocations[i].offset - relocations[i - each].offset == stride;
      if (!regular) continue;
      for (uint64_t at = 0; at < section.size; at += stride) starts.push_back(at);
      return starts;
    }
    return starts;
  }

  Item item(SectionId id, uint64_t begin, uint64_t end) {
    const Section& section = object_.section(id);
    Item item;
    std::string about;
    Fingerprint fingerprint;
    fingerprint.add(end - begin);
    fingerprint.add_bytes(object_, id, {begin, end}, [&](const Relocation& r) {
      const std::string target = meaning(r);
      fingerprint.add_text(target);
      if (about.empty()) about = target;
    });
    item.digest = fingerprint.value();
    SymbolId named = no_symbol;
    for (SymbolId s : section.symbols)
      if (object_.symbol(s).value == begin && named == no_symbol && !is_local_label(object_.symbol(s).name)) named = s;
    const std::string_view symbol = named == no_symbol ? std::string_view{} : object_.symbol(named).name;
    // Lines and counters stand in the middle of these; what they are about is the function.
    const bool numbered = symbol.starts_with("__initcall_") || symbol.starts_with("__UNIQUE_ID_");
    if (section.name == ".modinfo") {
      item.key = item.name = text_at(section, begin, end);
    } else if (symbol.empty() || numbered) {
      item.key = about;
      item.name = about.empty() ? fmt::format("{}+{:#x}", section.name, begin) : about;
    } else {
      item.key = symbol_stem(symbol);
      item.name = symbol;
    }
    return item;
  }

  static std::string text_at(const Section& section, uint64_t begin, uint64_t end) {
    std::string text;
    for (uint64_t at = begin; at < end && at < section.contents.size(); ++at) {
      const auto c = std::to_integer<char>(section.contents[at]);
      if (c == '\0') break;
      text += c;
    }
    return text;
  }

  std::string meaning(const Relocation& r) const {
    const Target target = object_.meaning(r);
    if (target.is_string) return std::string{target.string};
    if (target.symbol != no_symbol) {
      std::string name = symbol_stem(object_.symbol(target.symbol).name);
      return target.offset == 0 ? name : fmt::format("{}{:+}", name, target.offset);
    }
    if (target.section == no_section) return {};
    const Section& home = object_.section(target.section);
    if (target.offset >= 0 && (home.flags & SHF_STRINGS) != 0)
      return text_at(home, static_cast<uint64_t>(target.offset), home.size);
    // Where it lies in shared code or data moves with everything before it.
    return std::string{home.name};
  }

  const Object& object_;
};

class Accountant {
 public:
  Accountant(const Pair& pair, const Comparison& comparison, const Selection& selection,
             const std::set<std::string>& acknowledged, Diagnostics& diagnostics)
      : pair_(pair),
        comparison_(comparison),
        selection_(selection),
        acknowledged_(acknowledged),
        diagnostics_(diagnostics) {
    for (const Finding& finding : diagnostics.all())
      if (finding.severity == Severity::refusal) refused_.insert(name_of(finding.location));
    for (const Symbol& s : pair.patched.symbols())
      if (s.function() && refused_.contains(std::string{s.name})) refused_places_.insert({s.section, s.value});
    for (const auto& [id, why] : selection.left_out)
      left_places_.emplace(std::pair(pair.patched.symbol(id).section, pair.patched.symbol(id).value), why);
    std::sort(functions_.begin(), functions_.end());
  }

  std::vector<AccountEntry> run() {
    count_symbols();
    count_sections();
    check_entries_of_patched();
    for (AccountEntry& entry : account_labels(pair_, diagnostics_)) entries_.push_back(std::move(entry));
    std::sort(entries_.begin(), entries_.end());
    entries_.erase(std::unique(entries_.begin(), entries_.end()), entries_.end());
    return std::move(entries_);
  }

 private:
  static std::string kind_of(const Symbol& s) { return s.function() ? "function" : "variable"; }

  static bool is_sealed(const Object& object, const Symbol& s) {
    return s.section != no_section && memory_of(object.section(s.section).name) == "ro_after_init";
  }

  bool in_output(SymbolId id) const {
    const Symbol& s = pair_.patched.symbol(id);
    return s.section != no_section && selection_.chunk_at(s.section, s.value) != nullptr;
  }

  void count_symbols() {
    const Object &orig = pair_.orig, &patched = pair_.patched;
    for (uint32_t i = 1; i < patched.symbols().size(); ++i) {
      const SymbolId id{i};
      const Symbol& s = patched.symbol(id);
      const Status status = comparison_.of(id);
      const SymbolId twin = pair_.twins.orig(id);
      if (status == Status::absent) continue;
      const std::string name{twin == no_symbol ? s.name : orig.symbol(twin).name};
      AccountEntry entry{kind_of(s), name, status == Status::added ? "new" : "changed", Fate::output, {}};
      switch (status) {
        case Status::absent:
        case Status::same:
          if (twin == no_symbol) continue;
          entry.fate = Fate::idle;
          if (is_sealed(patched, s) && !is_sealed(orig, orig.symbol(twin))) {
            entry.reason = "gains __ro_after_init, and stays writable in the kernel that runs";
            break;
          }
          if (orig.symbol(twin).global() == s.global()) continue;
          entry.reason = s.global() ? "only its linkage changes: it is no longer static"
                                    : "only its linkage changes: it is static now";
          break;
        case Status::lines_only:
          entry.fate = Fate::idle;
          entry.reason = "line numbers alone change";
          break;
        case Status::added:
          if (in_output(id)) break;
          entry.fate = Fate::idle;
          entry.reason = "nothing that is patched uses it";
          break;
        case Status::changed:
          entry.reason = comparison_.reason(id);
          if (in_output(id)) break;
          if (selection_.ignored.contains(id)) {
            entry.fate = Fate::idle;
            entry.reason = "the patch says that it is to be ignored";
            break;
          }
          if (const auto left = left_places_.find({s.section, s.value}); left != left_places_.end()) {
            entry.fate = Fate::idle;
            entry.reason = left->second;
            break;
          }
          entry.fate = Fate::refused;
          if (refused_.contains(std::string{s.name}) || refused_.contains(name)) break;
          // init_module is another name of the function that module_init() was given.
          if (s.function() && refused_places_.contains({s.section, s.value})) break;
          if (is_once_or_debug(s)) {
            entry.fate = Fate::idle;
            entry.reason = "state of messages, of which a copy comes with its function";
            break;
          }
          // What nothing takes may be wanted by a function that is refused itself.
          if (diagnostics_.refused()) break;
          diagnostics_.refuse("unaccounted", {.function = std::string{name}},
                              fmt::format("changes ({}), and has no place in the module", comparison_.reason(id)));
          break;
      }
      entries_.push_back(std::move(entry));
    }
    for (uint32_t i = 1; i < orig.symbols().size(); ++i) {
      const Symbol& s = orig.symbols()[i];
      const bool code_or_data = s.type == SymbolType::function || s.type == SymbolType::object;
      if (!code_or_data || s.section == no_section || pair_.twins.patched(SymbolId{i}) != no_symbol ||
          is_local_label(s.name) || is_prefix_symbol(s.name) || is_special_static(s.name))
        continue;
      const Section& home = orig.section(s.section);
      if (walked(home) || is_once_or_debug(home)) continue;
      entries_.push_back({kind_of(s), std::string{s.name}, "gone",
                          refused_.contains(std::string{s.name}) ? Fate::refused : Fate::idle,
                          "the kernel's own stays where it is, for what isn't patched"});
    }
  }

  static bool is_once_or_debug(const Section& home) { return home.kind == SectionKind::dyndbg; }
  bool is_once_or_debug(const Symbol& s) const {
    return s.section != no_section && is_once_or_debug(pair_.patched.section(s.section));
  }

  void count_sections() {
    // A new file brings its whole tables along.
    Items before(pair_.orig), after(pair_.patched);
    std::map<std::string, std::vector<Item>> old_items = before.all(), new_items = after.all();
    std::set<std::string> names;
    for (const auto& [name, items] : old_items) names.insert(name);
    for (const auto& [name, items] : new_items) names.insert(name);
    for (const std::string& name : names) {
      const Section* section = after.example(name);
      if (section == nullptr) section = before.example(name);
      KPATCH_ASSERT(section != nullptr);
      compare_items(name, *section, old_items[name], new_items[name]);
    }
  }

  // Entries that did not change, of functions that are replaced: the replacement has none.
  void check_entries_of_patched() {
    const Object& patched = pair_.patched;
    for (const Section& section : patched.sections()) {
      const bool unknown = section.kind == SectionKind::unknown && (section.flags & SHF_ALLOC) != 0;
      if (!unknown && section.name != "_kprobe_blacklist") continue;
      for (const Relocation& r : section.relocations) {
        const SymbolId id = patched.meaning(r).symbol;
        if (id == no_symbol || !std::ranges::binary_search(functions_, id)) continue;
        if (unknown)
          diagnostics_.refuse("unknown-section", place_of(patched, id),
                              fmt::format("has an entry in section {}: {}", section.name, unknown_section.reason));
        else
          diagnostics_.warn("nokprobe", place_of(patched, id),
                            "must not be probed (NOKPROBE_SYMBOL), which holds for the kernel's own alone",
                            "set no kprobe in the livepatch's");
      }
    }
  }

  void compare_items(const std::string& section_name, const Section& section, const std::vector<Item>& before,
                     const std::vector<Item>& after) {
    struct Sides {
      std::vector<uint64_t> before, after;
      std::string name;
    };
    std::map<std::string, Sides> keys;
    for (const Item& item : before) keys[item.key].before.push_back(item.digest), keys[item.key].name = item.name;
    for (const Item& item : after) keys[item.key].after.push_back(item.digest), keys[item.key].name = item.name;
    const SectionRule& rule = rule_of(section);
    for (auto& [key, sides] : keys) {
      std::sort(sides.before.begin(), sides.before.end());
      std::sort(sides.after.begin(), sides.after.end());
      if (sides.before == sides.after) continue;
      const char* change = sides.before.size() < sides.after.size()   ? "new"
                           : sides.before.size() > sides.after.size() ? "gone"
                                                                      : "changed";
      AccountEntry entry{section_name, sides.name, change, rule.fate, std::string{rule.reason}};
      if (rule.fate == Fate::refused) refuse(section_name, rule, entry, sides.before.empty() || sides.after.empty());
      entries_.push_back(std::move(entry));
    }
  }

  void refuse(const std::string& section_name, const SectionRule& rule, AccountEntry& entry, bool one_sided) {
    // Events of system calls that the macros for authors bring along: the tables that list them are for tracing alone.
    if (section_name == "_ftrace_events" &&
        (entry.name.find("event_enter_") != std::string::npos || entry.name.find("event_exit_") != std::string::npos)) {
      entry.fate = Fate::idle;
      entry.reason = "system calls are traced by the kernel's own events";
      return;
    }
    // A new export is warned of; files of the patch find what it names without it.
    if (rule.rule == "export" && entry.change == "new" &&
        (entry.name.starts_with("__ksymtab_") || entry.name.starts_with("__export_symbol_"))) {
      entry.fate = Fate::idle;
      entry.reason = "a livepatch adds no exports";
      return;
    }
    // Exports that go are refused by the symbol's own name already; one that changes its kind leaves a section
    // for another (___ksymtab_gpl+f for ___ksymtab+f, before 6.4).
    if (rule.rule == "export" && one_sided)
      for (const std::string_view prefix : {"__ksymtab_", "__export_symbol_"})
        if (entry.name.starts_with(prefix) && refused_.contains(entry.name.substr(prefix.size()))) return;
    const std::string message = fmt::format("{} in section {}: {}",
                                            entry.change == "new"    ? "is a new entry"
                                            : entry.change == "gone" ? "is no longer an entry"
                                                                     : "is another entry",
                                            section_name, rule.reason);
    if (!acknowledged_.contains(std::string{rule.rule}))
      return diagnostics_.refuse(rule.rule, {.function = entry.name}, message);
    entry.fate = Fate::idle;
    entry.reason = "left out, as was acknowledged";
    diagnostics_.warn(rule.rule, {.function = entry.name}, message + "; it is left out");
  }

  const Pair& pair_;
  const Comparison& comparison_;
  const Selection& selection_;
  const std::set<std::string>& acknowledged_;
  Diagnostics& diagnostics_;
  std::set<std::string> refused_;                                      // what findings name
  std::map<std::pair<SectionId, uint64_t>, std::string> left_places_;  // of what is left out, by all of its names; why
  std::set<std::pair<SectionId, uint64_t>> refused_places_;            // where functions of these names lie
  std::vector<SymbolId> functions_{selection_.functions};
  std::vector<AccountEntry> entries_;
};

}  // namespace

std::string_view text_of(Fate fate) {
  switch (fate) {
    case Fate::output:
      return "in the module";
    case Fate::rebuilt:
      return "made anew";
    case Fate::idle:
      return "without influence";
    case Fate::refused:
      return "refused";
  }
  return {};
}

std::vector<AccountEntry> account(const Pair& pair, const Comparison& comparison, const Selection& selection,
                                  const std::set<std::string>& acknowledged, Diagnostics& diagnostics) {
  return Accountant(pair, comparison, selection, acknowledged, diagnostics).run();
}

}  // namespace kpatch
