// References are decided by the symbol's identity, not by its name: in Debian's 6.12 vmlinux there are 43 names that
// are both local and exported, and hundreds of locals that share a name:
//
//   $ readelf -sW vmlinux | grep ' show$'
//   …  0xffffffff812a1b30  FUNC LOCAL  show      ← fs/proc/cmdline.c's? drivers/base/…'s?
//
// A local symbol is looked for among the locals behind its own FILE symbol. Several files have the same base name, so
// the group has to match as a whole: the locals of the object are those of the group, and the other way round. Where
// two groups match, nothing tells them apart and the change is refused, naming both.
//
// The kernel finds a klp symbol by name and sympos (kernel/livepatch/core.c, klp_find_object_symbol), counting every
// symbol of that name.

#include "create-diff-object/resolve.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "arch/arch.h"

#include "create-diff-object/places.h"
#include "support/text.h"

namespace kpatch {
namespace {

// Names that the linker discards, or that tools add behind the compiler: they say nothing about a file.
bool identifies_file(std::string_view name) {
  constexpr auto discardable = std::to_array<std::string_view>(
      {"__exitcall_", "__brk_reservation_fn_", "__addressable_", "__UNIQUE_ID_", ".L", "__pfx_", "__cfi_", "__kstrtab",
       "__ksymtab_", "__crc_", "__export_symbol_", "__initcall_", "__func_stack_frame_non_standard_", "__kpatch_",
       "__param_", "__setup_", "__mod_", "__this_module", "$"});
  if (name.empty() || is_special_static(name) || is_local_label(name)) return false;
  return std::none_of(discardable.begin(), discardable.end(),
                      [&](std::string_view prefix) { return name.starts_with(prefix); });
}

// A symbol of the linker script that says where the init sections begin or end: whoever asks whether an address lies there
// (kernel/extable.c) reads nothing at it.
bool is_boundary(const BinarySymbol& symbol) {
  constexpr auto names = std::to_array<std::string_view>({"__init_begin", "__init_end", "_einittext", "_sinittext"});
  return symbol.type == SymbolType::none && symbol.binding != SymbolBinding::local &&
         std::ranges::find(names, symbol.name) != names.end();
}

// objtool knows these by name (tools/objtool): static calls, and what it rewrites on the architecture.
bool objtool_reads(const Arch& arch, std::string_view name) {
  if (name.starts_with("__SCT__") || name.starts_with("__SCK__")) return true;
  return std::any_of(arch.kbuild.objtool_symbols.begin(), arch.kbuild.objtool_symbols.end(),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

}  // namespace

Resolver::Resolver(const Binary& parent, std::string parent_name, const Symvers& symvers, const Object& orig,
                   const std::map<std::string, std::string>& made_global, Diagnostics& diagnostics)
    : parent_(parent),
      parent_name_(std::move(parent_name)),
      symvers_(symvers),
      orig_(orig),
      made_global_(made_global),
      diagnostics_(diagnostics) {
  for (uint32_t i = 1; i < orig.symbols().size(); ++i)
    if (orig.symbols()[i].global()) orig_names_.emplace(orig.symbols()[i].name, SymbolId{i});
}

// The kernel looks a name up when the livepatch is loaded, and in a module again each time that it comes. What was there
// for the module's init alone is counted in one of the two cases and not in the other; what is itself gone is not found.
void Resolver::check_time(uint32_t symbol) {
  if (!checked_.insert(symbol).second) return;
  const BinarySymbol& s = parent_.symbols()[symbol];
  if (parent_.section_name(s.section).starts_with(".init") && !is_boundary(s)) {
    diagnostics_.refuse("init-reference", {.function = std::string{s.name}},
                        fmt::format("lies in {} of {}, which is freed when that has started",
                                    parent_.section_name(s.section), parent_name_),
                        "leave out what refers to it: nothing that runs later may");
    return;
  }
  if (parent_name_ == "vmlinux") {
    // kernel/livepatch/core.c, klp_find_object_symbol(): address 0 is "not found". Per-CPU data of x86-64 begins there.
    if (s.value == 0 && !parent_.relocatable())
      diagnostics_.refuse("missing", {.function = std::string{s.name}},
                          "has address 0 in vmlinux, which the kernel takes for a symbol that it hasn't",
                          "patch the callers, or call a function that isn't patched for what needs it");
    return;
  }
  if (const BinarySymbol* twin = parent_.shifts_sympos(symbol))
    diagnostics_.refuse(
        "init-twin", {.function = std::string{s.name}},
        fmt::format(
            "{} has another symbol of that name, in {}, which is there while the module is loaded and not later: "
            "no position means the right one in both cases",
            parent_name_, parent_.section_name(twin->section)),
        "leave it out of the change: copy a function under another name, reach a variable through a pointer to it");
}

Reference Resolver::klp(uint32_t symbol) {
  check_time(symbol);
  const BinarySymbol& s = parent_.symbols()[symbol];
  Reference reference;
  reference.kind = Reference::Kind::klp;
  reference.name = s.name;
  reference.owner = parent_name_;
  reference.sympos = parent_.sympos(symbol);
  reference.symbol = &s;
  const bool called_late = parent_name_ != "vmlinux" && s.name.starts_with("__SCT__");
  if (objtool_reads(orig_.arch(), s.name) && !called_late) {
    // 6.1's objtool takes only a GLOBAL symbol for a trampoline or thunk (tools/objtool/check.c, classify_symbols)
    reference.real_name = reference.global_placeholder = true;
  } else if (parent_name_ == "vmlinux" && s.type == SymbolType::function && s.binding != SymbolBinding::local &&
             reference.sympos == 0 && symvers_.find(s.name) == nullptr) {
    // … but not one that modpost would take for an import (exported()).
    reference.real_name = reference.global_placeholder = true;
  }
  return reference;
}

std::optional<Reference> Resolver::exported(std::string_view name) const {
  const Export* found = symvers_.find(name);
  if (found == nullptr) return std::nullopt;
  Reference reference;
  reference.name = name;
  // Exports for modules of given names (since 6.17) can't be imported by a livepatch; the kernel finds them all the same.
  const bool for_named_modules = found->name_space.starts_with("module:");
  if (!for_named_modules) reference.name_space = found->name_space;
  if (found->owner == "vmlinux" && !for_named_modules) return reference;
  reference.kind = Reference::Kind::klp;
  reference.owner = module_name_of(found->owner);
  return reference;
}

std::optional<uint32_t> Resolver::find_global(std::string_view name) const {
  for (uint32_t id : parent_.named(name))
    if (parent_.symbols()[id].binding != SymbolBinding::local) return id;
  return std::nullopt;
}

std::vector<std::string_view> Resolver::local_names(uint32_t file) const {
  std::vector<std::string_view> names;
  for (const Symbol& s : orig_.symbols()) {
    if (s.global() || s.file != file || s.section == no_section || !identifies_file(s.name)) continue;
    if (section_row(orig_.section(s.section).name).discarded) continue;
    if (s.type == SymbolType::function || s.type == SymbolType::object) names.push_back(s.name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string_view> Resolver::group_names(const FileGroup& group) const {
  std::vector<std::string_view> names;
  for (uint32_t i = group.first; i < group.first + group.count; ++i) {
    const BinarySymbol& s = parent_.symbols()[i];
    if ((s.type == SymbolType::function || s.type == SymbolType::object) && identifies_file(s.name))
      names.push_back(s.name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

// The groups of the parent that match the file's locals in both directions. Clones (names with a dot) may differ
// between a compile with function sections and one without; they count only when nothing else tells groups apart.
const std::vector<uint32_t>& Resolver::groups_of(uint32_t file) {
  auto [it, fresh] = groups_.try_emplace(file);
  if (!fresh) return it->second;
  const std::vector<std::string_view> wanted = local_names(file);
  auto plain = [](std::vector<std::string_view> names) {
    std::erase_if(names, [](std::string_view name) { return name.find('.') != std::string_view::npos; });
    return names;
  };
  std::vector<uint32_t> exact, close;
  for (uint32_t g = 0; g < parent_.files().size(); ++g) {
    const FileGroup& group = parent_.files()[g];
    if (group.name != orig_.file_name(file)) continue;
    const std::vector<std::string_view> names = group_names(group);
    if (names == wanted)
      exact.push_back(g);
    else if (plain(names) == plain(wanted))
      close.push_back(g);
  }
  it->second = exact.empty() ? close : exact;
  return it->second;
}

// The original's object has it, and what runs doesn't: the compiler kept it for us alone, as it does with a variable that
// the kernel reads as a runtime constant, or the source is another.
void Resolver::refuse_missing(SymbolId id) {
  diagnostics_.refuse(
      "missing", place_of(orig_, id),
      fmt::format("is not among the symbols of {}: the code that runs does without it, or has its value "
                  "written into it at boot",
                  parent_name_),
      "patch a function that does without it: a caller, or one that is called; if the kernel is an own one, "
      "see that the source is that of the kernel");
}

std::optional<uint32_t> Resolver::find_local(SymbolId id) {
  const Symbol& s = orig_.symbol(id);
  std::vector<uint32_t> candidates;
  for (uint32_t symbol : parent_.named(s.name))
    if (parent_.symbols()[symbol].binding == SymbolBinding::local && parent_.symbols()[symbol].type == s.type)
      candidates.push_back(symbol);
  if (candidates.size() == 1 && parent_.named(s.name).size() == 1) {
    const uint32_t file = parent_.symbols()[candidates.front()].file;
    if (file == BinarySymbol::no_file || parent_.files()[file].name == orig_.file_name(s.file))
      return candidates.front();
    diagnostics_.refuse("another-file", place_of(orig_, id),
                        fmt::format("is of {}, and the only one that {} has is of {}", orig_.file_name(s.file),
                                    parent_name_, parent_.files()[file].name));
    return std::nullopt;
  }
  if (candidates.empty()) {
    refuse_missing(id);
    return std::nullopt;
  }
  std::vector<uint32_t> found;
  const std::vector<uint32_t>& groups = groups_of(s.file);
  for (uint32_t symbol : candidates)
    if (std::find(groups.begin(), groups.end(), parent_.symbols()[symbol].file) != groups.end())
      found.push_back(symbol);
  if (found.size() == 1) return found.front();
  std::vector<std::string> list;
  for (uint32_t symbol : found.empty() ? candidates : found) {
    const BinarySymbol& c = parent_.symbols()[symbol];
    list.push_back(
        fmt::format("{:#x} of {}", c.value, c.file == BinarySymbol::no_file ? "?" : parent_.files()[c.file].name));
  }
  diagnostics_.refuse("ambiguous", place_of(orig_, id),
                      fmt::format("may be any of these symbols of {}: {}", parent_name_, some_of(list)));
  return std::nullopt;
}

std::optional<Reference> Resolver::defined(SymbolId id) {
  const Symbol& s = orig_.symbol(id);
  if (!s.global()) {
    const auto found = find_local(id);
    return found ? std::optional{klp(*found)} : std::nullopt;
  }
  const auto found = find_global(s.name);
  if (parent_name_ == "vmlinux")
    if (auto reference = exported(s.name); reference && reference->kind == Reference::Kind::plain) {
      if (found) reference->symbol = &parent_.symbols()[*found];
      return reference;
    }
  if (found) return klp(*found);
  refuse_missing(id);
  return std::nullopt;
}

// What another file of the patch no longer calls static is a local of that file in the kernel that runs. A copy of it is
// what another module of the patch would get: nothing then.
std::optional<Reference> Resolver::was_static(std::string_view name) {
  const auto made = made_global_.find(std::string{name});
  if (made == made_global_.end()) return std::nullopt;
  std::vector<uint32_t> candidates;
  for (uint32_t id : parent_.named(name)) {
    const BinarySymbol& s = parent_.symbols()[id];
    if (s.binding == SymbolBinding::local && (s.type == SymbolType::function || s.type == SymbolType::object) &&
        (s.file == BinarySymbol::no_file || parent_.files()[s.file].name == made->second))
      candidates.push_back(id);
  }
  if (candidates.empty()) return std::nullopt;
  if (candidates.size() == 1) return klp(candidates.front());
  diagnostics_.refuse("ambiguous", {.function = std::string{name}},
                      fmt::format("was static in {}, and {} has {} of that name in files of that name", made->second,
                                  parent_name_, candidates.size()));
  return std::nullopt;
}

std::optional<Reference> Resolver::undefined(std::string_view name) {
  if (orig_.arch().in_each_module(name)) {
    Reference reference;
    reference.name = name;
    reference.of_module = true;
    return reference;
  }
  const auto found = find_global(name);
  // A module's own symbol comes before an export of the same name, as the linker had it.
  const bool defined_in_parent = found && parent_.symbols()[*found].defined();
  if (parent_name_ != "vmlinux" && defined_in_parent) return klp(*found);
  if (auto reference = exported(name)) {
    if (defined_in_parent && reference->kind == Reference::Kind::klp) return klp(*found);
    if (defined_in_parent) reference->symbol = &parent_.symbols()[*found];
    return reference;
  }
  if (defined_in_parent) return klp(*found);
  if (auto reference = was_static(name)) return reference;
  Reference reference;
  reference.name = name;
  reference.unknown = true;
  return reference;
}

std::optional<Reference> Resolver::named(std::string_view name) {
  const auto found = orig_names_.find(name);
  if (found != orig_names_.end() && orig_.symbol(found->second).section != no_section) return defined(found->second);
  return undefined(name);
}

}  // namespace kpatch
