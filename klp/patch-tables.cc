// Everybody who makes livepatches says in his own way what is replaced by what, and the livepatch core sees none of it
// before the module runs: only its init function hands over a struct klp_patch. These ways are known:
//
//   kpatch-build  .kpatch.funcs         { new, "meminfo_proc_show", "vmlinux", sympos }                    32 bytes
//   dynup         .kpatch.funcs         { new, size, old, size, sympos, "meminfo_proc_show", "vmlinux" }   56 bytes
//                 .kpatch.callbacks.*   { function, "vmlinux" }, of both; dynup's linker script puts 8 zero bytes behind
//                                       the last one, so that a section without any isn't discarded
//   klp_build     .init.klp_objects     { NULL, functions, 4 callbacks, number }                           56 bytes
//                 .init.klp_funcs       { "meminfo_proc_show", new, sympos }                               24 bytes
//   klp_patch     .data: patch          { THIS_MODULE, objs, states, … } filled by the compiler, in C
//                       objs            { NULL, funcs, 4 callbacks, … } { }
//                       funcs           { "meminfo_proc_show", new, sympos, … } { }
//
// The structs of the last are the kernel's, and their sizes differ from one to the next. They aren't asked for: what
// the compiler has filled shows by its relocations. In objs each pointer to something that begins with a pointer is
// `funcs`, with the name before it and the callbacks behind; in funcs each pointer to code has the name before it.
#include "klp/patch-tables.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>

#include "arch/arch.h"
#include "klp/loader-facts.h"

namespace kpatch {

namespace {

constexpr auto kinds = std::to_array<std::string_view>({"pre_patch", "post_patch", "pre_unpatch", "post_unpatch"});
constexpr uint64_t callbacks_behind = 16;  // struct klp_object: name, funcs, callbacks
constexpr std::string_view callbacks = ".kpatch.callbacks.";

// Where the pointers that ordinary relocations fill point: those of another type write no address there.
class Pointers {
 public:
  explicit Pointers(const KlpElf& elf) {
    const Arch* arch = find_arch(elf.header.e_machine);
    for (const KlpSection& section : elf.sections) {
      if (section.header.sh_type != SHT_RELA || (section.header.sh_flags & shf_rela_livepatch) != 0) continue;
      for (const KlpRelocation& r : section.relocations)
        if (const auto to = elf.place_of(r.symbol, r.addend);
            to && (arch == nullptr || arch->audit == nullptr || r.type == arch->elf.absolute_64))
          targets_.emplace(KlpPlace{section.header.sh_info, r.offset}, *to);
    }
  }
  std::optional<KlpPlace> operator()(KlpPlace field) const {
    const auto found = targets_.find(field);
    return found == targets_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  std::map<KlpPlace, KlpPlace> targets_;
};

class TableReader {
 public:
  explicit TableReader(const KlpElf& elf) : elf_(elf), refers_(elf) {}

  PatchTables run() {
    read_kpatch();
    if (tables_.form == PatchForm::none) read_klp_build();
    if (tables_.form == PatchForm::none) read_klp_patch();
    return std::move(tables_);
  }

 private:
  template <typename Read>
  void each_entry(uint32_t section, uint64_t size, Read read, uint64_t behind = 0) {
    const uint64_t length = elf_.sections[section].bytes.size() - behind;
    if (length % size != 0) tables_.uneven.push_back(elf_.sections[section].name);
    for (uint64_t at = 0; at + size <= length; at += size) read(at);
  }

  // By the first entry's pointers: what is missing in a damaged one of ours isn't there by chance in theirs.
  bool is_dynups(uint32_t section) const {
    return !refers_({section, 8}) && !refers_({section, 16}) && refers_({section, 40}) && refers_({section, 48});
  }

  // Bytes behind the last callback.
  uint64_t behind_callbacks(uint32_t section) const {
    const auto& bytes = elf_.sections[section].bytes;
    const bool padded = tables_.form == PatchForm::dynup && bytes.size() % 16 == 8;
    if (!padded || refers_({section, bytes.size() - 8})) return 0;
    return elf_.u64_at(elf_.sections[section], bytes.size() - 8) == 0 ? 8 : 0;
  }

  void read_kpatch() {
    for (uint32_t i = 1; i < elf_.sections.size(); ++i)
      if (elf_.sections[i].name == ".kpatch.funcs" && elf_.sections[i].header.sh_type != SHT_RELA)
        read_kpatch_functions(i);
    for (uint32_t i = 1; i < elf_.sections.size(); ++i) {
      const std::string& name = elf_.sections[i].name;
      if (elf_.sections[i].header.sh_type == SHT_RELA) continue;
      if (name == ".kpatch.objects")
        each_entry(i, 8, [&](uint64_t at) { tables_.objects.push_back({{i, at}, KlpPlace{i, at}}); });
      if (name.starts_with(callbacks))
        each_entry(
            i, 16,
            [&](uint64_t at) {
              tables_.callbacks.push_back({{i, at}, {i, at}, KlpPlace{i, at + 8}, name.substr(callbacks.size())});
            },
            behind_callbacks(i));
    }
    if (tables_.form == PatchForm::none && !(tables_.objects.empty() && tables_.callbacks.empty()))
      tables_.form = PatchForm::kpatch_build;
  }

  void read_kpatch_functions(uint32_t section) {
    const bool dynups = is_dynups(section);
    tables_.form = dynups ? PatchForm::dynup : PatchForm::kpatch_build;
    each_entry(section, dynups ? 56 : 32, [&](uint64_t at) {
      const uint64_t name = dynups ? 40 : 8, object = dynups ? 48 : 16, sympos = dynups ? 32 : 24;
      tables_.functions.push_back({{section, at},
                                   {section, at},
                                   {section, at + name},
                                   KlpPlace{section, at + object},
                                   elf_.u64_at(elf_.sections[section], at + sympos)});
    });
  }

  void add_callbacks(KlpPlace object) {
    const bool named = refers_(object).has_value();
    for (size_t i = 0; i < kinds.size(); ++i) {
      const KlpPlace field{object.section, object.offset + callbacks_behind + 8 * i};
      if (refers_(field))
        tables_.callbacks.push_back(
            {field, field, named ? std::optional(object) : std::nullopt, std::string(kinds[i])});
    }
  }

  // kernel: include/linux/livepatch_external.h.
  void read_klp_build() {
    const auto objects = elf_.find_section(".init.klp_objects");
    if (!objects) return;
    tables_.form = PatchForm::klp_build;
    each_entry(*objects, 56, [&](uint64_t at) {
      const KlpPlace object{*objects, at};
      const auto owner = refers_(object) ? std::optional(object) : std::nullopt;
      tables_.objects.push_back({object, owner});
      add_callbacks(object);
      const auto functions = refers_({*objects, at + 8});
      if (!functions || functions->section >= elf_.sections.size()) return;
      const KlpSection& home = elf_.sections[functions->section];
      const uint32_t number = elf_.u32_at(elf_.sections[*objects], at + 48);
      for (uint64_t i = 0, f = functions->offset; i < number && f + 24 <= home.bytes.size(); ++i, f += 24)
        tables_.functions.push_back({{functions->section, f},
                                     {functions->section, f + 8},
                                     {functions->section, f},
                                     owner,
                                     elf_.u64_at(home, f + 16)});
    });
  }

  bool is_data(KlpPlace place) const {
    if (place.section >= elf_.sections.size()) return false;
    const KlpSection& section = elf_.sections[place.section];
    return section.allocated() && (section.header.sh_flags & SHF_EXECINSTR) == 0 &&
           place.offset < section.header.sh_size;
  }
  bool is_code(KlpPlace place) const {
    return place.section < elf_.sections.size() && (elf_.sections[place.section].header.sh_flags & SHF_EXECINSTR) != 0;
  }

  // The variable that begins at a place ends there; nothing where none does.
  std::optional<uint64_t> end_of_variable(KlpPlace place) const {
    for (const KlpSymbol& symbol : elf_.symbols)
      if (symbol.type() == STT_OBJECT && symbol.entry.st_shndx == place.section &&
          symbol.entry.st_value == place.offset && symbol.entry.st_size != 0)
        return std::min(symbol.entry.st_value + symbol.entry.st_size, elf_.sections[place.section].header.sh_size);
    return std::nullopt;
  }
  uint64_t end_of(KlpPlace place) const {
    return end_of_variable(place).value_or(elf_.sections[place.section].header.sh_size);
  }

  bool is_name(KlpPlace place) const {
    const auto text = elf_.string_at(place);
    return is_data(place) && text && !text->empty() && std::all_of(text->begin(), text->end(), [](unsigned char c) {
             return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '$';
           });
  }

  // Does an array of struct klp_func begin there? Its first row may lack the function, where a variable begins.
  bool begins_functions(KlpPlace place) const {
    if (!is_data(place)) return false;
    const auto name = refers_(place), function = refers_({place.section, place.offset + 8});
    if (!name || !is_data(*name)) return false;
    return function ? is_code(*function) : is_name(*name) && end_of_variable(place);
  }
  bool begins_objects(KlpPlace place) const {
    if (!is_data(place)) return false;
    const auto functions = refers_({place.section, place.offset + 8});
    return functions && begins_functions(*functions);
  }

  void read_klp_patch() {
    const auto enables = [](const KlpSymbol& s) {
      return s.entry.st_shndx == SHN_UNDEF && s.name == "klp_enable_patch";
    };
    if (std::none_of(elf_.symbols.begin(), elf_.symbols.end(), enables)) return;
    for (const KlpSection& list : elf_.sections) {
      if (list.header.sh_type != SHT_RELA || !is_data({list.header.sh_info, 0})) continue;
      for (const KlpRelocation& r : list.relocations) {
        if (elf_.symbols[r.symbol].name != "__this_module" || r.addend != 0) continue;
        const auto objects = refers_({list.header.sh_info, r.offset + 8});
        if (!objects || !begins_objects(*objects)) continue;
        read_objects(*objects);
        // A kernel before 5.5 has no such field, and nothing else that is a pointer there.
        const auto states = refers_({list.header.sh_info, r.offset + 16});
        tables_.has_states = tables_.has_states || (states && is_data(*states));
      }
    }
  }

  void read_objects(KlpPlace objects) {
    tables_.form = PatchForm::klp_patch;
    const uint64_t end = end_of(objects);
    for (uint64_t at = objects.offset; at + callbacks_behind <= end; at += 8) {
      const KlpPlace object{objects.section, at};
      const auto functions = refers_({objects.section, at + 8});
      if (!functions || !begins_functions(*functions)) continue;
      const auto owner = refers_(object) ? std::optional(object) : std::nullopt;
      tables_.objects.push_back({object, owner});
      add_callbacks(object);
      read_functions(*functions, owner);
      at += callbacks_behind;
    }
  }

  void read_functions(KlpPlace functions, std::optional<KlpPlace> owner) {
    const uint64_t end = end_of(functions);
    const bool alone = end_of_variable(functions).has_value();
    for (uint64_t at = functions.offset; at + 24 <= end; at += 8) {
      const KlpPlace field{functions.section, at};
      // Within the array a pointer to data is a name, and whoever has one wants a function.
      const auto name = refers_(field);
      if (!begins_functions(field) && !(alone && name && is_name(*name))) continue;
      tables_.functions.push_back(
          {field, {field.section, at + 8}, field, owner, elf_.u64_at(elf_.sections[field.section], at + 16)});
      at += 16;
    }
  }

  const KlpElf& elf_;
  const Pointers refers_;
  PatchTables tables_;
};

// The string that a field points to; empty: to none.
std::string text_at(const KlpElf& elf, const Pointers& refers, KlpPlace field) {
  const auto to = refers(field);
  const auto string = to ? elf.string_at(*to) : std::nullopt;
  return std::string(string.value_or(""));
}

}  // namespace

std::string_view name_of(PatchForm form) {
  switch (form) {
    case PatchForm::none:
      return "none that is known";
    case PatchForm::kpatch_build:
      return "kpatch-build";
    case PatchForm::dynup:
      return "dynup kpatch";
    case PatchForm::klp_build:
      return "klp-build";
    case PatchForm::klp_patch:
      return "struct klp_patch";
  }
  return "";
}

PatchTables read_patch_tables(const KlpElf& elf) { return TableReader(elf).run(); }

std::vector<Replacement> replacements_of(const KlpElf& elf, const PatchTables& tables) {
  const Pointers refers(elf);
  const auto text = [&](KlpPlace field) { return text_at(elf, refers, field); };
  const auto function = [&](KlpPlace field) {
    const auto to = refers(field);
    const auto found = std::find_if(elf.symbols.begin(), elf.symbols.end(), [&](const KlpSymbol& s) {
      return to && s.type() == STT_FUNC && KlpPlace{s.entry.st_shndx, s.entry.st_value} == *to &&
             !s.name.starts_with("__pfx_") && !s.name.starts_with("__cfi_");
    });
    return found == elf.symbols.end() ? std::string() : found->name;
  };
  std::vector<Replacement> list;
  for (const PatchedFunction& f : tables.functions)
    list.push_back({f.object ? text(*f.object) : "vmlinux", text(f.name), f.sympos, function(f.new_function)});
  std::sort(list.begin(), list.end());
  return list;
}

std::vector<NamedCallback> callbacks_of(const KlpElf& elf, const PatchTables& tables) {
  const Pointers refers(elf);
  std::vector<NamedCallback> list;
  for (const PatchCallback& callback : tables.callbacks)
    list.push_back({callback.object ? text_at(elf, refers, *callback.object) : "vmlinux", callback.kind});
  return list;
}

}  // namespace kpatch
