// A test that passes for another reason than the livepatch's functions proves nothing: it may look at
// /sys/kernel/livepatch, at /proc/modules, or at what only the second try changes. So it runs once more with a module
// that is loaded in the same way, and whose functions nobody calls:
//
//     .kpatch.funcs   { new, "meminfo_proc_show", "vmlinux" }   ->   { new, "meminfo_proc_show", "eminfo_proc_show" }
//
// Each function's object becomes one of a name that no module has, the end of the function's own name. The livepatch core
// takes it for a module that may come later, and redirects nothing until then. To take the rows out wouldn't do: the
// core refuses a livepatch without objects, and the test would fail for want of one. Of other makers' tables the names
// of objects are such fields, too; NULL, which stands for vmlinux, gets the relocation that a name would have.
#include "try/control.h"

#include <algorithm>
#include <map>
#include <optional>

#include "klp/klp.h"

namespace kpatch {

namespace {

constexpr size_t longest_tail = 24;  // bytes; MODULE_NAME_LEN is 56

struct Field {
  KlpSection* table;
  size_t number;
};

class Fields {
 public:
  explicit Fields(KlpElf& elf) {
    for (KlpSection& section : elf.sections)
      if (section.header.sh_type == SHT_RELA && (section.header.sh_flags & shf_rela_livepatch) == 0)
        for (size_t i = 0; i < section.relocations.size(); ++i)
          fields_.emplace(KlpPlace{section.header.sh_info, section.relocations[i].offset}, Field{&section, i});
  }
  const Field* at(KlpPlace place) const {
    const auto found = fields_.find(place);
    return found == fields_.end() ? nullptr : &found->second;
  }

 private:
  std::map<KlpPlace, Field> fields_;
};

// The relocation that makes a field the end of the name that `from` fills its own with.
std::optional<KlpRelocation> to_tail(const KlpElf& elf, const KlpRelocation& from, uint64_t offset) {
  const auto place = elf.place_of(from.symbol, from.addend);
  const auto name = place ? elf.string_at(*place) : std::nullopt;
  if (!name || name->size() < 2) return std::nullopt;
  KlpRelocation to = from;
  to.offset = offset;
  to.addend += static_cast<int64_t>(std::max<size_t>(1, name->size() - std::min(name->size(), longest_tail)));
  return to;
}

}  // namespace

bool redirect_nothing(KlpElf& module) {
  const PatchTables tables = read_patch_tables(module);
  const Fields fields(module);
  // A function's object is a field of its own row, or of the object that the row belongs to.
  const bool own_fields = tables.form == PatchForm::kpatch_build || tables.form == PatchForm::dynup;
  std::map<KlpPlace, std::pair<KlpSection*, KlpRelocation>> changes;
  const auto change = [&](KlpPlace object, const PatchedFunction& function) {
    const Field* name = fields.at(function.name);
    const auto to = name ? to_tail(module, name->table->relocations[name->number], object.offset) : std::nullopt;
    const Field* there = fields.at(object);
    KlpSection* table = there ? there->table : nullptr;
    for (KlpSection& section : module.sections)
      if (table == nullptr && section.header.sh_type == SHT_RELA && section.header.sh_info == object.section &&
          (section.header.sh_flags & shf_rela_livepatch) == 0)
        table = &section;
    if (!to || table == nullptr) return false;
    changes.insert_or_assign(object, std::pair(table, *to));
    return true;
  };
  if (tables.functions.empty()) return false;
  if (own_fields) {
    for (const PatchedFunction& function : tables.functions)
      if (!function.object || !change(*function.object, function)) return false;
  } else {
    for (const PatchedObjectName& object : tables.objects)
      if (!change(object.entry, tables.functions.front())) return false;
  }
  if (changes.empty()) return false;
  for (const auto& [place, to] : changes) {
    const Field* there = fields.at(place);
    if (there != nullptr)
      there->table->relocations[there->number] = to.second;
    else
      to.first->relocations.push_back(to.second);
  }
  return true;
}

}  // namespace kpatch
