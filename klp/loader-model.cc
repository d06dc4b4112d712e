// The rows that hold on every architecture; those of one are in its record (AuditFacts). Read in kernel/module/main.c
// (find_module_sections) and in what each reader does with its part, of 5.10, 6.1, 6.12 and 7.2.
//
//   section_objs(info, "__jump_table", sizeof(*mod->jump_entries), &mod->num_jump_entries)
//
// The name is compared as a whole, so that `__jump_table.show` has no reader; the first such section is taken, so that
// a second has none; and the count is the size divided by the entry, so that a rest is dropped without a word.
#include "klp/loader-model.h"

#include <algorithm>
#include <array>

namespace kpatch {

namespace {

constexpr EntryField something8(uint8_t offset) { return {offset, 8, Pointee::something}; }

constexpr LoaderSection read(std::string_view name, std::string_view reader, LoaderStage stage) {
  return {.name = name, .reader = reader, .stage = stage};
}

constexpr LoaderSection all(std::string_view prefix, std::string_view reader, LoaderStage stage) {
  return {.name = prefix, .prefix = true, .reader = reader, .stage = stage};
}

constexpr LoaderSection pointers(std::string_view name, std::string_view reader, LoaderStage stage,
                                 std::string_view harm = "would follow a null pointer") {
  return {
      .name = name, .reader = reader, .stage = stage, .sizes = {{{{}, 8}}}, .fields = {something8(0)}, .harm = harm};
}

constexpr auto sections = std::to_array<LoaderSection>({
    // Of the module as such.
    read(".modinfo", "get_modinfo", LoaderStage::header),
    {.name = ".gnu.linkonce.this_module",
     .reader = "load_module",
     .stage = LoaderStage::header,
     .written = true,
     .struct_name = "module"},
    read("__versions", "check_version", LoaderStage::relocate),
    read("__version_ext_crcs", "check_version", LoaderStage::relocate),
    read("__version_ext_names", "check_version", LoaderStage::relocate),
    all(".note", "mod_sysfs_setup", LoaderStage::args),
    {.name = ".klp.rela.", .prefix = true, .reader = "klp_apply_section_relocs", .stage = LoaderStage::init},
    read(".BTF", "btf_module_notify", LoaderStage::coming),
    read(".BTF.base", "btf_module_notify", LoaderStage::coming),
    // Memory that is treated by its name.
    read(".data..percpu", "percpu_modcopy", LoaderStage::post),
    {.name = ".data..ro_after_init", .reader = "layout_and_allocate", .stage = LoaderStage::run, .written = true},
    all(".init", "layout_sections", LoaderStage::layout),
    all(".exit", "layout_sections", LoaderStage::layout),
    read(".ctors", "do_mod_ctors", LoaderStage::init),
    read(".noinstr.text", "add_module_kprobe_blacklist", LoaderStage::run),
    read(".kprobes.text", "add_module_kprobe_blacklist", LoaderStage::run),
    // Tables.
    {.name = "__param",
     .reader = "parse_args",
     .stage = LoaderStage::args,
     .struct_name = "kernel_param",
     .sizes = {{{{}, 40}}},
     .fields = {something8(0), something8(8), something8(16), EntryField{32, 8, Pointee::maybe}},
     .harm = "would follow a null pointer"},
    {.name = "__mcount_loc",  // FTRACE_CALLSITE_SECTION of include/linux/ftrace.h
     .reader = "ftrace_process_locs",
     .stage = LoaderStage::ftrace,
     .sizes = {{{{}, 8}}},
     .fields = {EntryField{0, 8, Pointee::code}},
     .zero = true,
     .harm = "would stop ftrace, and with it all livepatching, until the next boot"},
    {.name = "__tracepoints_ptrs",
     .reader = "tracepoint_module_coming",
     .stage = LoaderStage::coming,
     .sizes = {{{{}, 4}}},
     .fields = {EntryField{0, 4, Pointee::something}},
     .harm = "would take the table for a tracepoint"},
    pointers("___srcu_struct_ptrs", "srcu_module_coming", LoaderStage::coming),
    {.name = "__bpf_raw_tp_map", .reader = "bpf_event_notify", .stage = LoaderStage::coming, .sizes = {{{{}, 32}}}},
    pointers("_ftrace_events", "trace_module_add_events", LoaderStage::coming),
    pointers("_ftrace_eval_map", "trace_module_add_evals", LoaderStage::coming),
    {.name = "__trace_printk_fmt",
     .reader = "hold_module_trace_bprintk_format",
     .stage = LoaderStage::coming,
     .written = true,
     .sizes = {{{{}, 8}}},
     .fields = {something8(0)},
     .harm = "would follow a null pointer"},
    {.name = "_kprobe_blacklist",
     .reader = "add_module_kprobe_blacklist",
     .stage = LoaderStage::coming,
     .sizes = {{{{}, 8}}},
     .fields = {something8(0)},
     .zero = true},
    {.name = "_error_injection_whitelist",
     .reader = "ei_module_callback",
     .stage = LoaderStage::coming,
     .sizes = {{{{}, 16}}},
     .fields = {something8(0)},
     .harm = "would allow nothing"},
    pointers(".printk_index", "pi_create_file", LoaderStage::coming),
    pointers(".kunit_test_suites", "kunit_module_notify", LoaderStage::live),
    pointers(".kunit_init_test_suites", "kunit_module_notify", LoaderStage::live),
    {.name = "__dyndbg",
     .reader = "ddebug_add_module",
     .stage = LoaderStage::coming,
     .written = true,
     .struct_name = "_ddebug",
     .sizes = {{{{}, 56}}},
     .fields = {something8(0), something8(8), something8(16), something8(24)},
     .harm = "would follow a null pointer"},
    {.name = "__dyndbg_classes", .reader = "ddebug_add_module", .stage = LoaderStage::coming, .written = true},
    all("__ksymtab", "find_symbol", LoaderStage::complete),
    all("__kcrctab", "find_symbol", LoaderStage::complete),
    read("__kflagstab", "check_export_symbol_sections", LoaderStage::find),
    all(".codetag.", "codetag_load_module", LoaderStage::args),
    // Our own.
    read(".kpatch.funcs", "livepatch_init", LoaderStage::init),
    read(".kpatch.objects", "livepatch_init", LoaderStage::init),
    all(".kpatch.callbacks.", "livepatch_init", LoaderStage::init),
    {.name = attempts_section,
     .reader = "get_attempts",
     .stage = LoaderStage::run,
     .written = true,
     .sizes = {{{{}, 32}}},
     .harm = "would show counts of nobody"},
});

// include/asm-generic/vmlinux.lds.h; the readers are in init/main.c, drivers/, kernel/, security/.
constexpr auto boot_sections = std::to_array<BootSection>({
    {".initcall", NameMatch::prefix, "do_initcalls"},
    {".con_initcall", NameMatch::prefix, "console_init"},
    {".exitcall", NameMatch::prefix, "nobody, the linker drops it"},
    {".init.setup", NameMatch::whole, "obsolete_checksetup"},
    {".init.scratch", NameMatch::prefix, "early boot"},
    {".init.ramfs", NameMatch::prefix, "populate_rootfs"},
    {".dtb.init.rodata", NameMatch::prefix, "early boot"},
    {".head.text", NameMatch::prefix, "early boot"},
    {"__modver", NameMatch::whole, "version_sysfs_builtin"},
    {".pci_fixup", NameMatch::prefix, "pci_fixup_device"},
    {"__syscalls_metadata", NameMatch::whole, "init_ftrace_syscalls"},
    {".lsm_info.init", NameMatch::whole, "security_init"},
    {".early_lsm_info.init", NameMatch::whole, "early_security_init"},
    {"_of_table", NameMatch::suffix, "drivers that are set up by device tree"},
    {"_of_table_end", NameMatch::suffix, "drivers that are set up by device tree"},
    {"_acpi_probe_table", NameMatch::suffix, "__acpi_probe_device_table"},
    {"__earlycon_table", NameMatch::prefix, "setup_earlycon"},
    {"__governor_thermal_table", NameMatch::prefix, "thermal_register_governors"},
    {"_sched_class", NameMatch::suffix, "for_each_class: their order in memory is their rank"},
    {"runtime_", NameMatch::prefix, "runtime_const_init: the placeholder in the code would stay"},
    {".static_call_tramp_key", NameMatch::whole, "tramp_key_lookup"},
    {"__tracepoint_str", NameMatch::whole, "trace_printk"},
    {"_ftrace_annotated_branch", NameMatch::whole, "trace_branch"},
    {"_ftrace_branch", NameMatch::whole, "trace_branch"},
    {".data..nosave", NameMatch::whole, "hibernation"},
    {".data..init_task", NameMatch::whole, "early boot"},
    {".data..decrypted", NameMatch::whole, "memory encryption: the page would not be shared with the host"},
    {".bss..decrypted", NameMatch::whole, "memory encryption: the page would not be shared with the host"},
    {".bss..brk", NameMatch::prefix, "early boot"},
    {".brk_reservation", NameMatch::prefix, "early boot"},
    {".builtin_fw", NameMatch::prefix, "firmware_request_builtin"},
    {".tracedata", NameMatch::whole, "show_trace_dev_match"},
    {".discard", NameMatch::prefix, "nobody, the linker drops it"},
    {".export_symbol", NameMatch::prefix, "modpost"},
});

bool matches(const BootSection& row, std::string_view name) {
  switch (row.match) {
    case NameMatch::whole:
      return name == row.name;
    case NameMatch::prefix:
      return name.starts_with(row.name);
    case NameMatch::suffix:
      return name.starts_with("__") && name.ends_with(row.name);
  }
  return false;
}

const LoaderSection* find(std::span<const LoaderSection> rows, std::string_view name) {
  auto row = std::find_if(rows.begin(), rows.end(),
                          [&](const auto& r) { return r.prefix ? name.starts_with(r.name) : name == r.name; });
  return row == rows.end() ? nullptr : &*row;
}

const BootSection* find(std::span<const BootSection> rows, std::string_view name) {
  auto row = std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return matches(r, name); });
  return row == rows.end() ? nullptr : &*row;
}

}  // namespace

LoaderModel::LoaderModel(std::string_view release, const Binary* vmlinux, const Arch* arch)
    : series_(series_of(release)), vmlinux_(vmlinux), arch_(arch) {}

const LoaderSection* LoaderModel::section(std::string_view name) const {
  const bool has_own = arch_ != nullptr && arch_->audit != nullptr && arch_->audit->loader_sections != nullptr;
  const LoaderSection* own = has_own ? find(arch_->audit->loader_sections(), name) : nullptr;
  return own != nullptr ? own : find(sections, name);
}

const BootSection* LoaderModel::boot_section(std::string_view name) const {
  const bool has_own = arch_ != nullptr && arch_->audit != nullptr && arch_->audit->boot_sections != nullptr;
  const BootSection* own = has_own ? find(arch_->audit->boot_sections(), name) : nullptr;
  return own != nullptr ? own : find(boot_sections, name);
}

uint64_t LoaderModel::entry_size(const LoaderSection& section) const {
  uint64_t size = 0;
  for (const SizeSince& row : section.sizes)
    if (row.size != 0 && (row.since == KernelSeries{} || since(row.since.version, row.since.patchlevel)))
      size = row.size;
  if (size == 0 || section.struct_name.empty()) return size;
  const auto known = struct_size(section.struct_name);
  return known && *known != 0 ? *known : size;
}

bool LoaderModel::has_field(const EntryField& field, uint64_t entry_size) {
  return field.width != 0 && uint64_t{field.offset} + field.width <= entry_size &&
         (field.only_in == 0 || field.only_in == entry_size);
}

bool LoaderModel::early(std::string_view name) const {
  const LoaderSection* row = section(name);
  return row != nullptr && row->stage < LoaderStage::init;
}

}  // namespace kpatch
