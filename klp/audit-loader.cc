// Would the kernel read each section of the module, and as it was meant? What its loader looks for is in
// klp/loader-model.h, doc/loader.md tells the whole. A mistake here is silent in the kernel:
//
//   __bug_table     0  →  .text.show + 4f      12 bytes an entry up to 6.18, 16 since: a table of the wrong ones loads,
//                   4  →  .rodata.str          and its second trap is an oops
//   .return_sites   0     (no relocation)      apply_returns decodes what happens to be there
//   .initcall6.init                            do_initcalls reads vmlinux's range: never called
//   .rodata.sizes                              nobody refers to it: whatever changed in it has no effect
//
// A section that arch/sections.cc doesn't let into a livepatch is one that nobody has thought about: the kernel might
// give it a meaning, as it does to _ftrace_events, and the patch would have effects beyond its functions.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "klp/audit-parts.h"
#include "lookup/lookup.h"

namespace kpatch {

namespace {

constexpr std::string_view per_cpu = ".data..percpu";

class LoaderAudit {
 public:
  explicit LoaderAudit(AuditContext& context) : c_(context), elf_(context.elf), model_(context.loader) {}

  void run() {
    if (!model_.knows_release())
      c_.find("loader-section", fmt::format("'{}' is no release of a kernel", c_.input.release));
    for (const KlpSection& section : elf_.sections)
      if (section.allocated())
        check_section(section);
      else
        check_lost(section);
    for (uint32_t i = 1; i < elf_.sections.size(); ++i) {
      check_bytes(i);
      check_relocations_kind(elf_.sections[i]);
    }
    check_equal_names();
    for (uint32_t i = 1; i < elf_.sections.size(); ++i)
      if (elf_.sections[i].allocated() && elf_.sections[i].header.sh_size != 0) check_entries(i);
    check_per_cpu();
    check_fields();
    check_reach();
    check_module();
  }

 private:
  void find_section(const KlpSection& section, std::string message) {
    c_.find_in("loader-section", {.section = section.name}, std::move(message));
  }

  void check_section(const KlpSection& section) {
    const LoaderSection* row = model_.section(section.name);
    const BootSection* boot = model_.boot_section(section.name);
    if (boot != nullptr)
      find_section(section,
                   fmt::format("the kernel reads such sections in vmlinux alone ({}), not in modules", boot->reader));
    else if (section.name != per_cpu && section.name.starts_with(per_cpu))
      find_section(section,
                   fmt::format("the loader knows {} alone: this would be data that all processors share", per_cpu));
    else if (!section.name.starts_with(".kpatch") && !section_row(section.name).delivered && !is_known(section))
      c_.object_to("loader-section", {.section = section.name},
                   row == nullptr ? "has a meaning for the kernel or for nobody, and is not known here"
                                  : fmt::format("{} would read it: the patch would have effects beyond its functions",
                                                row->reader));
    if (section.name == per_cpu && section.header.sh_type == SHT_NOBITS && section.header.sh_size != 0)
      find_section(section, "has no bytes in the file: percpu_modcopy would copy what follows it there");
    if (row != nullptr && row->written && (section.header.sh_flags & SHF_WRITE) == 0 && section.header.sh_size != 0)
      find_section(section, fmt::format("isn't writable, and {} writes to it: a fault", row->reader));
  }

  // Memory that begins as zeros can be written, and nothing else fills it. A text ends before its section does.
  void check_bytes(uint32_t index) {
    const KlpSection& section = elf_.sections[index];
    const uint64_t flags = section.header.sh_flags;
    if (!section.allocated() || section.header.sh_size == 0) return;
    if (section.header.sh_type == SHT_NOBITS) {
      if ((flags & SHF_EXECINSTR) != 0 || (flags & SHF_WRITE) == 0 || !c_.relocations(index).empty())
        find_section(section, "has no bytes in the file: it would be zeros");
    } else if ((flags & SHF_STRINGS) != 0 && !section.bytes.empty() && section.bytes.back() != std::byte{0}) {
      find_section(section, "its last text doesn't end");
    }
  }

  // The loader goes by the type and the number of the section, linkers name such a section by both.
  void check_relocations_kind(const KlpSection& section) {
    const bool late = section.name.starts_with(".klp.rela.");
    const std::string_view rest = section.name.starts_with(".rela") ? std::string_view(section.name).substr(5) : "";
    // "" is the name of no section but the first, which is none.
    const KlpSection& target = elf_.sections[rest.empty() ? 0 : elf_.find_section(rest).value_or(0)];
    if (section.header.sh_size == 0 || (!late && !target.allocated())) return;
    if (section.header.sh_type != SHT_RELA)
      find_section(section, "holds relocations by its name, and isn't of their type: nobody would apply them");
    else if (!late && elf_.sections[section.header.sh_info].name != target.name)
      c_.object_to("loader-section", {.section = section.name},
                   fmt::format("its relocations change {}", elf_.sections[section.header.sh_info].name));
  }

  // kernel: find_sec() and section_objs() pass over what isn't SHF_ALLOC. Notes are for people.
  void check_lost(const KlpSection& section) {
    const LoaderSection* row = model_.section(section.name);
    if (row != nullptr && section.header.sh_size != 0 && section.header.sh_type != SHT_RELA &&
        section.header.sh_type != SHT_NOTE && section.name != ".modinfo")
      find_section(section, fmt::format("isn't kept in memory: {} doesn't find it", row->reader));
  }

  // What others have in their livepatches, and kbuild in any module.
  bool is_known(const KlpSection& section) const {
    return !c_.input.ours && (section.name == ".init.klp_objects" || section.name == ".init.klp_funcs" ||
                              section.name == ".BTF" || section.name == ".BTF.base");
  }

  // Of two sections with one name the loader reads one, and the sections' files in sysfs clash.
  void check_equal_names() {
    std::map<std::string_view, unsigned> counts;
    for (const KlpSection& section : elf_.sections)
      if (section.allocated() && section.header.sh_size != 0 && section.header.sh_type != SHT_RELA)
        ++counts[section.name];
    for (const auto& [name, count] : counts) {
      if (count == 1) continue;
      const LoaderSection* row = model_.section(name);
      const bool read = row != nullptr && !row->prefix;
      if (read)
        c_.find_in("loader-section", {.section = std::string(name)},
                   fmt::format("is there {} times: {} reads one of them", count, row->reader));
      else if (model_.refuses_equal_names())
        c_.find_in("loader-section", {.section = std::string(name)},
                   fmt::format("is there {} times: loading fails with EEXIST", count));
    }
  }

  bool is_code(uint32_t section) const {
    return section < elf_.sections.size() && elf_.sections[section].allocated() &&
           (elf_.sections[section].header.sh_flags & SHF_EXECINSTR) != 0;
  }

  // Those that write nothing don't count.
  bool writes(const AuditedRelocation& relocation) const {
    return c_.arch == nullptr || c_.arch->klp.field_size == nullptr ||
           c_.arch->klp.field_size(relocation.raw.type).value_or(1) != 0;
  }

  void check_entries(uint32_t index) {
    const KlpSection& section = elf_.sections[index];
    const LoaderSection* row = model_.section(section.name);
    const uint64_t size = row == nullptr ? 0 : model_.entry_size(*row);
    if (size == 0) return;
    if (section.header.sh_type == SHT_NOBITS)
      return c_.find_in("loader-table", {.section = section.name},
                        fmt::format("has no bytes in the file: {} would find zeros", row->reader));
    const uint64_t rest = section.header.sh_size % size;
    if (rest != 0 && (row->last == 0 || rest < row->last))
      c_.find_in("loader-table", {.section = section.name},
                 fmt::format("its {} bytes are no whole number of entries, of {} bytes each for {}",
                             section.header.sh_size, size, row->reader));
    for (uint64_t at = 0; at + (row->last == 0 ? size : row->last) <= section.bytes.size(); at += size)
      for (const EntryField& field : row->fields)
        if (LoaderModel::has_field(field, size)) check_field({index, at + field.offset}, field, *row);
    for (const AuditedRelocation& relocation : c_.relocations(index)) {
      const uint64_t offset = relocation.place.offset % size;
      const bool known = std::any_of(row->fields.begin(), row->fields.end(), [&](const EntryField& f) {
        return LoaderModel::has_field(f, size) && f.offset == offset;
      });
      if (!known && has_fields(*row) && writes(relocation))
        c_.find_at("loader-table", relocation.place,
                   fmt::format("a relocation against {}, where entries of {} bytes have no pointer",
                               c_.target_name(relocation.raw.symbol), size));
    }
    if (row->name == "_ftrace_events") check_events(index, size);
  }

  static bool has_fields(const LoaderSection& row) {
    return std::any_of(row.fields.begin(), row.fields.end(), [](const EntryField& f) { return f.width != 0; });
  }

  void check_field(KlpPlace place, const EntryField& field, const LoaderSection& row) {
    const auto& all = c_.relocations(place.section);
    auto [first, last] = std::equal_range(all.begin(), all.end(), AuditedRelocation{.place = place, .raw = {}},
                                          [](const auto& a, const auto& b) { return a.place < b.place; });
    const auto count = std::count_if(first, last, [&](const auto& r) { return writes(r); });
    if (count > 1) return c_.find_at("loader-table", place, "has two relocations: the loader refuses the second");
    if (count == 0) {
      if (field.pointee == Pointee::maybe || (row.zero && is_zero(place, field.width))) return;
      return c_.find_at(
          "loader-table", place,
          fmt::format("{}: {} {}", field.pointee == Pointee::code ? "points at no code" : "refers to nothing",
                      row.reader, row.harm));
    }
    check_type(*std::find_if(first, last, [&](const auto& r) { return writes(r); }), field, row);
    if (field.pointee != Pointee::code) return;
    auto target = elf_.place_of(first->raw.symbol, first->raw.addend);
    if (!target || !is_code(target->section))
      c_.find_at("loader-table", place, fmt::format("points at no code: {} {}", row.reader, row.harm));
  }

  // What the reader makes of the field: an address, or a distance.
  void check_type(const AuditedRelocation& r, const EntryField& field, const LoaderSection& row) {
    if (c_.arch == nullptr || c_.arch->proof == nullptr) return;
    const auto known = c_.arch->proof->field(r.raw.type);
    const bool relative = field.distance || field.width == 4;
    if (known && (known->width != field.width || known->relative != relative))
      c_.find_at("loader-table", r.place,
                 fmt::format("a relocation of type {}, where {} reads {} of {} bytes", r.raw.type, row.reader,
                             relative ? "a distance" : "an address", field.width));
  }

  bool holds(KlpPlace place, unsigned width) const {
    const size_t size = elf_.sections[place.section].bytes.size();
    return place.offset <= size && size - place.offset >= width;
  }

  bool is_zero(KlpPlace place, unsigned width) const {
    const std::vector<std::byte>& bytes = elf_.sections[place.section].bytes;
    if (!holds(place, width)) return false;
    auto field = bytes.begin() + static_cast<ptrdiff_t>(place.offset);
    return std::all_of(field, field + width, [](std::byte b) { return b == std::byte{0}; });
  }

  // kernel: struct trace_event_call { struct list_head list; struct trace_event_class *class; … }. That of a system
  // call has a raw_init that was freed at boot (kernel/trace/trace_syscalls.c, init_syscall_trace).
  void check_events(uint32_t index, uint64_t size) {
    for (uint64_t at = 0; at + size <= elf_.sections[index].bytes.size(); at += size) {
      const AuditedRelocation* event = c_.relocation_at({index, at});
      auto call = event == nullptr ? std::nullopt : elf_.place_of(event->raw.symbol, event->raw.addend);
      if (!call) continue;
      const AuditedRelocation* event_class = c_.relocation_at({call->section, call->offset + 16});
      if (event_class != nullptr && c_.kernel_name(event_class->raw.symbol).starts_with("event_class_syscall_"))
        c_.find_at("loader-table", {index, at},
                   "the event of a system call: trace_module_add_events would jump into init code, which is freed");
    }
  }

  void check_per_cpu() {
    if (model_.relocates_per_cpu()) return;
    for (uint32_t i = 1; i < elf_.sections.size(); ++i) {
      if (elf_.sections[i].name != per_cpu) continue;
      for (const AuditedRelocation& relocation : c_.relocations(i))
        if (!relocation.late)  // those are late for it in every kernel
          c_.find_at("per-cpu", relocation.place,
                     fmt::format("this kernel applies no relocations there: the pointer to {} would stay zero",
                                 c_.target_name(relocation.raw.symbol)));
    }
  }

  // What the loader checks of each field that an ordinary relocation fills; audit-klp.cc does for the others.
  void check_fields() {
    if (c_.arch == nullptr || c_.arch->audit == nullptr || c_.arch->klp.field_size == nullptr) return;
    for (uint32_t i = 1; i < elf_.sections.size(); ++i) {
      if (!elf_.sections[i].allocated()) continue;
      for (const AuditedRelocation& relocation : c_.relocations(i)) {
        if (relocation.livepatch) continue;
        const auto size = c_.arch->klp.field_size(relocation.raw.type);
        const std::string target = c_.target_name(relocation.raw.symbol);
        if (!size)
          c_.find_at("relocation", relocation.place,
                     fmt::format("{}: the kernel applies no type {}", target, relocation.raw.type));
        else if (c_.arch->klp.zero_fields && *size != 0 && holds(relocation.place, *size) &&
                 !is_zero(relocation.place, *size))
          c_.find_at("relocation", relocation.place,
                     fmt::format("{}: the field isn't zero, which the kernel refuses", target));
      }
    }
  }

  // Code is there to be called by somebody who finds it by name, if by nobody else, and so is global data.
  bool is_root(uint32_t index, const std::set<uint32_t>& global_data) const {
    const KlpSection& section = elf_.sections[index];
    if (section.name == ".altinstr_replacement") return false;
    if (is_code(index) || model_.section(section.name) != nullptr) return true;
    return global_data.contains(index);
  }

  void check_reach() {
    if (c_.arch == nullptr || c_.arch->audit == nullptr) return;  // who knows what it reads
    std::set<uint32_t> global_data;
    for (const KlpSymbol& symbol : elf_.symbols)
      if (symbol.in_section() && !symbol.local() && symbol.type() == STT_OBJECT)
        global_data.insert(symbol.entry.st_shndx);
    std::vector<bool> reached(elf_.sections.size());
    std::vector<uint32_t> left;
    auto reach = [&](uint32_t index) {
      if (index < reached.size() && elf_.sections[index].allocated() && !reached[index]) {
        reached[index] = true;
        left.push_back(index);
      }
    };
    for (uint32_t i = 1; i < elf_.sections.size(); ++i)
      if (elf_.sections[i].allocated() && elf_.sections[i].header.sh_type != SHT_RELA && is_root(i, global_data))
        reach(i);
    while (!left.empty()) {
      const uint32_t index = left.back();
      left.pop_back();
      for (const AuditedRelocation& relocation : c_.relocations(index))
        if (const KlpSymbol& symbol = elf_.symbols[relocation.raw.symbol]; symbol.in_section())
          reach(symbol.entry.st_shndx);
    }
    for (uint32_t i = 1; i < elf_.sections.size(); ++i) {
      const KlpSection& section = elf_.sections[i];
      if (section.allocated() && section.header.sh_type != SHT_RELA && section.header.sh_size != 0 && !reached[i] &&
          section_row(section.name).delivered && !section.name.starts_with(".kpatch"))
        c_.object_to("loader-section", {.section = section.name},
                     "nothing reads it: neither the loader, nor code or data of the module");
    }
  }

  // kernel: struct module, written by modpost with the module's init and exit.
  void check_module() {
    auto index = elf_.find_section(".gnu.linkonce.this_module");
    if (!index) return c_.find("section", "it has no section .gnu.linkonce.this_module");
    const KlpSection& section = elf_.sections[*index];
    if (const auto size = model_.module_size(); size && *size != section.header.sh_size)
      c_.find_in("this-module", {.section = section.name},
                 fmt::format("has {} bytes, and the kernel's struct module {}", section.header.sh_size, *size));
    check_module_name(*index);
    for (std::string_view function : {"init_module", "cleanup_module"}) {
      const auto& all = c_.relocations(*index);
      if (std::none_of(all.begin(), all.end(), [&](const auto& r) { return points_at(r, function); }))
        c_.find_in("this-module", {.section = section.name},
                   fmt::format("refers to no {}: {}", function,
                               function == "init_module" ? "nothing would be patched" : "it could never be unloaded"));
    }
  }

  bool points_at(const AuditedRelocation& r, std::string_view function) const {
    const KlpSymbol& symbol = elf_.symbols[r.raw.symbol];
    return symbol.name == function && r.raw.addend == 0 && !r.livepatch && symbol.in_section() &&
           is_code(symbol.entry.st_shndx) &&
           (c_.arch == nullptr || c_.arch->audit == nullptr || r.raw.type == c_.arch->elf.absolute_64);
  }

  // kernel: struct module begins with its state and a list, its name follows. It has that name in sysfs, for rmmod and
  // for klp_enable_patch; what .modinfo says is for messages.
  void check_module_name(uint32_t index) {
    constexpr uint64_t place = 24, length = max_object_name + 1;
    const auto modinfo = elf_.find_section(".modinfo");
    const KlpSection& section = elf_.sections[index];
    if (!modinfo || section.bytes.size() < place + length) return;
    const auto name = elf_.string_at({index, place});
    const auto said = modinfo_values(elf_.sections[*modinfo].bytes, "name");
    if (said.size() == 1 && name != said[0])
      c_.find_in("this-module", {.section = section.name},
                 fmt::format("its name is '{}', and .modinfo says {}", name.value_or(""), said[0]));
    if (said.size() == 1 && said[0].find('/') != std::string_view::npos)
      c_.find_in("this-module", {.section = section.name}, fmt::format("its name {} has a slash", said[0]));
  }

  AuditContext& c_;
  const KlpElf& elf_;
  const LoaderModel& model_;
};

}  // namespace

void audit_loader(AuditContext& context) { LoaderAudit(context).run(); }

}  // namespace kpatch
