// Selection: from the roots (changed functions, new global functions, callbacks) along the relocations.
//
//   meminfo_proc_show   changed                         root: its section is copied
//     → show_val_kb     unchanged twin                  stays in the kernel: a reference
//     → "MemTotal: "    string                          copied, that string alone
//     → patch_count     new static variable             copied
//     → descriptor.3    dynamic debug                   copied, always fresh
//     ← __bug_table[7]  refers to meminfo_proc_show     the entry is copied
//
// Nothing else comes along. What changed but cannot be copied is refused here: init code, data that already runs,
// functions that ftrace cannot redirect.

#include "create-diff-object/select.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "arch/arch.h"
#include "create-diff-object/array-end.h"
#include "create-diff-object/lost-state.h"
#include "create-diff-object/markers.h"
#include "create-diff-object/places.h"
#include "create-diff-object/shared-code.h"
#include "support/error.h"

namespace kpatch {
namespace {

class Selector {
 public:
  Selector(const Pair& pair, const Comparison& comparison, const SelectionFacts& facts, Diagnostics& diagnostics)
      : pair_(pair),
        orig_(pair.orig),
        patched_(pair.patched),
        comparison_(comparison),
        needed_(facts.needed),
        unused_(facts.unused),
        leaves_init_out_(facts.acknowledged.contains("init-code")),
        leaves_helpers_out_(facts.acknowledged.contains("rust-helper")),
        diagnostics_(diagnostics),
        markers_(read_markers(patched_)) {}

  Selection run() {
    check_exports();
    for (uint32_t i = 1; i < patched_.symbols().size(); ++i) add_root(SymbolId{i});
    for (const Markers::Entry& entry : markers_.callbacks) add_callback(entry);
    check_ignored();
    while (!work_.empty()) {
      const Chunk chunk = work_.front();
      work_.pop_front();
      follow(chunk);
    }
    check_lost_state(pair_, result_.functions, diagnostics_);
    finish();
    return std::move(result_);
  }

 private:
  std::string_view name(SymbolId id) const { return patched_.symbol(id).name; }

  SymbolId outermost(SymbolId id) const {
    while (comparison_.parents[index(id)] != no_symbol) id = comparison_.parents[index(id)];
    return id;
  }

  bool ignored(SymbolId id) {
    for (SymbolId s = id;; s = comparison_.parents[index(s)]) {
      if (markers_.ignored_functions.contains(s)) {
        used_ignores_.insert(s);
        result_.ignored.insert(id);
        return true;
      }
      if (comparison_.parents[index(s)] == no_symbol) break;
    }
    const std::string section{patched_.section(patched_.symbol(id).section).name};
    if (!markers_.ignored_sections.contains(section)) return false;
    used_ignored_sections_.insert(section);
    result_.ignored.insert(id);
    return true;
  }

  void add_root(SymbolId id) {
    const Symbol& s = patched_.symbol(id);
    const Status status = comparison_.of(id);
    if (status == Status::absent || status == Status::same || is_alias(pair_, id)) {
      if (!markers_.forced.contains(id)) return;
    }
    if (status == Status::lines_only && !markers_.forced.contains(id)) {
      result_.lines_only.push_back(id);
      return;
    }
    const bool forced = markers_.forced.contains(id) && status != Status::added;
    if (!forced && status != Status::changed && status != Status::added) return;
    if (ignored(id)) return;
    if (!s.function()) {
      if (status == Status::changed && !comparison_.fresh_constants.contains(id)) refuse_data(id);
      if (status == Status::added && s.global() && needed_.contains(std::string{s.name}) &&
          include(id, "used by another object of the patch"))
        result_.handed_out.push_back(id);
      return;
    }
    if (status == Status::added) {
      // A new global can be what another object of the patch calls. New local ones come when something needs them.
      if (s.global() && patched_.section(s.section).kind != SectionKind::init) include(id, "new global function");
      return;
    }
    check_shared_code(pair_, id, diagnostics_);
    add_changed(id, forced ? "forced by the patch" : comparison_.reason(id));
  }

  void add_changed(SymbolId id, const std::string& reason) {
    const Symbol& s = patched_.symbol(id);
    const Section& home = patched_.section(s.section);
    if (home.kind == SectionKind::init) {
      // include/linux/init.h: __exit is notrace.
      const std::string_view why = home.name.starts_with(".exit")
                                       ? "which isn't traced, so that it can't be redirected"
                                       : "which has already run or is gone when a livepatch is loaded";
      refuse_init(
          id, fmt::format("lies in {}, {}: {}", home.name, why, reason),
          "leave it out of the patch, or have it left out by --ack init-code; what it would do now can be done in a "
          "callback (pre_patch, post_unpatch)");
      return;
    }
    const SymbolId twin = pair_.twins.orig(id);
    const SymbolId parent = comparison_.parents[index(id)];
    const bool traced = has_ftrace_site(orig_, pair_.orig_layout, twin);
    if (!traced && comparison_.through_callers.contains(id)) {
      if (!include(id, reason)) return;
      for (SymbolId part : parts_of(id)) include(part, fmt::format("part of {}", s.name));
      return;
    }
    if (!traced && parent != no_symbol) {
      // a part: comes with its parent, which compare() marked as changed
      include(id, reason);
      return;
    }
    if (!traced && s.name.starts_with("rust_helper_")) {
      leave_rust_helper(id, reason);
      return;
    }
    if (!traced) {
      diagnostics_.refuse(
          "no-ftrace", place_of(patched_, id),
          fmt::format("has no ftrace site ({}), so that it can't be redirected: {}",
                      home.name.starts_with(".text") ? "notrace, or its file is not traced" : home.name, reason),
          "patch its callers instead");
      return;
    }
    if (!has_ftrace_site(patched_, pair_.patched_layout, id) && !loses_its_site(id, reason)) return;
    if (!include(id, reason)) return;
    result_.functions.push_back(id);
    // Its parts are new code as much as it is.
    for (SymbolId part : parts_of(id)) include(part, fmt::format("part of {}", s.name));
  }

  // The kernel's own function is redirected by its ftrace site, and so goes on being traced, whatever the patch makes of
  // it. `inline` says notrace too (include/linux/compiler_types.h), and nobody means that by it; noinstr says so by the
  // section. False when it was refused.
  bool loses_its_site(SymbolId id, const std::string& reason) {
    const Section& home = patched_.section(patched_.symbol(id).section);
    if (home.kind == SectionKind::shared_text) {
      diagnostics_.refuse(
          "no-ftrace", place_of(patched_, id),
          fmt::format("moves to {} and has no ftrace site any more, but the kernel's own keeps its site, "
                      "by which it is redirected, and goes on being traced: {}",
                      home.name, reason),
          "leave that attribute out; what is new in the function can be patched without it");
      return false;
    }
    diagnostics_.warn(
        "no-ftrace", place_of(patched_, id),
        "has no ftrace site in the patch (notrace, or inline); the kernel's own keeps its site, by which it "
        "is redirected, and goes on being traced",
        "where notrace is what the patch is for, that isn't attained");
    return true;
  }

  const std::vector<SymbolId>& parts_of(SymbolId id) {
    if (parts_.empty())
      for (uint32_t i = 1; i < comparison_.parents.size(); ++i)
        if (comparison_.parents[i] != no_symbol && is_cold_part(patched_.symbols()[i].name))
          parts_[comparison_.parents[i]].push_back(SymbolId{i});
    return parts_[id];
  }

  // The module loader makes one area for each processor of .data..percpu, and never relocates it (kernel/module/main.c,
  // layout_and_allocate, before 7.0). Other sections of per-CPU data go in there under that name, but for those whose
  // place or pages mean something.
  bool check_per_cpu(SymbolId id, const Object::Extent& extent) {
    const Symbol& s = patched_.symbol(id);
    const Section& home = patched_.section(s.section);
    if (!is_per_cpu(home.name)) return true;
    if (home.name.find("..first") != std::string_view::npos ||
        home.name.find("..decrypted") != std::string_view::npos) {
      diagnostics_.refuse("percpu", place_of(patched_, id),
                          fmt::format("lies in {}, whose place in memory a module can't give it", home.name));
      return false;
    }
    if (!patched_.relocations(s.section, extent.begin, extent.end).empty()) {
      diagnostics_.refuse("percpu", place_of(patched_, id),
                          "is per CPU and begins with a pointer, which the module loader would leave zero",
                          "set it in a pre_patch callback");
      return false;
    }
    return true;
  }

  // Includes the symbol's bytes; false when that was refused.
  bool include(SymbolId id, std::string reason) {
    const Symbol& s = patched_.symbol(id);
    if (s.common) {
      diagnostics_.refuse("data-init", place_of(patched_, id), "is a common symbol", "compile with -fno-common");
      return false;
    }
    const Section& home = patched_.section(s.section);
    const Object::Extent extent = patched_.extent(id);
    if (s.function() && extent.end > home.contents.size())  // of debug information nothing is read
      throw Error(
          fmt::format("{}: function {} lies in section {}, which holds no code", patched_.path(), s.name, home.name));
    if (s.function() && home.owner == no_symbol && patched_.arch().code.escapes != nullptr &&
        patched_.arch().code.escapes(home.contents, extent.begin, extent.end)) {
      diagnostics_.refuse(
          "shared-section", place_of(patched_, id),
          fmt::format("shares section {} with code that it branches to, and can't be taken out of it", home.name));
      return false;
    }
    // An object of size zero needs no bytes. Of a function, or of a label that assembly gave to data, nobody knows where it
    // ends.
    if (extent.begin == extent.end && home.owner == no_symbol && (s.function() || s.type == SymbolType::none)) {
      diagnostics_.refuse("shared-section", place_of(patched_, id), fmt::format("has no size in section {}", home.name),
                          fmt::format("say it in the assembly: .size {0}, .-{0}", s.name));
      return false;
    }
    if (!check_per_cpu(id, extent)) return false;
    add(Chunk{s.section, extent.begin, extent.end, id, std::move(reason)});
    const SymbolId parent = comparison_.parents[index(id)];
    if (s.function() && parent != no_symbol && is_cold_part(s.name) && comparison_.of(parent) == Status::added)
      include(parent, fmt::format("parent of {}", s.name));
    return true;
  }

  void add(Chunk chunk) {
    auto& taken = taken_[chunk.section];
    auto [it, fresh] = taken.try_emplace(chunk.begin, chunk);
    if (!fresh) {
      if (it->second.end >= chunk.end) return;
      it->second.end = chunk.end;
    }
    work_.push_back(std::move(chunk));
  }

  bool covered(SectionId section, uint64_t offset) const {
    const auto home = taken_.find(section);
    if (home == taken_.end()) return false;
    const auto& taken = home->second;
    auto after = taken.upper_bound(offset);
    return after != taken.begin() && std::prev(after)->second.end > offset;
  }

  void follow(const Chunk& chunk) {
    const Section& home = patched_.section(chunk.section);
    for (const Relocation& r : patched_.relocations(chunk.section, chunk.begin, chunk.end)) need(chunk, r);
    if ((home.flags & SHF_EXECINSTR) == 0) return;
    for (const TableEntry& entry : pair_.patched_layout.entries(chunk.section, chunk.begin, chunk.end)) {
      const Section& table = patched_.section(entry.table);
      if (table.name == ".discard.addressable") continue;  // keeps symbols alive, says nothing of code
      if (table.kind == SectionKind::runtime_const) {
        diagnostics_.refuse(
            "runtime-const",
            chunk.place(patched_,
                        entry.code_section == chunk.section ? std::optional{entry.code_offset} : std::nullopt),
            fmt::format("uses a runtime constant ({}), which is filled in only when the kernel boots", table.name));
        continue;
      }
      add(Chunk{entry.table, entry.begin, entry.end, no_symbol, fmt::format("refers to {}", where(chunk))});
    }
  }

  std::string where(const Chunk& chunk) const { return chunk.name(patched_); }

  void need(const Chunk& chunk, const Relocation& r) {
    if (pair_.patched_layout.leads_nowhere(chunk.section, r.offset)) return;
    const Target target = patched_.target(r);
    const std::string reason = fmt::format("used by {}", where(chunk));
    if (!patched_.arch().elf.known_relocation(r.type)) {
      diagnostics_.refuse("relocation", chunk.place(patched_, r.offset),
                          fmt::format("relocation type {} is not known", r.type));
      return;
    }
    if (target.section == no_section) return;  // undefined: resolved when the output is written
    const Section& home = patched_.section(target.section);
    if (target.is_string) {
      const auto begin = static_cast<uint64_t>(target.offset);
      // A label of its own may be used with any index: keep all behind it.
      // Not by a table: a place relative to itself is written with the label that the compiler gave (bug_entry::file).
      const bool labelled = patched_.symbol(r.symbol).type != SymbolType::section &&
                            patched_.section(chunk.section).kind != SectionKind::table;
      // The last string of a section may lack its NUL.
      const uint64_t end = labelled ? home.size : std::min(begin + target.string.size() + home.entry_size, home.size);
      add(Chunk{target.section, begin, end, no_symbol, reason});
      return;
    }
    if (target.symbol == no_symbol) {
      if (target.offset < 0 || !covered(target.section, static_cast<uint64_t>(target.offset)))
        need_unnamed(chunk, r, target, reason);
      return;
    }
    if (is_another_end(pair_, chunk, r, target, diagnostics_)) return;
    need_symbol(chunk, r, target, home, reason);
  }

  void need_symbol(const Chunk& chunk, const Relocation& r, const Target& target, const Section& home,
                   const std::string& reason) {
    const Symbol& s = patched_.symbol(target.symbol);
    if (target.symbol == chunk.symbol || covered(target.section, s.value)) return;
    switch (home.kind) {
      case SectionKind::text:
      case SectionKind::shared_text:
        // a part that did not change still has to follow its parent's fresh code; entries in its middle
        if (pair_.twins.orig(target.symbol) == no_symbol || patched_.arch().in_each_module(s.name)) {
          include(target.symbol, reason);
        } else if (target.offset != 0 && comparison_.parents[index(target.symbol)] != no_symbol) {
          include(target.symbol, reason);
        }
        return;
      case SectionKind::init:
        if (pair_.twins.orig(target.symbol) == no_symbol)
          diagnostics_.refuse(
              "init-code", chunk.place(patched_, r.offset),
              fmt::format("refers to {}, which is new and lies in {}: the kernel has freed such sections", s.name,
                          home.name),
              "take __init or __initdata off it");
        else
          diagnostics_.refuse("init-code", chunk.place(patched_, r.offset),
                              fmt::format("refers to {} in {}, which is gone after boot", s.name, home.name));
        return;
      case SectionKind::dyndbg:
        if (!s.global() || pair_.twins.orig(target.symbol) == no_symbol) include(target.symbol, reason);
        return;
      case SectionKind::data:
      case SectionKind::rodata:
      case SectionKind::bss:
      case SectionKind::constants:
      case SectionKind::strings:
        need_data(target.symbol, home, reason);
        return;
      case SectionKind::table:
        // an object placed in a table by name, for example .printk_index: the entry comes with its function
        return;
      case SectionKind::never_copied:
        if (pair_.twins.orig(target.symbol) == no_symbol)
          diagnostics_.refuse(
              "new-table-entry", chunk.place(patched_, r.offset),
              fmt::format("needs {}, a new entry of {}, which a livepatch can't add", s.name, home.name));
        return;
      case SectionKind::out_of_line_code: {
        const Object::Extent piece = pair_.patched_layout.piece(target.section, s.value);
        add(Chunk{target.section, piece.begin, piece.end, no_symbol, reason});
        return;
      }
      default:
        diagnostics_.refuse("unknown-section", chunk.place(patched_, r.offset),
                            fmt::format("refers to {} in section {}, whose meaning is not known", s.name, home.name));
    }
  }

  void need_data(SymbolId id, const Section& home, const std::string& reason) {
    const Symbol& s = patched_.symbol(id);
    if (comparison_.fresh_constants.contains(id)) {
      include(id, reason);
      return;
    }
    if (pair_.twins.orig(id) != no_symbol) return;
    if (pair_.twins.ambiguous[index(id)] && (home.flags & SHF_WRITE_FLAG) != 0) {
      std::string candidates;
      for (uint32_t o = 1; o < orig_.symbols().size(); ++o)
        if (pair_.twins.patched(SymbolId{o}) == no_symbol && orig_.symbols()[o].section != no_section &&
            symbol_stem(orig_.symbols()[o].name) == symbol_stem(s.name))
          candidates += fmt::format("{}{}", candidates.empty() ? "" : ", ", orig_.symbols()[o].name);
      diagnostics_.refuse("static-local", place_of(patched_, id),
                          fmt::format("may be any of {} of the running kernel: its state would be lost", candidates));
      return;
    }
    if (is_static_local(s.name) && !s.global() && (home.flags & SHF_WRITE_FLAG) != 0 && !section_row(home.name).early &&
        home.name != attempts_section)
      diagnostics_.warn("static-local", place_of(patched_, id), "is new: it begins with its initial value");
    include(id, reason);
  }

  void need_unnamed(const Chunk& chunk, const Relocation& r, const Target& target, const std::string& reason) {
    const Section& home = patched_.section(target.section);
    const auto offset = static_cast<uint64_t>(std::max<int64_t>(target.offset, 0));
    switch (home.kind) {
      case SectionKind::constants:
        if (home.entry_size != 0 && offset < home.size) {
          const uint64_t begin = offset - offset % home.entry_size;
          const uint64_t end = begin + std::min(home.entry_size, home.size - begin);
          add(Chunk{target.section, begin, end, no_symbol, reason});
        }
        return;
      case SectionKind::out_of_line_code:
      case SectionKind::toc: {
        const Object::Extent piece = pair_.patched_layout.piece(target.section, offset);
        add(Chunk{target.section, piece.begin, piece.end, no_symbol, reason,
                  home.kind == SectionKind::toc ? chunk.symbol : no_symbol});
        return;
      }
      case SectionKind::rodata:
        // jump tables and unnamed initialisers: with -fdata-sections a section of the function's own
        add(Chunk{target.section, 0, home.size, no_symbol, reason});
        return;
      case SectionKind::data:
        // .data..Lubsan_data7, a place in the source and whether it was complained about
        if (is_special_section(home.name)) add(Chunk{target.section, 0, home.size, no_symbol, reason});
        return;
      case SectionKind::table:
        // WARN with a format hands the code its own entry of __bug_table (x86, since 6.19).
        if (const TableEntry* entry = pair_.patched_layout.entry_at(target.section, offset);
            entry != nullptr && entry->code_section == chunk.section && entry->code_offset >= chunk.begin &&
            entry->code_offset < chunk.end)
          add(Chunk{target.section, entry->begin, entry->end, no_symbol, reason});
        return;
      case SectionKind::text:
      case SectionKind::shared_text:
        if (covered(target.section, offset)) return;
        [[fallthrough]];
      default:
        diagnostics_.refuse(
            home.kind == SectionKind::unknown ? "unknown-section" : "unnamed-data", chunk.place(patched_, r.offset),
            fmt::format("refers to section {}+{:#x}, where no symbol tells what it is", home.name, target.offset));
    }
  }

  // Init code and data, whose change can do nothing any more. Who knows that the rest of the patch is right without it
  // says so by --ack.
  void refuse_init(SymbolId id, const std::string& message, const std::string& advice) {
    if (!leaves_init_out_) return diagnostics_.refuse("init-code", place_of(patched_, id), message, advice);
    result_.left_out.emplace(id, "left out, as was acknowledged");
    diagnostics_.warn("init-code", place_of(patched_, id), message + "; it is left out");
  }

  // rust/helpers/: what Rust code calls in place of an inline function of C, without an ftrace site.
  void leave_rust_helper(SymbolId id, const std::string& reason) {
    const bool unused = unused_.contains(std::string{name(id)});
    const std::string message =
        fmt::format("is what Rust code calls, and can't be redirected (it has no ftrace site): {}", reason);
    if (!unused && !leaves_helpers_out_)
      return diagnostics_.refuse(
          "rust-helper", place_of(patched_, id), message,
          "where Rust code that runs does without the change, have it left out by --ack rust-helper");
    result_.left_out.emplace(id, "left out: Rust code goes on with the kernel's own");
    diagnostics_.warn(
        "rust-helper", place_of(patched_, id),
        fmt::format("{}; {} goes on with the kernel's own", message,
                    unused ? "nothing in the kernel's image calls it, and Rust code of a module" : "that"));
  }

  // Why a copy of the constant doesn't serve.
  std::string why_kept(SymbolId id) const {
    if (patched_.symbol(id).global()) return "it is global, so that other files may read the kernel's own, which stays";
    const auto kept = comparison_.kept_constants.find(id);
    return kept != comparison_.kept_constants.end() && !kept->second.empty()
               ? kept->second + ", so that a copy doesn't serve"
               : "it holds addresses of functions or variables, which others may have by now";
  }

  void refuse_data(SymbolId id) {
    const Section& home = patched_.section(patched_.symbol(id).section);
    if (home.kind == SectionKind::dyndbg || home.kind == SectionKind::never_copied) return;
    if (home.kind == SectionKind::init)
      refuse_init(
          id,
          fmt::format("lies in {}, which is gone when a livepatch is loaded: {}", home.name, comparison_.reason(id)),
          "leave it out of the patch, or have it left out by --ack init-code");
    else if (home.kind == SectionKind::rodata && comparison_.status[index(id)] == Status::changed)
      diagnostics_.refuse("data-init", place_of(patched_, id),
                          fmt::format("lies in {}: {}; {}", home.name, comparison_.reason(id), why_kept(id)),
                          "let patched code read another constant, new in the patch; where the address is kept (an "
                          "operations table, an attribute), write the member in a pre_patch callback, and take it back "
                          "in post_unpatch");
    else if (home.name.find("ro_after_init") != std::string_view::npos)
      diagnostics_.refuse("data-init", place_of(patched_, id),
                          fmt::format("lies in {}, which nobody may write to once the kernel has started: {}",
                                      home.name, comparison_.reason(id)),
                          "let patched code read another variable, new in the patch");
    else
      diagnostics_.refuse("data-init", place_of(patched_, id),
                          fmt::format("lies in {} and is in use already: {}", home.name, comparison_.reason(id)),
                          "write it in a pre_patch callback, and take it back in post_unpatch; what is new for each "
                          "object of a kind goes into a shadow variable");
  }

  void add_callback(const Markers::Entry& entry) {
    const auto relocations = patched_.relocations(entry.section, entry.offset, entry.offset + 8);
    if (relocations.empty()) return;
    const Target target = patched_.target(relocations.front());
    for (const Callback& other : result_.callbacks)
      if (other.kind == entry.kind)
        diagnostics_.refuse("callbacks", {.function = entry.kind},
                            "two callbacks of this kind for one object: the kernel knows one of each");
    if (target.symbol == no_symbol || target.section == no_section || !patched_.symbol(target.symbol).function()) {
      diagnostics_.refuse("callbacks", {.function = entry.kind}, "refers to no function of this object");
      return;
    }
    include(target.symbol, fmt::format("{} callback", entry.kind));
    result_.callbacks.push_back({entry.kind, entry.section, entry.offset});
  }

  void check_ignored() {
    for (SymbolId id : markers_.ignored_functions)
      if (!used_ignores_.contains(id))
        diagnostics_.note("ignore", place_of(patched_, id), "is to be ignored, but did not change");
    for (const std::string& section : markers_.ignored_sections)
      if (!used_ignored_sections_.contains(section))
        diagnostics_.note("ignore", {.section = section}, "is to be ignored, but nothing in it changed");
  }

  // An export that goes was in the table that other modules were linked with. One that comes may only be needed by the
  // patch's own files, as when a helper is shared by two modules.
  void check_exports() {
    auto exports = [](const Object& object) {
      std::set<std::string_view> names;
      for (const Symbol& s : object.symbols())
        for (std::string_view prefix : {std::string_view{"__ksymtab_"}, std::string_view{"__export_symbol_"}})
          if (s.section != no_section && s.name.starts_with(prefix)) names.insert(s.name.substr(prefix.size()));
      return names;
    };
    const auto before = exports(orig_), after = exports(patched_);
    for (std::string_view symbol : before)
      if (!after.contains(symbol) && orig_.sections().size() > 1)
        diagnostics_.refuse("export", {.function = std::string{symbol}},
                            "is no longer exported: modules that use it would be left behind");
    for (std::string_view symbol : after)
      if (!before.contains(symbol))
        diagnostics_.warn(
            "export", {.function = std::string{symbol}},
            "is exported by the patch, which a livepatch can't do: files of the same patch find it, modules "
            "that are built later don't");
  }

  void finish() {
    for (auto& [section, taken] : taken_)
      for (auto& [begin, chunk] : taken) {
        if (!result_.chunks.empty()) {
          Chunk& last = result_.chunks.back();
          // overlapping pieces (a string and its tail) become one
          if (last.section == chunk.section && chunk.begin < last.end) {
            last.end = std::max(last.end, chunk.end);
            continue;
          }
        }
        result_.chunks.push_back(chunk);
        if (chunk.symbol != no_symbol && patched_.symbol(chunk.symbol).function() &&
            comparison_.of(chunk.symbol) == Status::added && !is_cold_part(name(chunk.symbol)))
          result_.added.push_back(chunk.symbol);
      }
    auto by_name = [&](SymbolId a, SymbolId b) { return std::pair{name(a), a} < std::pair{name(b), b}; };
    for (auto* list : {&result_.functions, &result_.added, &result_.lines_only})
      std::sort(list->begin(), list->end(), by_name);
  }

  static constexpr uint64_t SHF_WRITE_FLAG = 1;  // ELF gABI, SHF_WRITE

  const Pair& pair_;
  const Object& orig_;
  const Object& patched_;
  const Comparison& comparison_;
  const std::set<std::string>& needed_;
  const std::set<std::string>& unused_;
  bool leaves_init_out_, leaves_helpers_out_;
  Diagnostics& diagnostics_;
  Markers markers_;
  Selection result_;
  std::map<SectionId, std::map<uint64_t, Chunk>> taken_;  // by section, begin
  std::deque<Chunk> work_;
  std::map<SymbolId, std::vector<SymbolId>> parts_;
  std::set<SymbolId> used_ignores_;
  std::set<std::string> used_ignored_sections_;
};

}  // namespace

std::string Chunk::name(const Object& object) const {
  const SymbolId named = symbol != no_symbol ? symbol : user;
  return std::string{named != no_symbol ? object.symbol(named).name : object.section(section).name};
}

Location Chunk::place(const Object& object, std::optional<uint64_t> offset) const {
  const SymbolId named = symbol != no_symbol ? symbol : user;
  return {.function = std::string{named == no_symbol ? std::string_view{} : object.symbol(named).name},
          .section = std::string{object.section(section).name},
          .offset = offset};
}

const Chunk* Selection::chunk_at(SectionId section, uint64_t offset) const {
  auto after = std::upper_bound(chunks.begin(), chunks.end(), std::pair{section, offset},
                                [](const std::pair<SectionId, uint64_t>& at, const Chunk& chunk) {
                                  return at < std::pair{chunk.section, chunk.begin};
                                });
  if (after == chunks.begin()) return nullptr;
  const Chunk& chunk = *(after - 1);
  const bool inside = chunk.section == section && (offset < chunk.end || offset == chunk.begin);
  return inside ? &chunk : nullptr;
}

Selection select(const Pair& pair, const Comparison& comparison, const SelectionFacts& facts,
                 Diagnostics& diagnostics) {
  return Selector(pair, comparison, facts, diagnostics).run();
}

}  // namespace kpatch
