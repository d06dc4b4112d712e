// The table of the kernel's sections. The names are those that compilers, assembler macros and the kernel's linker
// scripts give, for example in fs/proc/meminfo.o
//
//   .text.meminfo_proc_show              one function, may be replaced
//   .rodata.meminfo_proc_show.str1.1     its strings: flags AMS, whatever the name says
//   .rodata.strategy_ops                 a table, although "str" is in its name: flags decide, not substrings
//   .init.text                           gone when a livepatch comes
//
// Four questions are asked of a name: how its contents are treated (kind); whether the kernel reads it before it
// applies the relocations that come late (early); whether a finished livepatch may hold it (delivered); whether what it
// refers to is branched to (positions). One table answers them all, so that none is forgotten for a new section. What
// stands in no row is refused wherever somebody needs it, rather than copied on luck.
#include "arch/sections.h"

#include <elf.h>

#include <array>

namespace kpatch {
namespace {

// Attributes, as they are written in the table.
enum Attribute : unsigned { none = 0, prefix = 1, early = 2, delivered = 4, positions = 8, discarded = 16 };
constexpr Attribute operator|(Attribute a, Attribute b) { return static_cast<Attribute>(unsigned{a} | unsigned{b}); }

constexpr SectionRow row(std::string_view name, SectionKind kind, Attribute has = none) {
  return {name,
          (has & prefix) != 0,
          kind,
          (has & early) != 0,
          (has & delivered) != 0,
          (has & positions) != 0,
          (has & discarded) != 0};
}

// discarded: COMMON_DISCARDS of include/asm-generic/vmlinux.lds.h, and scripts/module.lds.S.
// Kinds: include/asm-generic/vmlinux.lds.h, include/linux/init.h, compiler.h, objtool.h, arch/x86/kernel/vmlinux.lds.S
// (5.10 to 6.18).
// early: kernel/module/main.c, load_module(), and what it calls (5.10 to 6.18; kernel/module.c before 5.18):
// find_module_sections and modinfo, sort_extable, percpu_modcopy, module_finalize of the architecture, ftrace, the
// notifiers (jump labels, static calls, tracepoints, BPF), mod_sysfs; sections of the init part are freed.
constexpr auto rows = std::to_array<SectionRow>({
    // What is there while a module is loaded or unloaded only.
    row(".init.text", SectionKind::init, prefix | early | delivered),
    row(".init.data", SectionKind::init, prefix | early | delivered | positions),
    row(".init.rodata", SectionKind::init, prefix | early | delivered),
    row(".init.plt", SectionKind::init, prefix | early | delivered),
    row(".init.", SectionKind::init, prefix | early),
    row(".initcall", SectionKind::ignored, prefix | early),
    row(".con_initcall", SectionKind::ignored, prefix),
    row(".init", SectionKind::unknown, prefix | early),
    row(".exitcall", SectionKind::ignored, prefix | early),
    row(".exit.text", SectionKind::init, prefix | early | delivered),
    row(".exit.data", SectionKind::init, prefix | early | delivered | positions),
    row(".exit.", SectionKind::init, prefix | early),
    row(".exit", SectionKind::unknown, prefix | early),
    row(".meminit.", SectionKind::init, prefix),
    row(".memexit.", SectionKind::init, prefix),
    row(".cpuinit.", SectionKind::init, prefix),
    row(".head.text", SectionKind::init, prefix),
    row(".ctors", SectionKind::unknown, prefix | early),
    row(".fini", SectionKind::unknown, prefix | early),

    // Code.
    row(".altinstr_replacement", SectionKind::out_of_line_code, early | delivered | positions),
    row(".altinstr_aux", SectionKind::out_of_line_code, early | delivered | positions),
    row(".fixup", SectionKind::out_of_line_code, delivered),
    row("__ftr_alt_", SectionKind::out_of_line_code, prefix),  // ppc64: alternative code of feature sections
    row(".stubs", SectionKind::ignored),                       // ppc64 and arm64: filled by the module loader
    row(".ftrace.tramp", SectionKind::ignored),
    row(".plt", SectionKind::unknown, prefix | early | delivered),
    row(".noinstr.text", SectionKind::shared_text, prefix | delivered),
    row(".entry.text", SectionKind::shared_text, prefix | delivered),
    row(".sched.text", SectionKind::shared_text, prefix | delivered),
    row(".cpuidle.text", SectionKind::shared_text, prefix | delivered),
    row(".kprobes.text", SectionKind::shared_text, prefix | delivered),
    row(".lock.text", SectionKind::shared_text, prefix),
    row(".spinlock.text", SectionKind::shared_text, prefix | delivered),
    row(".irqentry.text", SectionKind::shared_text, prefix | delivered),
    row(".softirqentry.text", SectionKind::shared_text, prefix | delivered),
    row(".ref.text", SectionKind::shared_text, prefix | delivered),
    row(".text..", SectionKind::shared_text, prefix | delivered),
    row(".text.", SectionKind::text, prefix | delivered),
    row(".text", SectionKind::text, delivered),
    row(".static_call.text", SectionKind::never_copied, prefix),

    // Data.
    row(".data..percpu", SectionKind::data, prefix | early | delivered),
    // Written by the linker only; the kernel maps it read-only.
    row(".data.rel.ro", SectionKind::rodata, prefix | delivered),
    row(".data.", SectionKind::data, prefix | delivered),
    row(".data", SectionKind::data, delivered),
    row(".sdata", SectionKind::data, prefix | delivered),
    row(".ref.data", SectionKind::data, prefix | delivered),
    row(".ref.rodata", SectionKind::rodata, prefix),
    row(".rodata", SectionKind::rodata, prefix | delivered),
    row(".bss.", SectionKind::bss, prefix | delivered),
    row(".bss", SectionKind::bss, delivered),
    row(".sbss", SectionKind::bss, prefix | delivered),
    row(".toc", SectionKind::toc),
    row(".got", SectionKind::data, early),
    row(".got", SectionKind::unknown, prefix | early),

    // Tables of places in code; Arch::tables says how they are read.
    row("__bug_table", SectionKind::table, delivered | positions),
    row("__ex_table", SectionKind::table, early | delivered | positions),
    row("__jump_table", SectionKind::table, early | delivered | positions),
    row(".altinstructions", SectionKind::table, early | delivered | positions),
    row(".parainstructions", SectionKind::table, early | delivered | positions),
    row(".printk_index", SectionKind::table, delivered | positions),
    row("__mcount_loc", SectionKind::table, early | delivered | positions),
    row(".smp_locks", SectionKind::table, early | delivered | positions),
    row(".s390_", SectionKind::table, prefix | early | delivered | positions),
    row("__ftr_fixup", SectionKind::table, early | delivered | positions),  // ppc64, as all that follow
    row("__mmu_ftr_fixup", SectionKind::table, early | delivered | positions),
    row("__fw_ftr_fixup", SectionKind::table, early | delivered | positions),
    row("__lwsync_fixup", SectionKind::table, early | delivered | positions),
    row("__barrier_nospec_fixup", SectionKind::table, early | delivered | positions),
    row("__stf_entry_barrier_fixup", SectionKind::table, early | delivered | positions),
    row("__stf_exit_barrier_fixup", SectionKind::table, early | delivered | positions),
    row("__stf_barrier_fixup", SectionKind::table, early | delivered | positions),
    row("__rfi_flush_fixup", SectionKind::table, early | delivered | positions),
    row("__entry_flush_fixup", SectionKind::table, early | delivered | positions),
    row("__uaccess_flush_fixup", SectionKind::table, early | delivered | positions),
    // Architectures that have their ftrace sites there list it as a table.
    row("__patchable_function_entries", SectionKind::ignored, early | delivered | positions),

    // What objtool and the linker make anew.
    row(".orc_", SectionKind::rebuilt, prefix | early | delivered | positions),
    row(".static_call_sites", SectionKind::rebuilt, early | delivered | positions),
    row(".return_sites", SectionKind::rebuilt, early | delivered | positions),
    row(".retpoline_sites", SectionKind::rebuilt, early | delivered | positions),
    row(".call_sites", SectionKind::rebuilt, early | delivered | positions),
    row(".ibt_endbr_seal", SectionKind::rebuilt, early | delivered | positions),
    row(".cfi_sites", SectionKind::rebuilt, early | delivered | positions),
    row(".kcfi_traps", SectionKind::unknown, delivered | positions),
    row(".sframe", SectionKind::rebuilt, early),
    row(".eh_frame", SectionKind::rebuilt),
    row(".discard", SectionKind::objtool_notes, prefix | discarded),
    row(".mte_", SectionKind::unknown, prefix | early),
    row(".alt_", SectionKind::unknown, prefix | early),

    // What the kernel's macros collect.
    row("__dyndbg", SectionKind::dyndbg, early | delivered),
    row("__dyndbg_classes", SectionKind::never_copied, early | delivered),
    row("__verbose", SectionKind::dyndbg),
    row("runtime_ptr_", SectionKind::runtime_const, prefix | early),
    row("runtime_shift_", SectionKind::runtime_const, prefix | early),
    row("runtime_", SectionKind::unknown, prefix | early),
    row("__trace_printk_fmt", SectionKind::data, early | delivered),
    row("__tracepoint_str", SectionKind::never_copied, early),
    row("__tracepoints", SectionKind::never_copied, prefix | early),
    row("__tracepoint_check", SectionKind::ignored, discarded),  // of 7.2; a check of the build
    row("__trace", SectionKind::unknown, prefix | early),
    row("_ftrace_events", SectionKind::never_copied, early),
    row("_ftrace_eval_map", SectionKind::never_copied, early),
    row("_ftrace_annotated_branch", SectionKind::never_copied, early),
    row("_ftrace_branch", SectionKind::never_copied, early),
    row("_ftrace_", SectionKind::unknown, prefix | early),
    row("__bpf_raw_tp_map", SectionKind::never_copied, early),
    row("__syscalls_metadata", SectionKind::never_copied),
    row("___srcu_struct_ptrs", SectionKind::unknown, prefix | early),
    row(".static_call_tramp_key", SectionKind::never_copied),
    row(".export_symbol", SectionKind::ignored, prefix | discarded),
    row(".no_trim_symbol", SectionKind::ignored, discarded),  // of 7.2; a hint for the build
    row("__ksymtab", SectionKind::ignored, prefix | early),
    row("___ksymtab", SectionKind::ignored, prefix),
    row("__kcrctab", SectionKind::ignored, prefix | early),
    row("___kcrctab", SectionKind::ignored, prefix),
    row("__versions", SectionKind::unknown, prefix | delivered),
    row("__version_ext_", SectionKind::unknown, prefix | delivered),  // since 6.14
    row("_kprobe_blacklist", SectionKind::ignored),
    row("_error_injection_whitelist", SectionKind::ignored),
    row("___kentry", SectionKind::ignored, prefix),
    row("__param", SectionKind::ignored, early | delivered),
    row("__modver", SectionKind::ignored),
    row("__lsm_info", SectionKind::ignored, prefix),
    row("__sched_class", SectionKind::never_copied, prefix),
    row(".pci_fixup", SectionKind::ignored, prefix),
    row(".builtin_fw", SectionKind::ignored, prefix),
    row("__earlycon_table", SectionKind::ignored, prefix),
    row("__clk_of_table", SectionKind::ignored, prefix),
    row(".x86_cpu_dev.init", SectionKind::ignored, prefix),
    row(".apicdrivers", SectionKind::ignored, prefix),
    row(".iommu_table", SectionKind::ignored, prefix),
    row(".x86_intel_mid_dev", SectionKind::ignored, prefix),
    row("__kunit", SectionKind::ignored, prefix),
    row(".kunit_test_suites", SectionKind::ignored, prefix),
    row(".vvar", SectionKind::never_copied, prefix),
    row(".brk_reservation", SectionKind::ignored, prefix),
    row(".codetag.", SectionKind::unknown, prefix | delivered),

    // What tells about a module, of ours and of others.
    row(".modinfo", SectionKind::ignored, early | delivered),
    row(".gnu.linkonce.this_module", SectionKind::unknown, early | delivered),
    row(".klp.rela.", SectionKind::unknown, prefix | delivered),
    row(".kpatch.funcs", SectionKind::author_macros, prefix | early | delivered | positions),
    row(attempts_section, SectionKind::data, delivered),
    row(".kpatch.", SectionKind::author_macros, prefix | early | delivered),
    row(".BTF_ids", SectionKind::never_copied, delivered),
    row(".BTF", SectionKind::debug, prefix | delivered),
    row(".note.", SectionKind::debug, prefix | delivered),
    row(".note", SectionKind::debug, prefix),
    row(".comment", SectionKind::debug, prefix),
    row(".debug", SectionKind::debug, prefix),
    row(".zdebug", SectionKind::debug, prefix),
    row(".stab", SectionKind::debug, prefix),
    row(".llvm", SectionKind::debug, prefix),
    row(".gnu.lto", SectionKind::debug, prefix),
    row(".gnu.attributes", SectionKind::debug, prefix),
    row(".gnu.warning", SectionKind::debug, prefix),
    row(".GCC.", SectionKind::debug, prefix),
    row(".ARM.attributes", SectionKind::debug),
});

// `struct sched_class` objects: __fair_sched_class …, placed by the linker script.
constexpr SectionRow sched_class = row("", SectionKind::never_copied);
constexpr SectionRow nobodys = row("", SectionKind::unknown);

}  // namespace

std::span<const SectionRow> section_rows() { return rows; }

const SectionRow& section_row(std::string_view name) {
  for (const SectionRow& row : rows)
    if (row.prefix ? name.starts_with(row.name) : name == row.name) return row;
  return name.starts_with("__") && name.ends_with("_sched_class") ? sched_class : nobodys;
}

SectionKind classify_section(const SectionFacts& section, bool is_table) {
  switch (section.type) {
    case SHT_NULL:
      return SectionKind::null;
    case SHT_SYMTAB:
    case SHT_STRTAB:
    case SHT_RELA:
    case SHT_REL:
    case SHT_SYMTAB_SHNDX:
    case SHT_GROUP:
      return SectionKind::structure;
    case SHT_NOTE:
      return SectionKind::debug;
    default:
      break;
  }
  if (is_table) return SectionKind::table;
  const bool debug = section.name.starts_with(".debug") || section.name.starts_with(".comment");
  if ((section.flags & SHF_MERGE) != 0 && (section.flags & SHF_ALLOC) != 0 && (section.flags & SHF_WRITE) == 0 &&
      !debug && !section.name.starts_with(".init.")) {
    // The width of a character: L"…" of EFI code has two bytes, that of other C four.
    const bool characters = section.entry_size == 1 || section.entry_size == 2 || section.entry_size == 4;
    if ((section.flags & SHF_STRINGS) != 0 && characters) return SectionKind::strings;
    return SectionKind::constants;
  }
  // A table of another architecture, or of a kernel that this one's table doesn't know.
  const SectionKind kind = section_row(section.name).kind;
  return kind == SectionKind::table ? SectionKind::unknown : kind;
}

}  // namespace kpatch
