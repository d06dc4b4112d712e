// What changed. Two functions are the same when their bytes, their relocations and their table entries are:
//
//   original                                     patched
//   mov  $.rodata.str1.1+0x10,%rdi               mov  $.rodata.str1.1+0x2f,%rdi    another offset, the same string
//   call .text.helper+0xc                        call .text.helper+0x1c            another offset, the same function
//   __bug_table: flags 0x905                     __bug_table: flags 0x907          same code, another entry: changed
//
// References are compared by what they mean: a string by its contents, a symbol by its twin, an unnamed constant by its
// bytes, a piece of alternative code by its code. Line numbers in warnings are no change.

#include "create-diff-object/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <set>

#include "arch/arch.h"
#include "create-diff-object/callers.h"
#include "create-diff-object/fresh-constants.h"
#include "create-diff-object/line-number-changes.h"
#include "create-diff-object/places.h"

namespace kpatch {
namespace {

bool is_text(SectionKind kind) { return kind == SectionKind::text || kind == SectionKind::shared_text; }

// Writable data of a symbol, with and without bytes in the file.
bool is_variable(SectionKind kind) { return kind == SectionKind::data || kind == SectionKind::bss; }

struct Range {
  SectionId section;
  uint64_t begin = 0, end = 0;
  uint64_t size() const { return end - begin; }
};

class Comparer {
 public:
  Comparer(const Pair& pair, Diagnostics& diagnostics)
      : pair_(pair), orig_(pair.orig), patched_(pair.patched), diagnostics_(diagnostics) {}

  Comparison run() {
    result_.status.resize(patched_.symbols().size(), Status::absent);
    result_.parents = find_parents(patched_);
    for (bool functions : {false, true}) {
      for (uint32_t i = 1; i < patched_.symbols().size(); ++i)
        if (patched_.symbols()[i].function() == functions) compare_symbol(SymbolId{i});
      if (!functions) take_fresh_constants();
    }
    spread_to_parents();
    return std::move(result_);
  }

 private:
  void compare_symbol(SymbolId id) {
    const Symbol& p = patched_.symbol(id);
    if (!names_a_place(p)) return;
    const SectionKind kind = patched_.section(p.section).kind;
    switch (kind) {
      case SectionKind::text:
      case SectionKind::shared_text:
      case SectionKind::init:
      case SectionKind::data:
      case SectionKind::rodata:
      case SectionKind::bss:
      case SectionKind::constants:
      case SectionKind::strings:
      case SectionKind::dyndbg:
      case SectionKind::never_copied:
        break;
      default:
        return;
    }
    Status& status = result_.status[index(id)];
    const SymbolId twin = pair_.twins.orig(id);
    if (twin == no_symbol || orig_.symbol(twin).section == no_section) {
      status = Status::added;
      return;
    }
    const Symbol& o = orig_.symbol(twin);
    const SectionKind orig_kind = orig_.section(o.section).kind;
    if (orig_kind != kind && !(is_text(kind) && is_text(orig_kind)) && !(is_variable(kind) && is_variable(orig_kind))) {
      const std::string_view before = orig_.section(o.section).name, after = patched_.section(p.section).name;
      diagnostics_.refuse("moved", place_of(patched_, id),
                          before == after ? fmt::format("its section {} is of another kind", after)
                                          : fmt::format("moves from section {} to {}", before, after),
                          orig_kind == SectionKind::init
                              ? "the kernel's own is gone; give it another name, and let patched code use that"
                              : "keep it where it is, with its attributes");
      return;
    }
    if (kind == SectionKind::never_copied) {
      status = Status::same;
      return;
    }
    if (const std::string_view what = other_header(o.section, p.section); o.size == p.size && !what.empty()) {
      diagnostics_.refuse("moved", place_of(patched_, id),
                          fmt::format("its section {} has another {}", patched_.section(p.section).name, what));
      return;
    }
    if (!same_memory(orig_.section(o.section), patched_.section(p.section))) {
      diagnostics_.refuse("moved", place_of(patched_, id),
                          fmt::format("moves from section {} to {}, while the kernel's own stays in memory of its kind",
                                      orig_.section(o.section).name, patched_.section(p.section).name),
                          "leave its attributes as they are, and let patched code use a variable of its own that has "
                          "the new ones");
      return;
    }
    std::string reason;
    status = p.function() ? compare_functions(twin, id, reason) : compare_data(twin, id, reason);
    if (!reason.empty()) result_.reasons[id] = std::move(reason);
    if (!p.function() || status != Status::changed) return;
    if (const auto difference = find_difference(twin, id)) result_.difference.emplace(id, *difference);
  }

  // A variable stays where the kernel has it, so that what its section says of that memory can't change: a patch may take
  // __ro_after_init away because somebody writes to the variable later. To be writable still is no loss.
  static bool same_memory(const Section& o, const Section& p) {
    if (!is_variable(o.kind) || !is_variable(p.kind)) return true;
    const std::string_view before = memory_of(o.name), after = memory_of(p.name);
    return before == after || (before.empty() && after == "ro_after_init");
  }

  // What differs in the headers of two data sections that belong to one symbol: code may rely on it, while the data
  // stays where it is.
  std::string_view other_header(SectionId o, SectionId p) const {
    const Section &a = orig_.section(o), &b = patched_.section(p);
    const bool data = b.kind == SectionKind::data || b.kind == SectionKind::rodata || b.kind == SectionKind::bss;
    if (!data || a.owner == no_symbol || b.owner == no_symbol) return {};
    if (a.type != b.type && !(is_variable(a.kind) && is_variable(b.kind))) return "type";
    if (a.flags != b.flags) return "set of flags";
    if (a.entry_size != b.entry_size) return "entry size";
    return a.alignment < b.alignment ? "alignment" : "";
  }

  // Constants that are copied count as changed, also where they only point to one that is.
  void take_fresh_constants() {
    FreshConstants constants = find_fresh_constants(pair_, result_.status);
    result_.kept_constants = std::move(constants.kept);
    for (auto& [id, reason] : constants.copied) {
      result_.fresh_constants.insert(id);
      if (reason.empty()) continue;
      result_.status[index(id)] = Status::changed;
      result_.reasons[id] = std::move(reason);
    }
  }

  static Range range(const Object& object, SymbolId id) {
    const Object::Extent extent = object.extent(id);
    return {object.symbol(id).section, extent.begin, extent.end};
  }

  // Both say in `reason` what differs.
  Status compare_data(SymbolId o, SymbolId p, std::string& reason) {
    const Range a = range(orig_, o), b = range(patched_, p);
    if (a.size() != b.size()) {
      reason = fmt::format("its size changes from {} to {} bytes", a.size(), b.size());
      return Status::changed;
    }
    if (!same_bytes(a, b)) {
      reason = "its initial value changes";
      return Status::changed;
    }
    return same_relocations(a, b, &reason) ? Status::same : Status::changed;
  }

  Status compare_functions(SymbolId o, SymbolId p, std::string& reason) {
    const Range a = range(orig_, o), b = range(patched_, p);
    line_in_string_ = false;
    if (a.size() != b.size()) {
      reason = fmt::format("its size changes from {} to {} bytes", a.size(), b.size());
      return Status::changed;
    }
    if (!same_relocations(a, b, &reason)) return Status::changed;
    if (!same_entries(a, b, &reason)) return Status::changed;
    if (same_bytes(a, b)) return line_in_string_ ? Status::lines_only : Status::same;
    reason = fmt::format("its code changes at +{:#x}", first_difference(a, b));
    return lines_only(a, b) ? Status::lines_only : Status::changed;
  }

  std::span<const std::byte> bytes(const Object& object, const Range& r) const {
    const std::span<const std::byte> all = object.section(r.section).contents;
    return all.empty() ? all : all.subspan(r.begin, r.size());
  }

  // Zeros need no bytes in a file: of a variable with __read_mostly they have them, of one without it they don't.
  bool same_bytes(const Range& a, const Range& b) const {
    const auto x = bytes(orig_, a), y = bytes(patched_, b);
    const auto zeros = [](const auto& all) {
      return std::ranges::all_of(all, [](std::byte byte) { return byte == std::byte{0}; });
    };
    if (x.empty() != y.empty() && a.size() == b.size()) return zeros(x) && zeros(y);
    return x.size() == y.size() && std::equal(x.begin(), x.end(), y.begin());
  }

  uint64_t first_difference(const Range& a, const Range& b) const {
    const auto x = bytes(orig_, a), y = bytes(patched_, b);
    return static_cast<uint64_t>(std::mismatch(x.begin(), x.end(), y.begin(), y.end()).first - x.begin());
  }

  // Where the code itself, or what it refers to, differs first. Nothing where only table entries do.
  std::optional<CodeDifference> find_difference(SymbolId o, SymbolId p) {
    const Range a = range(orig_, o), b = range(patched_, p);
    uint64_t at = first_difference(a, b);
    std::string scratch;
    reference_difference_ = UINT64_MAX;
    same_relocations(a, b, &scratch);
    at = std::min(at, reference_difference_);
    if (at >= a.size() || at >= b.size()) {
      if (a.size() == b.size()) return std::nullopt;
      at = std::min(a.size(), b.size());
      if (at == 0) return std::nullopt;
      --at;  // the last bytes that both have
    }
    const auto instruction = [&](const Object& object, const Range& r) {
      return object.arch().code.instruction_at(object.section(r.section).contents, r.begin, r.begin + at);
    };
    return CodeDifference{instruction(orig_, a), instruction(patched_, b)};
  }

  bool same_relocations(const Range& a, const Range& b, std::string* reason) {
    const auto x = orig_.relocations(a.section, a.begin, a.end);
    const auto y = patched_.relocations(b.section, b.begin, b.end);
    auto differs = [&](std::string text) {
      if (reason != nullptr && reason->empty()) *reason = std::move(text);
      return false;
    };
    for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      const uint64_t at = y[i].offset - b.begin;
      if (reason != nullptr) reference_difference_ = std::min(at, x[i].offset - a.begin);
      if (x[i].offset - a.begin != at) return differs(fmt::format("its references differ from +{:#x} on", at));
      const bool nowhere = pair_.orig_layout.leads_nowhere(a.section, x[i].offset) &&
                           pair_.patched_layout.leads_nowhere(b.section, y[i].offset);
      if (nowhere && x[i].type == y[i].type) continue;
      if (x[i].type != y[i].type || !(same_place(a, x[i], b, y[i]) || same_target(x[i], y[i])))
        return differs(fmt::format("the reference at +{:#x} {}", at, change(x[i], y[i])));
    }
    if (reason != nullptr) reference_difference_ = UINT64_MAX;
    return x.size() == y.size() || differs("its references differ in number");
  }

  // "changes from a to b"; where both have one name, what else differs.
  std::string change(const Relocation& x, const Relocation& y) const {
    const std::string before = describe(orig_, x), after = describe(patched_, y);
    if (before != after) return fmt::format("changes from {} to {}", before, after);
    if (x.type != y.type) return fmt::format("to {} is of another type ({} instead of {})", after, y.type, x.type);
    if (patched_.meaning(y).is_string) return fmt::format("is to a string that differs behind {}", after);
    return fmt::format("leads to another {}", after);
  }

  static std::string describe(const Object& object, const Relocation& r) {
    const Target target = object.meaning(r);
    if (target.is_string) {
      std::string shown(target.string);
      std::erase(shown, '\0');  // of wide characters
      return fmt::format("\"{}\"", std::string_view(shown).substr(0, 40));
    }
    const std::string_view name =
        target.symbol != no_symbol ? object.symbol(target.symbol).name : object.section(target.section).name;
    return target.offset == 0 ? std::string{name} : fmt::format("{}+{:#x}", name, target.offset);
  }

  // References to the same place within what is being compared: `.word .L4 - .L3` of an entry refers to the entry.
  bool same_place(const Range& a, const Relocation& x, const Range& b, const Relocation& y) const {
    const Target to = orig_.target(x), twin = patched_.target(y);
    const auto inside = [](const Target& target, const Range& range) {
      return target.symbol == no_symbol && target.section == range.section && !target.is_string &&
             target.offset >= static_cast<int64_t>(range.begin) && target.offset < static_cast<int64_t>(range.end);
    };
    return inside(to, a) && inside(twin, b) &&
           to.offset - static_cast<int64_t>(a.begin) == twin.offset - static_cast<int64_t>(b.begin);
  }

  bool same_target(const Relocation& x, const Relocation& y) {
    const Target a = orig_.meaning(x), b = patched_.meaning(y);
    if (a.is_string || b.is_string) {
      if (!a.is_string || !b.is_string) return false;
      if (a.string == b.string) return true;
      if (!differ_in_line_numbers(a.string, b.string)) return false;
      line_in_string_ = true;
      return true;
    }
    if (a.symbol != no_symbol && b.symbol != no_symbol) {
      if (pair_.twins.orig(b.symbol) == a.symbol)
        return a.offset == b.offset && !result_.fresh_constants.contains(b.symbol);
      return fresh(orig_, a.symbol) && fresh(patched_, b.symbol) && a.offset == b.offset &&
             same_fresh(a.symbol, b.symbol);
    }
    if (a.symbol != no_symbol || b.symbol != no_symbol || a.section == no_section || b.section == no_section)
      return a.symbol == b.symbol && a.section == b.section && a.offset == b.offset;
    return same_unnamed(a, b);
  }

  // Data of which each compile makes its own, so that no twin is sought.
  static bool fresh(const Object& object, SymbolId id) {
    const Symbol& s = object.symbol(id);
    if (is_special_static(s.name)) return true;
    if (s.section == no_section || s.global()) return false;
    const SectionKind kind = object.section(s.section).kind;
    return kind == SectionKind::dyndbg;
  }

  bool same_fresh(SymbolId o, SymbolId p) {
    const std::string_view x = orig_.symbol(o).name, y = patched_.symbol(p).name;
    if (!x.starts_with(".L") && symbol_stem(x) != symbol_stem(y)) return false;
    const Range a = range(orig_, o), b = range(patched_, p);
    if (a.size() != b.size()) return false;
    const bool lines = holds_line_number(y) || patched_.section(b.section).kind == SectionKind::dyndbg;
    if (!lines && !same_bytes(a, b)) return false;
    return guarded(a, b, [&] { return same_relocations(a, b, nullptr); });
  }

  bool same_unnamed(const Target& a, const Target& b) {
    const Section& x = orig_.section(a.section);
    const Section& y = patched_.section(b.section);
    if (x.kind != y.kind) return false;
    if (x.kind == SectionKind::constants) return same_constant(x, a.offset, y, b.offset);
    if (x.kind == SectionKind::out_of_line_code || x.kind == SectionKind::toc) {
      if (x.name != y.name) return false;
      const Range p = piece(pair_.orig_layout, a), q = piece(pair_.patched_layout, b);
      return p.size() == q.size() && same_bytes(p, q) &&
             guarded(p, q, [&] { return same_relocations(p, q, nullptr) && same_entries(p, q, nullptr); });
    }
    if (x.kind == SectionKind::table) return x.name == y.name && same_own_entry(a, b);
    const bool special = is_special_section(x.name) && is_special_section(y.name);
    if ((!special && symbol_stem(x.name) != symbol_stem(y.name)) || a.offset != b.offset) return false;
    const Range p{a.section, 0, x.size}, q{b.section, 0, y.size};
    return x.size == y.size && (holds_line_number(y.name) || same_bytes(p, q)) &&
           guarded(p, q, [&] { return same_relocations(p, q, nullptr); });
  }

  // Code that refers to an entry which tells of its own function, at the same place in both. What the entry holds is
  // compared with the function's others.
  bool same_own_entry(const Target& a, const Target& b) const {
    if (a.offset < 0 || b.offset < 0) return false;
    const auto at = [](const Target& t) { return static_cast<uint64_t>(t.offset); };
    const TableEntry* x = pair_.orig_layout.entry_at(a.section, at(a));
    const TableEntry* y = pair_.patched_layout.entry_at(b.section, at(b));
    if (x == nullptr || y == nullptr || at(a) - x->begin != at(b) - y->begin) return false;
    const SymbolId f = function_at(orig_, *x), g = function_at(patched_, *y);
    return f != no_symbol && g != no_symbol && pair_.twins.orig(g) == f &&
           x->code_offset - orig_.symbol(f).value == y->code_offset - patched_.symbol(g).value;
  }

  static SymbolId function_at(const Object& object, const TableEntry& entry) {
    for (const SymbolId id : object.section(entry.code_section).symbols) {
      const Symbol& s = object.symbol(id);
      if (s.function() && entry.code_offset >= s.value && entry.code_offset < s.value + s.size) return id;
    }
    return no_symbol;
  }

  static Range piece(const Layout& layout, const Target& target) {
    const Object::Extent extent = layout.piece(target.section, static_cast<uint64_t>(target.offset));
    return {target.section, extent.begin, extent.end};
  }

  static bool same_constant(const Section& x, int64_t at_x, const Section& y, int64_t at_y) {
    const uint64_t size = x.entry_size;
    if (size != y.entry_size || size == 0 || at_x < 0 || at_y < 0) return false;
    if (static_cast<uint64_t>(at_x) + size > x.contents.size() ||
        static_cast<uint64_t>(at_y) + size > y.contents.size())
      return false;
    return std::equal(x.contents.begin() + at_x, x.contents.begin() + at_x + static_cast<int64_t>(size),
                      y.contents.begin() + at_y);
  }

  // Data may refer to itself in a circle: what is being compared is taken for equal.
  bool guarded(const Range& a, const Range& b, const std::function<bool()>& equal) {
    const auto key = std::array<uint64_t, 4>{index(a.section), a.begin, index(b.section), b.begin};
    if (!comparing_.insert(key).second) return true;
    const bool result = equal();
    comparing_.erase(key);
    return result;
  }

  bool same_entries(const Range& a, const Range& b, std::string* reason) {
    auto compared = [](const Object& object, const Layout& layout, const Range& r) {
      std::vector<TableEntry> list;
      for (const TableEntry& entry : layout.entries(r.section, r.begin, r.end)) {
        const Section& table = object.section(entry.table);
        if (table.kind != SectionKind::table) continue;
        const TableFacts* facts = object.arch().table(table.name);
        if (facts != nullptr && facts->compared) list.push_back(entry);
      }
      return list;
    };
    auto x = compared(orig_, pair_.orig_layout, a), y = compared(patched_, pair_.patched_layout, b);
    auto by_table = [](const Object& object) {
      return [&object](const TableEntry& l, const TableEntry& r) {
        return object.section(l.table).name < object.section(r.table).name;
      };
    };
    std::stable_sort(x.begin(), x.end(), by_table(orig_));
    std::stable_sort(y.begin(), y.end(), by_table(patched_));
    for (size_t i = 0; i < std::max(x.size(), y.size()); ++i) {
      if (i < x.size() && i < y.size() && same_entry(x[i], y[i])) continue;
      if (reason != nullptr && reason->empty())
        *reason = fmt::format("its entries in {} change",
                              i < y.size() ? patched_.section(y[i].table).name : orig_.section(x[i].table).name);
      return false;
    }
    return true;
  }

  bool same_entry(const TableEntry& x, const TableEntry& y) {
    const Section& table = patched_.section(y.table);
    if (orig_.section(x.table).name != table.name || x.end - x.begin != y.end - y.begin) return false;
    const TableFacts* facts = patched_.arch().table(table.name);
    const Range a{x.table, x.begin, x.end}, b{y.table, y.begin, y.end};
    const auto left = bytes(orig_, a), right = bytes(patched_, b);
    const size_t line_offset = facts == nullptr ? 0 : b.size() == 24 ? 16 : b.size() == 16 ? 12 : facts->line_offset;
    for (size_t i = 0; i < right.size(); ++i) {
      const bool line = facts != nullptr && i >= line_offset && i < line_offset + facts->line_size;
      if (!line && left[i] != right[i]) return false;
    }
    return guarded(a, b, [&] { return same_relocations(a, b, nullptr); });
  }

  // Whether the next function that is called, or address that is taken, from here on is that of a helper which gets a
  // line number.
  bool warns_behind(const Range& b, uint64_t offset) const {
    for (const Relocation& r : patched_.relocations(b.section, b.begin + offset, b.end)) {
      const Target target = patched_.meaning(r);
      if (target.is_string) continue;
      if (target.symbol == no_symbol) return false;
      if (fresh(patched_, target.symbol)) continue;
      return takes_line_number(patched_.symbol(target.symbol).name);
    }
    return false;
  }

  bool lines_only(const Range& a, const Range& b) {
    return patched_.arch().code.numbers_only(bytes(orig_, a), bytes(patched_, b), [&](const NumberChange& change) {
      using Proof = LineNumbers::Proof;
      const Proof proof = line_numbers_.prove(change, a.section, a.begin + change.at, b.section, b.begin + change.at);
      if (proof == Proof::line_number) return true;
      return proof != Proof::no && change.second_or_third && warns_behind(b, change.next);
    });
  }

  // A part without an ftrace site of its own cannot be replaced alone: its parent changes with it.
  void spread_to_parents() {
    for (uint32_t i = 1; i < patched_.symbols().size(); ++i) {
      SymbolId id{i};
      if (result_.of(id) != Status::changed && result_.of(id) != Status::added) continue;
      while (result_.parents[index(id)] != no_symbol && !has_ftrace_site(patched_, pair_.patched_layout, id)) {
        const SymbolId parent = result_.parents[index(id)];
        Status& status = result_.status[index(parent)];
        if (status == Status::same || status == Status::lines_only) {
          status = Status::changed;
          result_.reasons[parent] = fmt::format("its part {} changes", patched_.symbol(id).name);
        }
        id = parent;
      }
    }
  }

  const Pair& pair_;
  const Object& orig_;
  const Object& patched_;
  Diagnostics& diagnostics_;
  Comparison result_;
  uint64_t reference_difference_ = UINT64_MAX;  // of the last same_relocations(): where, from the function's start
  bool line_in_string_ = false;                 // the function being compared has one that differs in nothing else
  LineNumbers line_numbers_{orig_, patched_};
  std::set<std::array<uint64_t, 4>> comparing_;
};

}  // namespace

bool has_ftrace_site(const Object& object, const Layout& layout, SymbolId function) {
  const Symbol& s = object.symbol(function);
  if (s.section == no_section) return false;
  const Object::Extent extent = object.extent(function);
  const Arch& arch = object.arch();
  const std::span<const std::byte> contents = object.section(s.section).contents;
  if (arch.ftrace.starts_with_site != nullptr && s.value <= contents.size() &&
      arch.ftrace.starts_with_site(contents.subspan(s.value)))
    return true;
  for (const TableEntry& entry : layout.entries(s.section, extent.begin, extent.end)) {
    const std::string_view table = object.section(entry.table).name;
    // Before the function's start only the compiler's own list has some (arm64, CALL_OPS).
    const bool may_precede = table == "__patchable_function_entries";
    if (arch.ftrace.lists_sites(table) && (may_precede || entry.code_offset >= s.value)) return true;
  }
  for (const Relocation& r : object.relocations(s.section, extent.begin, extent.end)) {
    const std::string_view name = object.symbol(r.symbol).name;
    if (std::find(arch.ftrace.calls.begin(), arch.ftrace.calls.end(), name) != arch.ftrace.calls.end()) return true;
  }
  return false;
}

Comparison compare(const Pair& pair, Diagnostics& diagnostics) {
  Comparison comparison = Comparer(pair, diagnostics).run();
  spread_to_callers(pair, comparison);
  return comparison;
}

}  // namespace kpatch
