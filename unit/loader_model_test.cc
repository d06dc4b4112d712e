// What the kernel's loader does with the sections of a module, by version. Each case breaks one thing in the fixture's
// livepatch, for the kernel that it names; the findings must be exactly those. Kernels that nobody boots here (5.10, 7.2)
// are a release, with a vmlinux without types.
#include "klp/loader-model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "arch/arch.h"
#include "klp/loader-facts.h"
#include "unit/audit-fixture.h"

namespace kpatch {
namespace {

using namespace audit_fixture;

struct Loaded {
  const char* name;
  std::string added{};    // at the end of the module's source
  std::string release{};  // "6.12" when empty
  std::vector<std::string> findings{};
  Mutation mutate{};
  KnownTypes types = KnownTypes::unknown;
};

void PrintTo(const Loaded& c, std::ostream* out) { *out << c.name; }

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

class LoaderFixture : public AuditFixture {
 protected:
  static std::vector<std::string> found(const Loaded& c) {
    const std::string release = (c.release.empty() ? "6.12" : c.release) + ".3-test";
    std::string text = std::string(good) + c.added;
    replace_all(text, "6.12.1-test", release);
    return findings(module(text, c.mutate), release, "livepatch-fix", c.types);
  }
};

std::string bugs(unsigned entry_size) {
  std::string text = "\n  .section __bug_table,\"aw\"\n";
  for (int i = 0; i < 4; ++i)
    text += entry_size == 16 ? "  .long callback - ., ops - ., ops - .\n  .short 1, 0\n"
                             : "  .long callback - ., ops - .\n  .short 1, 0\n";
  return text;
}

std::string alternatives(unsigned entry_size) {
  std::string text = "\n  .section .altinstructions,\"a\"\n";
  for (int i = 0; i < 2; ++i) {
    text += "  .long callback - ., stats - .\n";
    text += entry_size == 14 ? "  .long 0\n  .byte 2, 0\n" : "  .short 0\n  .byte 2, 0\n";
  }
  return text;
}

void drop_write(KlpElf& elf, std::string_view name) { section(elf, name).header.sh_flags &= ~uint64_t{SHF_WRITE}; }

std::string extended(std::string_view crcs) {
  return fmt::format(
      "\n  .section __version_ext_crcs,\"a\"\n  .long {}\n  .section __version_ext_names,\"a\"\n"
      "  .asciz \"module_layout\", \"printk\", \"__fentry__\", \"__x86_return_thunk\"\n",
      crcs);
}

const std::string per_cpu_pointer = "\n  .section .data..percpu,\"aw\"\n  .quad callback\n";
const std::string unread = ": nothing reads it: neither the loader, nor code or data of the module";
const std::string no_pointer = ", where entries of 16 bytes have no pointer";
const std::string no_pointer_12 = ", where entries of 12 bytes have no pointer";
const std::string trap = "points at no code: module_find_bug would not know the trap: a warning is an oops";

class Loader : public LoaderFixture, public testing::WithParamInterface<Loaded> {};

TEST_P(Loader, FindsExactly) {
  std::vector<std::string> expected = GetParam().findings;
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(found(GetParam()), expected);
}

INSTANTIATE_TEST_SUITE_P(
    Sections, Loader,
    testing::Values(
        Loaded{"good_5_10", "", "5.10"}, Loaded{"good_6_1", "", "6.1"}, Loaded{"good_7_2", "", "7.2"},
        Loaded{"good_typed", "", "6.12", {}, {}, KnownTypes::known},
        Loaded{"initcall",
               "\n  .section .initcall6.init,\"a\"\n  .quad callback\n",
               "",
               {".initcall6.init: the kernel reads such sections in vmlinux alone (do_initcalls), not in modules"}},
        Loaded{"sched_class",
               "\n  .section __rt_sched_class,\"a\"\n  .quad 0\n",
               "",
               {"__rt_sched_class: the kernel reads such sections in vmlinux alone (for_each_class: their order in "
                "memory is their rank), not in modules"}},
        Loaded{"unknown",
               "\n  .section linker_set,\"a\"\n  .quad 0\n",
               "",
               {"linker_set: has a meaning for the kernel or for nobody, and is not known here"}},
        Loaded{"suffix",
               "\n  .section __jump_table.show,\"aw\"\n  .quad 0\n",
               "",
               {"__jump_table.show: has a meaning for the kernel or for nobody, and is not known here"}},
        Loaded{"unread", "\n  .section .rodata.sizes,\"a\"\n  .quad 0\n", "", {".rodata.sizes" + unread}},
        Loaded{"unread_bss", "\n  .section .bss.sizes,\"aw\",@nobits\n  .skip 8\n", "", {".bss.sizes" + unread}},
        Loaded{"unread_and_what_it_refers_to",
               "\n  .section .rodata.sizes,\"a\"\nsizes: .quad 0\n  .section .rodata.table,\"a\"\n  .quad sizes\n",
               "",
               {".rodata.sizes" + unread, ".rodata.table" + unread}},
        Loaded{"read_through_another",
               "\n  .section .rodata.sizes,\"a\"\nsizes: .quad 0\n  .section .rodata.ops,\"a\"\n  .quad sizes\n"},
        Loaded{"global",
               "\n  .section .bss.sizes,\"aw\",@nobits\n  .globl sizes\n  .type sizes, @object\nsizes: .skip 8\n"},
        Loaded{"empty", "\n  .section .rodata.sizes,\"a\"\n"},
        Loaded{"replacement_of_no_alternative",
               "\n  .section .altinstr_replacement,\"ax\"\n  nop\n",
               "",
               {".altinstr_replacement" + unread}},
        Loaded{"equal_names",
               "",
               "",
               {".text.module: is there 2 times: loading fails with EEXIST"},
               [](KlpElf& elf) { section(elf, ".text.callback").name = ".text.module"; }},
        Loaded{"equal_names_6_1",
               "",
               "6.1",
               {},
               [](KlpElf& elf) { section(elf, ".text.callback").name = ".text.module"; }},
        Loaded{"equal_tables_6_1",
               "\n  .section .rodata.more,\"a\"\n  .long thunk - .\n",
               "6.1",
               {".return_sites: is there 2 times: apply_returns reads one of them"},
               [](KlpElf& elf) { section(elf, ".rodata.more").name = ".return_sites"; }},
        Loaded{"per_cpu", "\n  .section .data..percpu,\"aw\"\n  .quad 0\n"},
        Loaded{"per_cpu_pointer",
               per_cpu_pointer,
               "",
               {".data..percpu+0x0: this kernel applies no relocations there: the pointer to .text.callback would stay "
                "zero"}},
        Loaded{"per_cpu_pointer_6_16", per_cpu_pointer, "6.16"},
        Loaded{"per_cpu_pointer_6_15",
               per_cpu_pointer,
               "6.15",
               {".data..percpu+0x0: this kernel applies no relocations there: the pointer to .text.callback would stay "
                "zero"}},
        Loaded{
            "per_cpu_read_mostly",
            "\n  .section .data..percpu..read_mostly,\"aw\"\n  .globl often\n  .type often, @object\noften: .quad 0\n",
            "",
            {".data..percpu..read_mostly: the loader knows .data..percpu alone: this would be data that all "
             "processors share"}},
        Loaded{"per_cpu_without_bytes",
               "\n  .section .data..percpu,\"aw\",@nobits\n  .skip 8\n",
               "",
               {".data..percpu: has no bytes in the file: percpu_modcopy would copy what follows it there"}},
        Loaded{"jump_table_read_only",
               "",
               "",
               {"__jump_table: isn't writable, and jump_label_add_module writes to it: a fault"},
               [](KlpElf& elf) { drop_write(elf, "__jump_table"); }},
        Loaded{"static_calls_read_only",
               "",
               "",
               {".static_call_sites: isn't writable, and static_call_add_module writes to it: a fault"},
               [](KlpElf& elf) { drop_write(elf, ".static_call_sites"); }},
        Loaded{"bugs_read_only",
               bugs(12),
               "",
               {"__bug_table: isn't writable, and module_find_bug writes to it: a fault"},
               [](KlpElf& elf) { drop_write(elf, "__bug_table"); }},
        Loaded{"returns_read_only_already", "", "", {}, [](KlpElf& elf) { drop_write(elf, ".return_sites"); }}),
    [](const auto& info) { return std::string(info.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Tables, Loader,
    testing::Values(
        Loaded{"bugs_5_10", bugs(12), "5.10"}, Loaded{"bugs_6_1", bugs(12), "6.1"}, Loaded{"bugs_6_12", bugs(12)},
        Loaded{"bugs_7_2", bugs(16), "7.2"},
        Loaded{"old_bugs_7_2",
               bugs(12),
               "7.2",
               {"__bug_table+0xc: a relocation against .text.callback" + no_pointer, "__bug_table+0x10: " + trap,
                "__bug_table+0x20: " + trap, "__bug_table+0x1c: a relocation against .rodata.ops" + no_pointer}},
        Loaded{"new_bugs_6_12",
               bugs(16),
               "",
               {"__bug_table: its 64 bytes are no whole number of entries, of 12 bytes each for module_find_bug",
                "__bug_table+0x8: a relocation against .rodata.ops" + no_pointer_12,
                "__bug_table+0x14: a relocation against .rodata.ops" + no_pointer_12,
                "__bug_table+0x20: a relocation against .text.callback" + no_pointer_12,
                "__bug_table+0x38: a relocation against .rodata.ops" + no_pointer_12, "__bug_table+0xc: " + trap,
                "__bug_table+0x18: " + trap, "__bug_table+0x24: " + trap}},
        Loaded{"alternatives_5_10", alternatives(12), "5.10"}, Loaded{"alternatives_6_1", alternatives(12), "6.1"},
        Loaded{"alternatives_6_12", alternatives(14)}, Loaded{"alternatives_7_2", alternatives(14), "7.2"},
        Loaded{"new_alternatives_6_1",
               alternatives(14),
               "6.1",
               {".altinstructions: its 28 bytes are no whole number of entries, of 12 bytes each for "
                "apply_alternatives",
                ".altinstructions+0xe: a relocation against .text.callback" + no_pointer_12,
                ".altinstructions+0x12: a relocation against .text.stats" + no_pointer_12,
                ".altinstructions+0xc: points at no code: apply_alternatives would overwrite another place",
                ".altinstructions+0x10: points at no code: apply_alternatives would overwrite another place"}},
        // The fixture's kernel has types, with 14 bytes.
        Loaded{"types_go_before_the_release", alternatives(14), "5.10", {}, {}, KnownTypes::known},
        Loaded{"zero_return_site",
               "\n  .section .return_sites,\"a\"\n  .long 0\n",
               "",
               {".return_sites+0x4: points at no code: apply_returns would leave a return without protection"}},
        Loaded{"return_site_of_data",
               "\n  .section .return_sites,\"a\"\n  .long ops - .\n",
               "",
               {".return_sites+0x4: points at no code: apply_returns would leave a return without protection"}},
        Loaded{"zero_lock", "\n  .section .smp_locks,\"a\"\n  .long 0, callback - .\n"},
        Loaded{"lock_without_relocation",
               "\n  .section .smp_locks,\"a\"\n  .long 5\n",
               "",
               {".smp_locks+0x0: points at no code: alternatives_smp_module_add would overwrite another place"}},
        Loaded{"zero_ftrace_site", "\n  .section __mcount_loc,\"a\"\n  .quad 0\n"},
        Loaded{"ftrace_site_without_relocation",
               "\n  .section __mcount_loc,\"a\"\n  .quad 5\n",
               "",
               {"__mcount_loc+0x8: points at no code: ftrace_process_locs would stop ftrace, and with it all "
                "livepatching, until the next boot"}},
        Loaded{"table_without_bytes",
               "\n  .section .smp_locks,\"aw\",@nobits\n  .skip 8\n",
               "",
               {".smp_locks: has no bytes in the file: alternatives_smp_module_add would find zeros"}},
        Loaded{"padding",
               "\n  .section .return_sites,\"a\"\n  .byte 0\n",
               "",
               {".return_sites: its 5 bytes are no whole number of entries, of 4 bytes each for apply_returns"}},
        // The last entry as the assembler leaves it, without its padding; and one that is cut off.
        Loaded{"paravirt", "\n  .section .parainstructions,\"a\"\n  .quad callback, 0, stats\n  .long 1\n", "6.1"},
        Loaded{"paravirt_cut",
               "\n  .section .parainstructions,\"a\"\n  .quad callback, 0, stats\n",
               "6.1",
               {".parainstructions: its 24 bytes are no whole number of entries, of 16 bytes each for apply_paravirt"}},
        Loaded{"paravirt_without_code",
               "\n  .section .parainstructions,\"a\"\n  .quad callback, 0, 0\n  .long 1\n",
               "6.1",
               {".parainstructions+0x10: points at no code: apply_paravirt would write through a null pointer"}},
        Loaded{"two_relocations",
               "",
               "",
               {".return_sites+0x0: has two relocations: the loader refuses the second"},
               [](KlpElf& elf) {
                 auto& list = section(elf, ".rela.return_sites").relocations;
                 list.push_back(list.front());
               }},
        Loaded{"relocation_of_nothing",
               "",
               "",
               {},
               [](KlpElf& elf) {
                 auto& list = section(elf, ".rela.return_sites").relocations;
                 list.push_back(list.front());
                 list.back().type = R_X86_64_NONE;
               }},
        Loaded{"pointer_in_a_number",
               "\n  .section __bug_table,\"aw\"\n  .long callback - ., 0, ops - .\n",
               "",
               {"__bug_table+0x8: a relocation against .rodata.ops" + no_pointer_12}},
        Loaded{"exceptions_5_10", "\n  .section __ex_table,\"a\"\n  .long callback - ., stats - ., init_module - .\n",
               "5.10"},
        Loaded{"exceptions", "\n  .section __ex_table,\"a\"\n  .long callback - ., stats - ., 3\n"},
        Loaded{"exception_without_fixup",
               "\n  .section __ex_table,\"a\"\n  .long callback - ., 0, 3\n",
               "",
               {"__ex_table+0x4: points at no code: search_module_extables would not know the access: its fault is an "
                "oops"}},
        Loaded{"srcu",
               "\n  .section ___srcu_struct_ptrs,\"a\"\n  .quad 0\n",
               "",
               {"___srcu_struct_ptrs: srcu_module_coming would read it: the patch would have effects beyond its "
                "functions",
                "___srcu_struct_ptrs+0x0: refers to nothing: srcu_module_coming would follow a null pointer"}},
        Loaded{"tracepoint",
               "\n  .section __tracepoints_ptrs,\"a\"\n  .long 0\n",
               "",
               {"__tracepoints_ptrs: tracepoint_module_coming would read it: the patch would have effects beyond its "
                "functions",
                "__tracepoints_ptrs+0x0: refers to nothing: tracepoint_module_coming would take the table for a "
                "tracepoint"}},
        Loaded{"format",
               "\n  .section __trace_printk_fmt,\"aw\"\n  .quad 0\n",
               "",
               {"__trace_printk_fmt+0x0: refers to nothing: hold_module_trace_bprintk_format would follow a null "
                "pointer"}},
        Loaded{
            "event",
            "\n  .section _ftrace_events,\"aw\"\n  .quad call\n  .section .data.call,\"aw\"\ncall: .quad 0, 0, ops\n",
            "",
            {"_ftrace_events: trace_module_add_events would read it: the patch would have effects beyond its "
             "functions"}},
        Loaded{
            "event_of_a_system_call",
            "\n  .section _ftrace_events,\"aw\"\n  .quad call\n  .section .data.call,\"aw\"\n"
            "call: .quad 0, 0, event_class_syscall_enter\n"
            "  .section .data.class,\"aw\"\n  .globl event_class_syscall_enter\nevent_class_syscall_enter: .quad 0\n",
            "",
            {"_ftrace_events: trace_module_add_events would read it: the patch would have effects beyond its "
             "functions",
             "_ftrace_events+0x0: the event of a system call: trace_module_add_events would jump into init code, "
             "which is freed"}}),
    [](const auto& info) { return std::string(info.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Module, Loader,
    testing::Values(
        Loaded{"position_shifts",
               "",
               "",
               {"symbol .klp.sym.dummy.set_up,2: set_up of dummy is counted otherwise once the module's init part is "
                "freed"},
               [](KlpElf& elf) { rename_symbol(elf, count, ".klp.sym.dummy.set_up,2"); }},
        Loaded{
            "position_stays", "", "", {}, [](KlpElf& elf) { rename_symbol(elf, count, ".klp.sym.dummy.tear_down,1"); }},
        Loaded{"modinfo_twice",
               "\n  .section .modinfo2,\"a\"\n  .asciz \"a=b\"\n",
               "6.1",
               {".modinfo: is there 2 times, the kernel reads one",
                ".modinfo: is there 2 times: get_modinfo reads one of them"},
               [](KlpElf& elf) { section(elf, ".modinfo2").name = ".modinfo"; }},
        Loaded{"modinfo_not_allocated",
               "",
               "",
               {".modinfo: isn't allocated, so that older kernels don't find it"},
               [](KlpElf& elf) { section(elf, ".modinfo").header.sh_flags &= ~uint64_t{SHF_ALLOC}; }},
        Loaded{"attempts", "\n  .section .kpatch.attempts,\"aw\"\n  .ascii \"CVE-2026-1\"\n  .zero 22\n"},
        Loaded{"callbacks_for_one_object",
               "\n  .section .kpatch.callbacks.pre_patch,\"a\"\n  .quad callback, dummy\n",
               "",
               {".kpatch.callbacks.pre_patch+0x10: dummy has another callback of this kind: the kernel knows one of "
                "each"}},
        Loaded{"callbacks_of_two_kinds", "\n  .section .kpatch.callbacks.post_patch,\"a\"\n  .quad callback, dummy\n"},
        Loaded{"callbacks_for_two_objects",
               "\n  .section .kpatch.callbacks.pre_patch,\"a\"\n  .quad callback, vmlinux\n"},
        Loaded{"positions_0_and_1",
               "\n  .section .kpatch.funcs,\"a\"\n  .quad show, show_n, vmlinux, 1\n",
               "",
               {".kpatch.funcs+0x40: old_show of vmlinux is replaced twice"}},
        Loaded{"object_with_a_dash",
               "\n  .section .kpatch.funcs,\"a\"\n  .quad show, stats_n, dash, 0\n"
               "  .section .kpatch.strings,\"a\"\ndash: .asciz \"a-module\"\n",
               "",
               {".kpatch.funcs+0x50: 'a-module' is no name of a module: it has a dot or a dash, or more than 55 "
                "characters",
                "module a-module is not among the shipped modules"}},
        Loaded{"old_name_too_long_5_10",
               fmt::format("\n  .section .kpatch.funcs,\"a\"\n  .quad show, long_n, vmlinux, 0\n"
                           "  .section .kpatch.strings,\"a\"\nlong_n: .asciz \"{}\"\n",
                           std::string(128, 'y')),
               "5.10",
               {fmt::format(".kpatch.funcs+0x48: {} is longer than 127 characters: klp_enable_patch fails",
                            std::string(128, 'y')),
                fmt::format(".kpatch.funcs+0x40: vmlinux has no symbol {}", std::string(128, 'y'))}},
        Loaded{"extended_versions_7_2", extended("0x14, 0x11, 0x12, 0x13"), "7.2"},
        // They go before __versions, which is right here.
        Loaded{"extended_versions_wrong_7_2",
               extended("0x14, 0x99, 0x12, 0x13"),
               "7.2",
               {".text.show+0x1a, in function show: printk has CRC 0x00000099 in __versions, the kernel's is "
                "0x00000011"}},
        Loaded{"extended_versions_too_few_7_2",
               extended("0x14, 0x11, 0x12"),
               "7.2",
               {"__version_ext_names: has not as many names as there are CRCs"}},
        Loaded{"extended_versions_too_many_7_2",
               extended("0x14, 0x11, 0x12, 0x13, 0x15"),
               "7.2",
               {"__version_ext_names: has not as many names as there are CRCs"}},
        Loaded{"extended_versions_without_names_7_2",
               "\n  .section __version_ext_crcs,\"a\"\n  .long 0x14\n",
               "7.2",
               {"__version_ext_crcs: the other one of its pair is missing: the kernel refuses it"}},
        Loaded{"extended_versions_6_12",
               extended("0x14, 0x11, 0x12, 0x13"),
               "",
               {"__version_ext_crcs: this kernel doesn't read it"}},
        Loaded{"field_not_zero",
               "",
               "",
               {".text.show+0x1a, in function show: printk: the field isn't zero, which the kernel refuses"},
               [](KlpElf& elf) { section(elf, ".text.show").bytes[0x1a] = std::byte{1}; }},
        Loaded{"type_unknown_to_the_kernel",
               "",
               "",
               {".text.show+0x1a, in function show: printk: the kernel applies no type 9"},
               [](KlpElf& elf) {
                 for (KlpRelocation& r : section(elf, ".rela.text.show").relocations)
                   if (r.offset == 0x1a) r.type = R_X86_64_GOTPCREL;
               }},
        Loaded{"module_too_small",
               "",
               "",
               {".gnu.linkonce.this_module: has 88 bytes, and the kernel's struct module 96",
                ".gnu.linkonce.this_module: refers to no cleanup_module: it could never be unloaded"},
               [](KlpElf& elf) {
                 KlpSection& s = section(elf, ".gnu.linkonce.this_module");
                 s.bytes.resize(88);
                 s.header.sh_size = 88;
                 std::erase_if(section(elf, ".rela.gnu.linkonce.this_module").relocations,
                               [](const auto& r) { return r.offset == 88; });
               },
               KnownTypes::known},
        Loaded{"no_init",
               "",
               "",
               {".gnu.linkonce.this_module: refers to no init_module: nothing would be patched"},
               [](KlpElf& elf) {
                 std::erase_if(section(elf, ".rela.gnu.linkonce.this_module").relocations,
                               [&](const auto& r) { return elf.symbols[r.symbol].name == "init_module"; });
               }},
        Loaded{"no_exit",
               "",
               "",
               {".gnu.linkonce.this_module: refers to no cleanup_module: it could never be unloaded"},
               [](KlpElf& elf) {
                 std::erase_if(section(elf, ".rela.gnu.linkonce.this_module").relocations,
                               [&](const auto& r) { return elf.symbols[r.symbol].name == "cleanup_module"; });
               }},
        Loaded{
            "name_too_long_5_10",
            "",
            "5.10",
            {fmt::format("symbol .klp.sym.dummy.{},0 can't be read by the kernel", std::string(128, 'x'))},
            [](KlpElf& elf) { rename_symbol(elf, count, fmt::format(".klp.sym.dummy.{},0", std::string(128, 'x'))); }},
        Loaded{
            "long_name_6_1",
            "",
            "6.1",
            {fmt::format("symbol .klp.sym.dummy.{0},0: dummy has no symbol {0}", std::string(128, 'x'))},
            [](KlpElf& elf) { rename_symbol(elf, count, fmt::format(".klp.sym.dummy.{},0", std::string(128, 'x'))); }}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(LoaderModel, ReadsReleases) {
  EXPECT_EQ(series_of("6.12.117+deb12-cloud-amd64"), (KernelSeries{6, 12}));
  EXPECT_EQ(series_of("5.10"), (KernelSeries{5, 10}));
  EXPECT_EQ(series_of("7.2-rc1"), (KernelSeries{7, 2}));
  for (const char* wrong : {"", "6", "6.", ".12", "linux-6.12"}) EXPECT_EQ(series_of(wrong), std::nullopt) << wrong;
  EXPECT_LT((KernelSeries{5, 19}), (KernelSeries{6, 1}));
  EXPECT_LT((KernelSeries{6, 2}), (KernelSeries{6, 12}));
}

TEST(LoaderModel, SectionsOfVmlinuxAlone) {
  const Binary vmlinux = Binary::open("/proc/self/exe");
  const LoaderModel model("6.12.1", &vmlinux, &arch_x86_64);
  for (const char* name : {".initcallearly.init",
                           ".initcall7s.init",
                           ".initcallrootfs.init",
                           ".con_initcall.init",
                           ".init.setup",
                           "__modver",
                           ".pci_fixup_suspend_late",
                           "__syscalls_metadata",
                           ".lsm_info.init",
                           ".early_lsm_info.init",
                           "__clk_of_table",
                           "__irqchip_of_table_end",
                           "__timer_acpi_probe_table",
                           "__earlycon_table",
                           "__governor_thermal_table",
                           ".x86_cpu_dev.init",
                           ".apicdrivers",
                           "__fair_sched_class",
                           "runtime_ptr_x",
                           "runtime_shift_x",
                           ".static_call_tramp_key",
                           "__tracepoint_str",
                           "_ftrace_branch",
                           ".data..nosave",
                           ".bss..decrypted",
                           ".bss..brk",
                           ".data..init_task",
                           ".builtin_fw",
                           ".vvar_page",
                           ".exitcall.exit",
                           ".discard.addressable",
                           ".export_symbol"})
    EXPECT_NE(model.boot_section(name), nullptr) << name;
  for (const char* name : {".text", ".init.text", ".init.data", ".data..once", ".data..read_mostly", ".sched.text",
                           "__jump_table", "__param", ".data..ro_after_init", ".bss", ".init_array"})
    EXPECT_EQ(model.boot_section(name), nullptr) << name;
}

// Two tables tell what a section is, and what the loader does with it: what one says the other must allow.
TEST(LoaderModel, AgreesWithTheTableOfSections) {
  const Binary vmlinux = Binary::open("/proc/self/exe");
  const LoaderModel model("6.12.1", &vmlinux, &arch_x86_64);
  // Read later than the stage at which the loader finds them, by those who follow their own pointers.
  const std::set<std::string_view> not_early = {"__bug_table", ".printk_index", "__kcfi_traps"};
  for (const SectionRow& row : section_rows()) {
    if (row.kind != SectionKind::table && row.kind != SectionKind::rebuilt) continue;
    const LoaderSection* read = model.section(row.name);
    if (read == nullptr || !row.early) continue;
    EXPECT_TRUE(read->stage < LoaderStage::init || row.name == ".orc_" || read->reader == "nobody") << row.name;
  }
  for (const TableFacts& table : arch_x86_64.tables) {
    const LoaderSection* read = model.section(table.section);
    ASSERT_NE(read, nullptr) << table.section;
    EXPECT_EQ(read->struct_name, table.struct_name) << table.section;
    EXPECT_TRUE(section_row(table.section).delivered) << table.section;
    if (!not_early.contains(table.section)) {
      EXPECT_TRUE(section_row(table.section).early) << table.section;
    }
    EXPECT_EQ(model.boot_section(table.section), nullptr) << table.section;
  }
}

}  // namespace
}  // namespace kpatch
