// Would the livepatch core resolve and patch what the module names?
//
// .kpatch.funcs says which function is replaced by which (doc/formats.md):
//
//   { .text.show + 10, "meminfo_proc_show", "vmlinux", 0 }
//
// The old one must be found by name and sympos exactly once, be traced by ftrace (that is how it is redirected), and
// be code that is still there after boot. The new one must be a function of the module that stays.
//
// Klp symbols are looked up in the same way. A vmlinux counts its symbols by address. A module counts in symbol table
// order, but while it is loading its init symbols count too, and later they don't: a sympos that means one symbol
// before and another after is refused.
//
// Klp relocations of module sections come late: see post-link.cc for what that forbids. One thing more is seen only
// here: an alternative, applied long before, may have overwritten the instruction that the relocation belongs to.
#include <algorithm>
#include <map>
#include <tuple>

#include <fmt/format.h>

#include "klp/audit-parts.h"
#include "lookup/lookup.h"
#include "support/text.h"

namespace kpatch {

namespace {

bool init_section(std::string_view name) { return name.starts_with(".init"); }

// The kernel finds exactly one address for that name and position, or the message says why not.
struct Lookup {
  const BinarySymbol* symbol = nullptr;
  std::string problem;
};

Lookup kernel_lookup(const Binary& object, std::string_view object_name, std::string_view name, unsigned long sympos) {
  auto found = object.named(name);
  if (found.empty()) return {nullptr, fmt::format("{} has no symbol {}", object_name, name)};
  if (sympos == 0 && found.size() > 1)
    return {nullptr, fmt::format("{} has {} symbols {}, and sympos is 0", object_name, found.size(), name)};
  if (sympos > found.size())
    return {nullptr, fmt::format("{} has {} symbols {}, and sympos is {}", object_name, found.size(), name, sympos)};
  size_t rank = sympos == 0 ? 0 : sympos - 1;
  const BinarySymbol& symbol = object.symbols()[found[rank]];
  if (!object.relocatable() && symbol.value == 0)
    return {nullptr, fmt::format("{} of {} has address 0, which the kernel takes for not found", name, object_name)};
  if (init_section(object.section_name(symbol.section)))
    return {nullptr,
            fmt::format("{} of {} is in {}, which is freed", name, object_name, object.section_name(symbol.section))};
  if (object.shifts_sympos(found[rank]) != nullptr)
    return {nullptr,
            fmt::format("{} of {} is counted otherwise once the module's init part is freed", name, object_name)};
  return {&symbol, ""};
}

class TableAudit {
 public:
  explicit TableAudit(AuditContext& context) : c_(context), elf_(context.elf) {}

  void run() {
    const PatchTables tables = read_patch_tables(elf_);
    for (const std::string& section : tables.uneven)
      c_.find_in("patch-table", {.section = section}, "no whole number of entries");
    for (const PatchedFunction& function : tables.functions) check_function(function);
    for (const PatchCallback& callback : tables.callbacks) check_callback(callback);
    for (const PatchedObjectName& object : tables.objects) check_object(object);
    if (c_.patched_objects.empty()) say_that_nothing_is_patched();
  }

 private:
  void say_that_nothing_is_patched() {
    const auto enables = [](const KlpSymbol& s) {
      return s.entry.st_shndx == SHN_UNDEF && s.name == "klp_enable_patch";
    };
    if (c_.input.ours)
      c_.find_in("patch-table", {.section = ".kpatch.funcs"}, "the module patches nothing");
    else if (std::any_of(elf_.symbols.begin(), elf_.symbols.end(), enables))
      c_.object_to("patch-table", {},
                   "what it replaces can't be told: none of its tables is of a form that is known, it makes them when "
                   "it is loaded");
    else
      c_.find("patch-table", "it is no livepatch: it never calls klp_enable_patch");
  }

  std::optional<std::string_view> text(KlpPlace field) {
    auto place = c_.refers(field);
    auto string = place ? elf_.string_at(*place) : std::nullopt;
    if (string && !string->empty()) return string;
    c_.find_at("patch-table", field, "points at no string");
    return std::nullopt;
  }

  void check_new_function(KlpPlace field, std::string_view what) {
    auto place = c_.refers(field);
    if (!place || place->section >= elf_.sections.size() || !c_.function_starts_at(*place))
      return c_.find_at("patch-table", field, fmt::format("{}: points at no function of the module", what));
    const KlpSection& section = elf_.sections[place->section];
    if ((section.header.sh_flags & SHF_EXECINSTR) == 0)
      c_.find_at("patch-table", field, fmt::format("{}: its function is in {}, which isn't code", what, section.name));
    if (init_section(section.name))
      c_.find_at("patch-table", field, fmt::format("{}: its function is in {}, which is freed", what, section.name));
  }

  // Nothing, after a finding, when it points at no string; nothing where to point from: NULL.
  std::optional<std::string_view> object_name(const std::optional<KlpPlace>& field) {
    return field ? text(*field) : std::optional<std::string_view>("vmlinux");
  }

  void check_function(const PatchedFunction& function) {
    auto name = text(function.name);
    auto object_name = this->object_name(function.object);
    const uint64_t sympos = function.sympos;
    c_.new_functions.insert(function.new_function);
    check_new_function(function.new_function, name.value_or("?"));
    if (!name || !object_name) return;
    note_object(function.object.value_or(function.entry), *object_name);
    if (name->size() > c_.loader.max_symbol_name())
      c_.find_at(
          "patch-table", function.name,
          fmt::format("{} is longer than {} characters: klp_enable_patch fails", *name, c_.loader.max_symbol_name()));
    // The positions 0 and 1 have one name in sysfs.
    if (!seen_.emplace(fmt::format("{} {} {}", *object_name, *name, std::max<uint64_t>(sympos, 1))).second)
      c_.find_at("patch-table", function.entry, fmt::format("{} of {} is replaced twice", *name, *object_name));
    const Binary* object = c_.object(*object_name);
    if (object == nullptr) return;
    Lookup found = kernel_lookup(*object, *object_name, *name, sympos);
    if (found.symbol == nullptr) return c_.find_at("patch-table", function.entry, found.problem);
    if (found.symbol->type != SymbolType::function)
      c_.find_at("patch-table", function.entry, fmt::format("{} of {} is no function", *name, *object_name));
    else if (!found.symbol->has_ftrace_site)
      c_.find_at("patch-table", function.entry,
                 fmt::format("{} of {} has no ftrace site, so it can't be redirected", *name, *object_name));
    else
      check_place(function.entry, *object_name, *name, *found.symbol);
  }

  // Two names of one code: who calls the one would get what replaces the other.
  void check_place(KlpPlace entry, std::string_view object, std::string_view name, const BinarySymbol& symbol) {
    const auto [first, fresh] =
        redirected_.emplace(std::tuple{std::string(object), symbol.section, symbol.value}, name);
    if (!fresh && first->second != name)
      c_.find_at("patch-table", entry,
                 fmt::format("{} of {} is at the address of {}, which is replaced too: a place is redirected once",
                             name, object, first->second));
  }

  void check_callback(const PatchCallback& callback) {
    check_new_function(callback.function, "callback");
    auto object_name = this->object_name(callback.object);
    if (!object_name) return;
    note_object(callback.object.value_or(callback.entry), *object_name);
    c_.object(*object_name);
    if (!seen_.emplace(fmt::format("{} {}", callback.kind, *object_name)).second)
      c_.find_at("patch-table", callback.entry,
                 fmt::format("{} has another callback of this kind: the kernel knows one of each", *object_name));
  }

  // Compared with the names of loaded modules, which have no dash, and cut at a dot in names of klp sections.
  void note_object(KlpPlace field, std::string_view name) {
    if (!c_.patched_objects.emplace(name).second) return;
    if (name.size() > max_object_name || name.find_first_of(".-") != std::string_view::npos)
      c_.find_at("patch-table", field,
                 fmt::format("'{}' is no name of a module: it has a dot or a dash, or more than {} characters", name,
                             max_object_name));
  }

  // One whose functions stay, while new code of it needs the object's symbols.
  void check_object(const PatchedObjectName& object) {
    auto object_name = this->object_name(object.object);
    if (!object_name) return;
    c_.patched_objects.emplace(*object_name);
    c_.object(*object_name);
  }

  AuditContext& c_;
  const KlpElf& elf_;
  std::set<std::string> seen_;
  std::map<std::tuple<std::string, uint32_t, uint64_t>, std::string> redirected_;  // object, section, place: by name
};

// A stretch of code that an alternative overwrites when the module is loaded.
struct Overwritten {
  KlpPlace start;
  uint64_t length = 0;
};

class KlpAudit {
 public:
  explicit KlpAudit(AuditContext& context) : c_(context), elf_(context.elf) {}

  void run() {
    check_symbols();
    read_alternatives();
    for (uint32_t i = 1; i < elf_.sections.size(); ++i)
      if (elf_.sections[i].header.sh_type == SHT_RELA) check_section(elf_.sections[i]);
  }

 private:
  void check_symbols() {
    for (const KlpSymbol& symbol : elf_.symbols) {
      bool livepatch = symbol.entry.st_shndx == shn_livepatch;
      if (livepatch != symbol.name.starts_with(".klp.sym.")) {
        c_.find("klp-symbol", fmt::format("symbol {} is {} a livepatch symbol", symbol.name,
                                          livepatch ? "not named like" : "named like, but isn't marked as"));
      } else if (livepatch) {
        auto name = parse_klp_symbol(symbol.name, c_.loader.max_symbol_name());
        if (!name) {
          c_.find("klp-symbol", fmt::format("symbol {} can't be read by the kernel", symbol.name));
          continue;
        }
        const Binary* object = c_.object(name->owner);
        if (object == nullptr) continue;
        Lookup found = kernel_lookup(*object, name->owner, name->name, name->sympos);
        if (found.symbol == nullptr) c_.find("klp-symbol", fmt::format("symbol {}: {}", symbol.name, found.problem));
      }
    }
  }

  // kernel: struct alt_instr begins with the offset of the instruction and ends with two lengths, the old one first.
  // Entries that are wrong are found by audit-loader.cc.
  void read_alternatives() {
    auto index = elf_.find_section(".altinstructions");
    if (!index) return;
    const KlpSection& section = elf_.sections[*index];
    const LoaderSection* row = c_.loader.section(section.name);
    const uint64_t size = row == nullptr ? 0 : c_.loader.entry_size(*row);
    if (size < 10) return;
    for (uint64_t at = 0; at + size <= section.bytes.size(); at += size) {
      const AuditedRelocation* site = c_.relocation_at({*index, at});
      auto start = site == nullptr ? std::nullopt : elf_.place_of(site->raw.symbol, site->raw.addend);
      if (start) overwritten_.push_back({*start, static_cast<uint64_t>(section.bytes[at + size - 2])});
    }
    std::sort(overwritten_.begin(), overwritten_.end(), [](auto& a, auto& b) { return a.start < b.start; });
  }

  bool overwritten(KlpPlace place) const {
    auto next = std::upper_bound(overwritten_.begin(), overwritten_.end(), place,
                                 [](const KlpPlace& p, const Overwritten& o) { return p < o.start; });
    if (next == overwritten_.begin()) return false;
    const Overwritten& before = *(next - 1);
    return before.start.section == place.section && place.offset - before.start.offset < before.length;
  }

  void check_section(const KlpSection& section) {
    const KlpSection& target = elf_.sections[section.header.sh_info];
    bool livepatch = (section.header.sh_flags & shf_rela_livepatch) != 0;
    if (livepatch) {
      if (!check_section_name(section, target)) return;
    } else if (section.name.starts_with(".klp.rela.")) {
      c_.find("klp-relocation", fmt::format("section {} isn't marked as a livepatch relocation section", section.name));
    }
    if (!target.allocated()) return;
    for (const KlpRelocation& relocation : section.relocations) {
      KlpPlace place{section.header.sh_info, relocation.offset};
      check_range(relocation, place);
      const KlpSymbol& symbol = elf_.symbols[relocation.symbol];
      if (livepatch)
        check_klp(relocation, place, section);
      else if (symbol.entry.st_shndx == shn_livepatch)
        c_.find_at("klp-relocation", place,
                   fmt::format("an ordinary relocation against {}, which the loader leaves 0", symbol.name));
    }
  }

  bool check_section_name(const KlpSection& section, const KlpSection& target) {
    constexpr std::string_view prefix = ".klp.rela.";
    std::string_view rest = section.name;
    size_t dot = rest.find('.', prefix.size());
    if (!rest.starts_with(prefix) || dot == std::string_view::npos || dot == prefix.size() ||
        dot - prefix.size() > max_object_name || rest.substr(dot + 1) != target.name) {
      c_.find("klp-relocation",
              fmt::format("section {} is not named .klp.rela.OBJECT{}", section.name, "." + target.name));
      return false;
    }
    std::string_view object = rest.substr(prefix.size(), dot - prefix.size());
    if (object != "vmlinux" && !c_.patched_objects.contains(object))
      c_.find_in("module-reference", {.section = section.name},
                 fmt::format("the patch names no object {}: nobody would apply its relocations", object));
    if (!section.allocated()) c_.find("klp-relocation", fmt::format("section {} isn't kept in memory", section.name));
    if (!seen_.insert(section.name).second)
      c_.find("klp-relocation", fmt::format("section {} is there twice", section.name));
    object_ = object;
    return true;
  }

  void check_klp(const KlpRelocation& relocation, KlpPlace place, const KlpSection& section) {
    const KlpSection& target = elf_.sections[place.section];
    const KlpSymbol& symbol = elf_.symbols[relocation.symbol];
    auto name = parse_klp_symbol(symbol.name);
    if (symbol.entry.st_shndx != shn_livepatch || !name)
      return c_.find_at(
          "klp-relocation", place,
          fmt::format("a klp relocation against {}, which is no livepatch symbol", c_.target_name(relocation.symbol)));
    if (const AuditedRelocation* first = c_.relocation_at(place);
        first != nullptr && first->raw.symbol != relocation.symbol)
      c_.find_at("klp-relocation", place, fmt::format("a klp relocation against {} and another one", symbol.name));
    check_field(relocation, place, symbol.name);
    if (object_ == "vmlinux") {
      if (name->owner != "vmlinux")
        c_.find_at("module-reference", place,
                   fmt::format("code of the kernel proper refers to {} of module {}, which needn't be there",
                               name->name, name->owner));
      return;
    }
    if (name->owner == "vmlinux")
      c_.find_at("klp-relocation", place,
                 fmt::format("{} is in {}: the kernel takes symbols of vmlinux in .klp.rela.vmlinux.* alone",
                             symbol.name, section.name));
    else if (name->owner != object_)
      check_dependency(place, name->owner, symbol.name);
    if (section_row(target.name).early || c_.loader.early(target.name))
      c_.find_at("klp-relocation", place,
                 fmt::format("{}: the kernel reads {} before it applies relocations of module {}", symbol.name,
                             target.name, object_));
    if (overwritten(place))
      c_.find_at("klp-relocation", place,
                 fmt::format("{}: an alternative overwrites the code before the relocation comes", symbol.name));
  }

  void check_field(const KlpRelocation& relocation, KlpPlace place, const std::string& symbol) {
    if (c_.arch == nullptr || c_.arch->klp.field_size == nullptr) return;
    auto size = c_.arch->klp.field_size(relocation.type);
    if (!size)
      return c_.find_at("klp-relocation", place,
                        fmt::format("{}: the kernel applies no type {}", symbol, relocation.type));
    const std::vector<std::byte>& bytes = elf_.sections[place.section].bytes;
    if (place.offset > bytes.size() || bytes.size() - place.offset < *size) return;  // check_range() says so
    if (!c_.arch->klp.zero_fields) return;
    auto field = bytes.begin() + static_cast<ptrdiff_t>(place.offset);
    if (std::any_of(field, field + *size, [](std::byte b) { return b != std::byte{0}; }))
      c_.find_at("klp-relocation", place, fmt::format("{}: the field isn't zero, which the kernel refuses", symbol));
  }

  // A symbol of a third object is there for sure only if the patched one needs that object itself.
  void check_dependency(KlpPlace place, std::string_view owner, const std::string& symbol) {
    const Binary* object = c_.object(object_);
    if (object == nullptr) return;
    auto [known, fresh] = needs_.try_emplace(std::string(object_));
    if (fresh) known->second = dependencies(*object, [&](std::string_view name) { return c_.object(name); });
    if (!known->second.contains(std::string(owner)))
      c_.find_at("module-reference", place,
                 fmt::format("{}: module {} does not depend on {}, which may be missing", symbol, object_, owner));
  }

  // The field lies in its section, and the code it refers to in its own.
  void check_range(const KlpRelocation& relocation, KlpPlace place) {
    const KlpSection& section = elf_.sections[place.section];
    const bool known = c_.arch != nullptr && c_.arch->klp.field_size != nullptr;
    const unsigned width = known ? c_.arch->klp.field_size(relocation.type).value_or(1) : 1;
    if (place.offset > section.header.sh_size || section.header.sh_size - place.offset < width)
      c_.find_at(
          "klp-relocation", place,
          fmt::format("the relocation against {} reaches beyond its section", c_.target_name(relocation.symbol)));
    // Compilers form addresses outside of a table when an index corrects them, but never outside of code. PC-relative
    // addends hold the distance to the end of the instruction, at most 8 bytes.
    const KlpSymbol& symbol = elf_.symbols[relocation.symbol];
    if (!symbol.in_section()) return;
    const KlpSection& home = elf_.sections[symbol.entry.st_shndx];
    if ((home.header.sh_flags & SHF_EXECINSTR) == 0) return;
    int64_t target = static_cast<int64_t>(symbol.entry.st_value) + relocation.addend;
    if (target < -8 || target > static_cast<int64_t>(home.header.sh_size))
      c_.find_at("klp-relocation", place,
                 fmt::format("the relocation against {}{:+} points outside of {}", c_.target_name(relocation.symbol),
                             relocation.addend, home.name));
  }

  AuditContext& c_;
  const KlpElf& elf_;
  std::vector<Overwritten> overwritten_;  // by place
  std::set<std::string> seen_;
  std::map<std::string, std::set<std::string>> needs_;  // by module
  std::string_view object_;                             // whose section is being checked
};

}  // namespace

void audit_tables(AuditContext& context) { TableAudit(context).run(); }

void audit_klp(AuditContext& context) { KlpAudit(context).run(); }

}  // namespace kpatch
