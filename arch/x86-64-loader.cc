// What the kernel reads of an x86-64 module beside what it reads on every architecture: module_finalize() of
// arch/x86/kernel/module.c, and tables whose entries have a form of their own here. Read in 5.10, 6.1, 6.12 and 7.2.
//
//   .altinstructions, an entry of 14 bytes
//    0  instr_offset    →  .text.show + 1c             overwritten in `post` …
//    4  repl_offset     →  .altinstr_replacement + 8   … by a copy of this: what is relocated later never gets there
//    8  ft_flags        12  instrlen        13  replacementlen
#include "arch/x86-64-loader.h"

namespace kpatch {
namespace {

constexpr EntryField code4(uint8_t offset) { return {offset, 4, Pointee::code}; }

constexpr LoaderSection places(std::string_view name, std::string_view reader, std::string_view harm) {
  return {.name = name,
          .reader = reader,
          .stage = LoaderStage::post,
          .sizes = {{{{}, 4}}},
          .fields = {code4(0)},
          .harm = harm};
}

constexpr auto sections = std::to_array<LoaderSection>({
    // struct alt_instr has ft_flags since 6.3, padlen before 5.13 where that wasn't taken back (13 bytes, by the types)
    {.name = ".altinstructions",
     .reader = "apply_alternatives",
     .stage = LoaderStage::post,
     .struct_name = "alt_instr",
     .sizes = {{{{}, 12}, {{6, 3}, 14}}},
     .fields = {code4(0), code4(4)},
     .harm = "would overwrite another place"},
    {.name = ".altinstr_replacement", .reader = "apply_alternatives", .stage = LoaderStage::post},
    {.name = ".parainstructions",  // up to 6.7
     .reader = "apply_paravirt",
     .stage = LoaderStage::post,
     .struct_name = "paravirt_patch_site",
     .sizes = {{{{}, 16}}},
     .last = 12,  // _paravirt_alt of asm/paravirt_types.h pads before an entry; it is read up to the table's end
     .fields = {EntryField{0, 8, Pointee::code}},
     .harm = "would write through a null pointer"},
    {.name = ".smp_locks",
     .reader = "alternatives_smp_module_add",
     .stage = LoaderStage::post,
     .sizes = {{{{}, 4}}},
     .fields = {code4(0)},
     .zero = true,
     .harm = "would overwrite another place"},
    places(".retpoline_sites", "apply_retpolines", "would leave an indirect branch as it is"),
    places(".return_sites", "apply_returns", "would leave a return without protection"),
    places(".call_sites", "callthunks_patch_module_calls", "would count one call too few"),
    places(".cfi_sites", "apply_fineibt", "would check no type there"),
    places(".ibt_endbr_seal", "apply_seal_endbr", "would seal another place"),
    {.name = ".orc_unwind_ip",
     .reader = "unwind_module_init",
     .stage = LoaderStage::post,
     .sizes = {{{{}, 4}}},
     .fields = {code4(0)},
     .harm = "would unwind stacks wrongly"},
    {.name = ".orc_unwind", .reader = "unwind_module_init", .stage = LoaderStage::post, .sizes = {{{{}, 6}}}},
    {.name = ".orc_header", .reader = "debuggers", .stage = LoaderStage::run},
    // Padding for call thunks; ftrace reads __mcount_loc here.
    {.name = "__patchable_function_entries", .reader = "nobody", .stage = LoaderStage::run},
    // The pointer to a format is there since 6.19.
    {.name = "__bug_table",
     .reader = "module_find_bug",
     .stage = LoaderStage::complete,
     .written = true,
     .struct_name = "bug_entry",
     .sizes = {{{{}, 12}, {{6, 19}, 16}}},
     .fields = {code4(0), EntryField{4, 4, Pointee::maybe}, EntryField{8, 4, Pointee::maybe, 16}},
     .harm = "would not know the trap: a warning is an oops"},
    // The third field is relative to itself before 5.16, a number since.
    {.name = "__ex_table",
     .reader = "search_module_extables",
     .stage = LoaderStage::post,
     .struct_name = "exception_table_entry",
     .sizes = {{{{}, 12}}},
     .fields = {code4(0), code4(4), EntryField{8, 4, Pointee::maybe}},
     .harm = "would not know the access: its fault is an oops"},
    relative_jump_table,
    {.name = ".static_call_sites",
     .reader = "static_call_add_module",
     .stage = LoaderStage::coming,
     .written = true,
     .sizes = {{{{}, 8}}},
     .fields = {code4(0), EntryField{4, 4, Pointee::something}},
     .harm = "would take the table itself for what it refers to, and write to it"},
    {.name = "__kcfi_traps",
     .reader = "module_cfi_finalize",
     .stage = LoaderStage::complete,
     .sizes = {{{{}, 4}}},
     .fields = {code4(0)},
     .harm = "would not know the trap"},
});

// arch/x86/kernel/vmlinux.lds.S
constexpr auto boot_sections = std::to_array<BootSection>({
    {".x86_cpu_dev.init", NameMatch::whole, "early_cpu_init"},
    {".x86_intel_mid_dev.init", NameMatch::whole, "x86_intel_mid_early_setup"},
    {".apicdrivers", NameMatch::whole, "default_setup_apic_routing"},
    {".iommu_table", NameMatch::whole, "pci_iommu_alloc"},
    {".vvar", NameMatch::prefix, "the vDSO"},
    {".text..relocate_kernel", NameMatch::prefix, "kexec"},
    {".data..relocate_kernel", NameMatch::prefix, "kexec"},
    {".data..percpu..decrypted", NameMatch::whole, "mem_encrypt_init"},
});

}  // namespace

std::span<const LoaderSection> x86_64_loader_sections() { return sections; }
std::span<const BootSection> x86_64_boot_sections() { return boot_sections; }

}  // namespace kpatch
