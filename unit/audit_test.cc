// The audit of the fixture's livepatch. It passes; then each case breaks one thing, in the source or in the finished
// file, and the findings must be exactly those named, in any order.
#include "klp/audit.h"

#include <gtest/gtest.h>

#include <elf.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "klp/loader-facts.h"
#include "support/error.h"
#include "support/files.h"
#include "unit/audit-fixture.h"

namespace kpatch {
namespace {

using namespace audit_fixture;

class Audit : public AuditFixture {};
class AuditTest : public AuditFixture, public testing::WithParamInterface<Case> {};

TEST_P(AuditTest, FindsExactly) { finds_exactly(GetParam()); }

INSTANTIATE_TEST_SUITE_P(
    Module, AuditTest,
    testing::Values(
        Case{"good", "", "", {}},
        Case{"not_marked", "\"livepatch=Y\"", "\"other=Y\"", {".modinfo: 'livepatch' is missing"}},
        Case{"marked_otherwise", "\"livepatch=Y\"", "\"livepatch=N\"", {".modinfo: livepatch=N"}},
        Case{"depends",
             "\"depends=\"",
             "\"depends=dummy\"",
             {".modinfo: depends=dummy: loading the livepatch would load that module"}},
        Case{"depends_missing", ".asciz \"depends=\"", "", {".modinfo: 'depends' is missing"}},
        Case{"depends_twice",
             ".asciz \"depends=\"",
             ".asciz \"depends=\"\n.asciz \"depends=\"",
             {".modinfo: 'depends' is there 2 times"}},
        Case{"vermagic",
             "vermagic=6.12.1-test SMP",
             "vermagic=6.12.1-test2 SMP",
             {".modinfo: vermagic=6.12.1-test2 SMP preempt mod_unload modversions : it was built for another kernel "
              "than 6.12.1-test"}},
        Case{"license",
             "license=GPL",
             "license=MIT",
             {".modinfo: license=MIT: the livepatch interface is for GPL modules"}},
        Case{"name",
             "name=livepatch_fix",
             "name=livepatch_fox",
             {".modinfo: name=livepatch_fox: not livepatch_fix",
              ".gnu.linkonce.this_module: its name is 'livepatch_fix', and .modinfo says livepatch_fox"}},
        Case{"no_module",
             ".gnu.linkonce.this_module",
             ".data.none",
             {"it has no section .gnu.linkonce.this_module",
              ".data.none: nothing reads it: neither the loader, nor code or data of the module"}},
        Case{"left_over",
             ".section .rodata.ops,\"a\"",
             ".section .kpatch.ignore,\"a\"\n.quad 0\n.section .rodata.ops,\"a\"",
             {"section .kpatch.ignore is left over from the build"}},
        Case{
            "unknown_section",
            ".section .rodata.ops,\"a\"",
            ".section _ftrace_events,\"a\"\n.quad 0\n.section .rodata.ops,\"a\"",
            {"_ftrace_events: trace_module_add_events would read it: the patch would have effects beyond its functions",
             "_ftrace_events+0x0: refers to nothing: trace_module_add_events would follow a null pointer"}},
        Case{"runtime_constant",
             ".section .rodata.ops,\"a\"",
             ".section runtime_ptr_USER_PTR_MAX,\"a\"\n.long 0\n.section .rodata.ops,\"a\"",
             {"runtime_ptr_USER_PTR_MAX: the kernel reads such sections in vmlinux alone (runtime_const_init: the "
              "placeholder in the code would stay), not in modules"}},
        Case{"unknown_not_allocated",
             ".section .rodata.ops,\"a\"",
             ".section .debug_strange\n.quad 0\n.section .rodata.ops,\"a\"",
             {}},
        Case{"writable_code",
             ".text.callback,\"ax\"",
             ".text.callback,\"awx\"",
             {"section .text.callback is writable and executable"}},
        Case{"undefined",
             "call printk",
             "call nobody",
             {".text.show+0x1a, in function show: nobody is undefined, and no kernel export"}},
        Case{"undefined_weak",
             "call printk",
             ".weak nobody\ncall nobody",
             {".text.show+0x1a, in function show: nobody is undefined, and no kernel export"}},
        Case{"module_export",
             "call printk",
             "call of_module",
             {".text.show+0x1a, in function show: of_module is exported by module drivers/net/dummy: an ordinary "
              "reference would make the livepatch depend on it"}},
        Case{"namespace",
             "call printk",
             "call spaced",
             {".text.show+0x1a, in function show: spaced is in namespace SPACE, which the module doesn't import",
              ".text.show+0x1a, in function show: spaced has no CRC in __versions"}},
        Case{"namespace_imported",
             "crc 0x11, printk",
             "crc 0x16, spaced\n.pushsection .modinfo\n.asciz \"import_ns=SPACE\"\n.popsection",
             {".text.show+0x1a, in function show: printk has no CRC in __versions"}},
        Case{"crc_missing",
             "crc 0x11, printk",
             "",
             {".text.show+0x1a, in function show: printk has no CRC in __versions"}},
        Case{
            "crc_wrong",
            "crc 0x11, printk",
            "crc 0x10, printk",
            {".text.show+0x1a, in function show: printk has CRC 0x00000010 in __versions, the kernel's is 0x00000011"}},
        Case{"crc_of_the_layout",
             "crc 0x14, module_layout",
             "crc 0x15, module_layout",
             {"module_layout has CRC 0x00000015 in __versions, the kernel's is 0x00000014"}},
        Case{"versions_cut",
             "crc 0x13, __x86_return_thunk",
             "crc 0x13, __x86_return_thunk\n.quad 0",
             {"__versions: no whole number of entries"}},
        Case{"versions_without_end",
             "crc 0x13, __x86_return_thunk",
             "crc 0x13, __x86_return_thunk\n.quad 0\n.fill 55, 1, 'x'\n.byte 'x'\ncrc 0x13, __x86_return_thunk",
             {"__versions+0x100: its name does not end"}},
        Case{"common", "call printk", ".comm shared_data, 8\ncall printk", {"shared_data is a common symbol"}}),
    [](const auto& info) { return std::string(info.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Functions, AuditTest,
    testing::Values(
        Case{"old_missing", "\"old_show\"", "\"old_shaw\"", {".kpatch.funcs+0x0: vmlinux has no symbol old_shaw"}},
        Case{"old_twice",
             "\"old_show\"",
             "\"twin\"",
             {".kpatch.funcs+0x0: vmlinux has 2 symbols twin, and sympos is 0"}},
        Case{"old_beyond",
             "show_n, vmlinux, 0",
             "twin_n, vmlinux, 3",
             {".kpatch.funcs+0x0: vmlinux has 2 symbols twin, and sympos is 3"}},
        Case{"old_first_of_two", "show_n, vmlinux, 0", "twin_n, vmlinux, 1", {}},
        Case{"old_second_untraced",
             "show_n, vmlinux, 0",
             "twin_n, vmlinux, 2",
             {".kpatch.funcs+0x0: twin of vmlinux has no ftrace site, so it can't be redirected"}},
        Case{"old_untraced",
             "\"old_show\"",
             "\"untraced\"",
             {".kpatch.funcs+0x0: untraced of vmlinux has no ftrace site, so it can't be redirected"}},
        Case{"old_is_data", "\"old_show\"", "\"use\"", {".kpatch.funcs+0x0: use of vmlinux is no function"}},
        Case{"old_at_boot",
             "\"old_show\"",
             "\"at_boot\"",
             {".kpatch.funcs+0x0: at_boot of vmlinux is in .init.text, which is freed"}},
        Case{"old_of_unknown_module",
             ".quad stats, stats_n, dummy, 0",
             ".quad stats, stats_n, dummy, 0\n.quad stats, stats_n, count_n, 0",
             {"module count is not among the shipped modules"}},
        Case{"replaced_twice",
             ".quad stats, stats_n, dummy, 0",
             ".quad stats, stats_n, dummy, 0\n.quad show, stats_n, dummy, 0",
             {".kpatch.funcs+0x40: old_stats of dummy is replaced twice"}},
        Case{"two_of_one_place",
             ".quad stats, stats_n, dummy, 0",
             ".quad stats, stats_n, dummy, 0\n.quad show, other_n, dummy, 0",
             {".kpatch.funcs+0x40: other_stats of dummy is at the address of old_stats, which is replaced too: a place "
              "is "
              "redirected once"}},
        Case{"new_is_data",
             ".quad show, show_n",
             ".quad key_field, show_n",
             {".kpatch.funcs+0x0: old_show: points at no function of the module"}},
        Case{"new_is_inside",
             ".quad show, show_n",
             ".quad show+4, show_n",
             {".kpatch.funcs+0x0: old_show: points at no function of the module"}},
        Case{"new_is_padding",
             ".quad show, show_n",
             ".quad __pfx_show, show_n",
             {".kpatch.funcs+0x0: old_show: points at no function of the module"}},
        Case{"new_is_missing",
             ".quad show, show_n",
             ".quad 0, show_n",
             {".kpatch.funcs+0x0: old_show: points at no function of the module"}},
        Case{
            "new_is_freed",
            "",
            "",
            {".kpatch.funcs+0x20: old_stats: its function is in .init.text, which is freed",
             ".init.text+0x2, in function stats: .klp.sym.dummy.count,0: the kernel reads .init.text before it applies "
             "relocations of module dummy"},
            [](KlpElf& elf) { rename_stats(elf, ".init.text"); }},
        Case{"name_missing", "show_n, vmlinux, 0", "0, vmlinux, 0", {".kpatch.funcs+0x8: points at no string"}},
        Case{"half_an_entry",
             ".quad stats, stats_n, dummy, 0",
             ".quad stats, stats_n, dummy, 0, 0",
             {".kpatch.funcs: no whole number of entries"}},
        Case{"callback_missing",
             ".quad callback, dummy",
             ".quad 0, dummy",
             {".kpatch.callbacks.pre_patch+0x0: callback: points at no function of the module"}},
        Case{"callback_for_nothing",
             ".quad callback, dummy",
             ".quad callback, 0",
             {".kpatch.callbacks.pre_patch+0x8: points at no string"}}),
    [](const auto& info) { return std::string(info.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Klp, AuditTest,
    testing::Values(
        Case{"patches_nothing",
             ".quad show, show_n, vmlinux, 0\n  .quad stats, stats_n, dummy, 0\n"
             "  .section .kpatch.callbacks.pre_patch,\"a\"\n  .quad callback, dummy",
             "",
             {".kpatch.funcs: the module patches nothing",
              ".klp.rela.dummy..text.stats: the patch names no object dummy: nobody would apply its relocations"}},
        Case{"symbol_missing",
             "\"twin\"",
             "\"twine\"",
             {"symbol .klp.sym.vmlinux.twine,1: vmlinux has no symbol twine"}},
        Case{"symbol_ambiguous",
             "entry twin_call+1, twin.klp.vmlinux.1, vmlinux, vmlinux, twin_n, 1",
             "entry twin_call+1, twin.klp.vmlinux.1, vmlinux, vmlinux, twin_n, 0",
             {"symbol .klp.sym.vmlinux.twin,0: vmlinux has 2 symbols twin, and sympos is 0"}},
        Case{"symbol_beyond",
             "entry twin_call+1, twin.klp.vmlinux.1, vmlinux, vmlinux, twin_n, 1",
             "entry twin_call+1, twin.klp.vmlinux.1, vmlinux, vmlinux, twin_n, 3",
             {"symbol .klp.sym.vmlinux.twin,3: vmlinux has 2 symbols twin, and sympos is 3"}},
        Case{"symbol_freed",
             "\"count\"",
             "\"boot_count\"",
             {"symbol .klp.sym.dummy.boot_count,0: boot_count of dummy is in .init.data, which is freed"}},
        Case{"symbol_not_marked",
             "",
             "",
             {"symbol .klp.sym.dummy.count,0 is named like, but isn't marked as a livepatch symbol",
              ".text.stats+0x2, in function stats: .klp.sym.dummy.count,0 is undefined, and no kernel export",
              ".text.stats+0x2, in function stats: a klp relocation against .klp.sym.dummy.count,0, which is no "
              "livepatch symbol"},
             [](KlpElf& elf) { symbol(elf, count).entry.st_shndx = SHN_UNDEF; }},
        Case{"symbol_not_named",
             "",
             "",
             {"symbol count is not named like a livepatch symbol",
              ".text.stats+0x2, in function stats: a klp relocation against count, which is no livepatch symbol"},
             [](KlpElf& elf) { rename_symbol(elf, count, "count"); }},
        Case{"symbol_without_sympos",
             "",
             "",
             {"symbol .klp.sym.dummy.count can't be read by the kernel",
              ".text.stats+0x2, in function stats: a klp relocation against .klp.sym.dummy.count, which is no "
              "livepatch symbol"},
             [](KlpElf& elf) { rename_symbol(elf, count, ".klp.sym.dummy.count"); }},
        Case{"section_of_another",
             "",
             "",
             {"section .klp.rela.dummy..text.show is not named .klp.rela.OBJECT..text.stats"},
             [](KlpElf& elf) { section(elf, klp_stats).name = ".klp.rela.dummy..text.show"; }},
        Case{"section_twice",
             "",
             "",
             {"section .klp.rela.dummy..text.stats is there twice"},
             [](KlpElf& elf) {
               KlpSection copy = section(elf, klp_stats);
               elf.sections.push_back(copy);
             }},
        Case{"object_not_patched",
             "",
             "",
             {".klp.rela.base_module..text.stats: the patch names no object base_module: nobody would apply its "
              "relocations",
              ".text.stats+0x2, in function stats: .klp.sym.dummy.count,0: module base_module does not depend on "
              "dummy, which may be missing"},
             [](KlpElf& elf) { section(elf, klp_stats).name = ".klp.rela.base_module..text.stats"; }},
        Case{"symbol_of_a_dependency", "dummy, dummy, count_n", "dummy, base, count_n", {}},
        Case{"section_not_marked",
             "",
             "",
             {"section .klp.rela.dummy..text.stats isn't marked as a livepatch relocation section",
              ".text.stats+0x2, in function stats: an ordinary relocation against .klp.sym.dummy.count,0, which the "
              "loader leaves 0"},
             [](KlpElf& elf) { section(elf, klp_stats).header.sh_flags &= ~shf_rela_livepatch; }},
        Case{"section_not_kept",
             "",
             "",
             {"section .klp.rela.dummy..text.stats isn't kept in memory"},
             [](KlpElf& elf) { section(elf, klp_stats).header.sh_flags &= ~uint64_t{SHF_ALLOC}; }},
        Case{
            "vmlinux_symbol_in_module_section",
            "",
            "",
            {".text.stats+0x2, in function stats: .klp.sym.vmlinux.key,0 is in .klp.rela.dummy..text.stats: the kernel "
             "takes symbols of vmlinux in .klp.rela.vmlinux.* alone"},
            [](KlpElf& elf) { rename_symbol(elf, count, ".klp.sym.vmlinux.key,0"); }},
        Case{"module_symbol_in_vmlinux_section",
             "",
             "",
             {"__jump_table+0x8: code of the kernel proper refers to count of module dummy, which needn't be there"},
             [](KlpElf& elf) { rename_symbol(elf, ".klp.sym.vmlinux.key,0", count); }},
        Case{"late",
             "",
             "",
             {".altinstr_replacement+0x2, in function stats: .klp.sym.dummy.count,0: the kernel reads "
              ".altinstr_replacement before it applies relocations of module dummy"},
             [](KlpElf& elf) { rename_stats(elf, ".altinstr_replacement"); }},
        Case{"overwritten",
             ".section .rodata.ops",
             ".section .altinstructions,\"a\"\n.long stats_count - ., stats - ., 0\n.byte 6, 0\n.section .rodata.ops",
             {".text.stats+0x2, in function stats: .klp.sym.dummy.count,0: an alternative overwrites the code before "
              "the "
              "relocation comes"}},
        Case{"overwritten_before",
             ".section .rodata.ops",
             ".section .altinstructions,\"a\"\n.long stats_count - ., stats - ., 0\n.byte 2, 0\n.section .rodata.ops",
             {}},
        Case{"half_an_alternative",
             ".section .rodata.ops",
             ".section .altinstructions,\"a\"\n.long stats_count - .\n.section .rodata.ops",
             {".altinstructions: its 4 bytes are no whole number of entries, of 14 bytes each for apply_alternatives"}},
        Case{"alternative_of_nothing",
             ".section .rodata.ops",
             ".section .altinstructions,\"a\"\n.long 0, stats - ., 0\n.byte 2, 0\n.section .rodata.ops",
             {".altinstructions+0x0: points at no code: apply_alternatives would overwrite another place"}},
        Case{"field_not_zero",
             "",
             "",
             {".text.stats+0x2, in function stats: .klp.sym.dummy.count,0: the field isn't zero, which the kernel "
              "refuses"},
             [](KlpElf& elf) { section(elf, ".text.stats").bytes[5] = std::byte{1}; }},
        Case{"type_unknown_to_the_kernel",
             "",
             "",
             {".text.stats+0x2, in function stats: .klp.sym.dummy.count,0: the kernel applies no type 9"},
             [](KlpElf& elf) { section(elf, klp_stats).relocations[0].type = R_X86_64_GOTPCREL; }},
        Case{"beyond_the_section",
             "",
             "",
             {".text.stats+0x4, in function stats: the relocation against count reaches beyond its section"},
             [](KlpElf& elf) { section(elf, klp_stats).relocations[0].offset = 4; }},
        Case{"code_beyond_the_section",
             "leaq callback(%rip)",
             "leaq callback+100(%rip)",
             {".text.show+0x30, in function show: the relocation against .text.callback+96 points outside of "
              ".text.callback"}},
        Case{"two_relocations",
             "",
             "",
             {".text.show+0x1f, in function show: a klp relocation against .klp.sym.vmlinux.twin,1 and another one"},
             [](KlpElf& elf) {
               KlpRelocation again = section(elf, klp_show).relocations[0];
               again.symbol = index_of(elf, "printk");
               section(elf, ".rela.text.show").relocations.push_back(again);
             }}),
    [](const auto& info) { return std::string(info.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Code, AuditTest,
    testing::Values(
        Case{"return_site_missing",
             "list .return_sites, thunk",
             "",
             {".text.show+0x3c, in function show: __x86_return_thunk has no entry in .return_sites"}},
        Case{"return_site_elsewhere",
             "list .return_sites, thunk",
             "list .return_sites, key_field",
             {".return_sites+0x0: points at no code: apply_returns would leave a return without protection",
              ".text.show+0x3c, in function show: __x86_return_thunk has no entry in .return_sites"}},
        Case{"retpoline_site_missing",
             "call printk",
             "call __x86_indirect_thunk_rax",
             {".text.show+0x1a, in function show: __x86_indirect_thunk_rax is undefined, and no kernel export",
              ".text.show+0x1a, in function show: __x86_indirect_thunk_rax has no entry in .retpoline_sites"}},
        Case{"retpoline_site",
             "call printk",
             "9: .byte 0x2e\ncall __x86_indirect_thunk_rax\nlist .retpoline_sites, 9b",
             {".text.show+0x1b, in function show: __x86_indirect_thunk_rax is undefined, and no kernel export"}},
        Case{"address_of_a_thunk",
             "call printk",
             "mov $__x86_indirect_thunk_array, %rdi",
             {".text.show+0x1c, in function show: __x86_indirect_thunk_array is undefined, and no kernel export"}},
        Case{"ftrace_site_missing",
             ".quad fentry",
             "",
             {".text.show+0x15, in function show: __fentry__ has no entry in __mcount_loc"}},
        Case{"ftrace_site_without_call",
             ".quad fentry",
             ".quad fentry, twin_call",
             {".text.show+0x1e, in function show: __mcount_loc lists it, but there is no call of __fentry__"}},
        Case{"static_call_missing",
             ".long tick - ., __SCK__tick - .",
             ".long label - ., __SCK__tick - .",
             {".static_call_sites+0x4: lists a place where no static call is",
              ".text.show+0x24, in function show: __SCT__tick has no entry in .static_call_sites"}},
        Case{"static_call_of_a_module",
             "  ret\n  .size stats",
             "tock: call trampoline.tock.klp.dummy.0\n  ret\n.weak trampoline.tock.klp.dummy.0\n"
             "entry tock+1, trampoline.tock.klp.dummy.0, dummy, dummy, tock_n\n"
             ".pushsection .kpatch.strings\ntock_n: .asciz \"__SCT__tock\"\n.popsection\n  .size stats",
             {}},
        Case{"static_call_elsewhere",
             ".long tick - ., __SCK__tick - .",
             ".long tick - ., __SCK__tick - .\n.long key_field - ., __SCK__tick - .",
             {".static_call_sites+0x8: points at no code: static_call_add_module would take the table itself for what "
              "it refers to, and "
              "write to it"}},
        Case{"static_call_beyond_its_section",
             "",
             "",
             {".static_call_sites+0x0: the relocation against .text.show+4131 points outside of .text.show",
              ".static_call_sites+0x4: the key of a jump of __SCT__tick has flags 0",
              ".text.show+0x1024: the relocation against __SCT__tick reaches beyond its section"},
             [](KlpElf& elf) {
               for (KlpRelocation& site : section(elf, ".rela.static_call_sites").relocations)
                 if (site.offset == 0) site.addend += 0x1000;
               for (KlpRelocation& call : section(elf, klp_show).relocations)
                 if (elf.symbols[call.symbol].name == ".klp.sym.vmlinux.__SCT__tick,0") call.offset += 0x1000;
             }},
        Case{"static_call_by_trampoline",
             ".long tick - ., __SCK__tick - .",
             ".long tick - ., __SCT__tick - .",
             {".static_call_sites+0x4: the key of a static call is '__SCT__tick'"}},
        Case{"static_call_with_the_flag_of_a_jump",
             ".long tick - ., __SCK__tick - .",
             ".long tick - ., __SCK__tick + 1 - .",
             {".static_call_sites+0x4: the key of a call of __SCT__tick has flags 1"}},
        Case{"static_call_that_is_a_jump",
             "call __SCT__tick",
             "jmp __SCT__tick",
             {".static_call_sites+0x4: the key of a jump of __SCT__tick has flags 0"}},
        Case{"static_call_of_another_key",
             ".long tick - ., __SCK__tick - .",
             ".long tick - ., __SCK__tock - .\n.weak __SCK__tock\nentry 0, __SCK__tock, vmlinux, vmlinux, sck2_n\n"
             ".pushsection .kpatch.strings\nsck2_n: .asciz \"__SCK__tock\"\n.popsection",
             {".static_call_sites+0x4: the key of a call of __SCT__tick is __SCK__tock",
              "symbol .klp.sym.vmlinux.__SCK__tock,0: vmlinux has no symbol __SCK__tock"}},
        Case{"static_call_by_exported_trampoline",
             ".long tick - ., __SCK__tick - .",
             ".long tick - ., __SCT__both - .",
             {".static_call_sites+0x4: the key of a static call is '__SCT__both'"}},
        Case{"static_call_whose_key_is_not_exported",
             ".long tick - ., __SCK__tick - .",
             ".long tick - ., __SCK__tick - .\n.long lone - ., __SCT__lone - .\n.popsection\n"
             ".pushsection .text.lone,\"ax\"\nlone: call __SCT__lone",
             {}},
        Case{"static_call_without_key",
             ".long tick - ., __SCK__tick - .",
             ".long tick - ., 0",
             {".static_call_sites+0x4: refers to nothing: static_call_add_module would take the table itself for what "
              "it refers to, and "
              "write to it"}},
        Case{"trampoline_address",
             "callback(%rip), %rdi",
             "callback(%rip), %rdi\n.quad __SCT__tick",
             {".text.show+0x34, in function show: __SCT__tick is undefined, and no kernel export"},
             [](KlpElf& elf) {
               // Not through post-link: the address of a trampoline that is no branch needs no site.
               KlpSection& klp = section(elf, klp_show);
               auto address = std::find_if(klp.relocations.begin(), klp.relocations.end(),
                                           [](const auto& r) { return r.type == R_X86_64_64; });
               KlpSymbol tramp;
               tramp.name = "__SCT__tick";
               tramp.entry.st_info = GELF_ST_INFO(STB_GLOBAL, STT_NOTYPE);
               elf.symbols.push_back(tramp);
               KlpRelocation moved = *address;
               moved.symbol = static_cast<uint32_t>(elf.symbols.size() - 1);
               klp.relocations.erase(address);
               section(elf, ".rela.text.show").relocations.push_back(moved);
             }},
        Case{"jump_label_without_key",
             "",
             "",
             {"__jump_table+0x8: refers to nothing: jump_label_add_module would take the table itself for what it "
              "refers to, and "
              "write to it"},
             [](KlpElf& elf) { section(elf, ".klp.rela.vmlinux.__jump_table").relocations.clear(); }},
        Case{"jump_label_without_code",
             ".long label - ., show_end - 5 - .",
             ".long 0, show_end - 5 - .",
             {"__jump_table+0x0: points at no code: jump_label_add_module would take the table itself for what it "
              "refers to, and "
              "write to it"}},
        Case{"jump_label_without_target",
             ".long label - ., show_end - 5 - .",
             ".long label - ., key_field - .",
             {"__jump_table+0x4: points at no code: jump_label_add_module would take the table itself for what it "
              "refers to, and "
              "write to it"}},
        Case{"key_read_only",
             "\"key\"",
             "\"ro_key\"",
             {"__jump_table+0x8: the key ro_key is read-only after boot, and this kernel writes to it when the module "
              "is "
              "loaded"}},
        Case{"orc_undefined",
             "unwind stats, 0\n  unwind stats",
             "unwind stats, 0",
             {".text.stats+0x0, in function stats: no ORC entry tells how to unwind it"}},
        Case{"orc_of_another_section",
             "unwind callback",
             "",
             {".text.callback+0x0, in function callback: no ORC entry tells how to unwind it"}},
        Case{"orc_of_a_call_undefined",
             "unwind __pfx_show",
             "unwind __pfx_show\n  unwind twin_call, 0\n  unwind tick",
             {".text.show+0x1e, in function show: no ORC entry tells how to unwind this call"}},
        Case{"orc_undefined_where_nothing_is_called", "unwind __pfx_show", "unwind __pfx_show\n  unwind label, 0", {}},
        Case{"orc_missing",
             "",
             "",
             {"it has no .orc_unwind_ip and .orc_unwind: its functions can't be unwound",
              ".orc_other: nothing reads it: neither the loader, nor code or data of the module"},
             [](KlpElf& elf) { section(elf, ".orc_unwind").name = ".orc_other"; }},
        Case{"orc_numbers",
             "",
             "",
             {".orc_unwind: its 29 bytes are no whole number of entries, of 6 bytes each for unwind_module_init",
              ".orc_unwind_ip and .orc_unwind differ in their number of entries"},
             [](KlpElf& elf) { section(elf, ".orc_unwind").bytes.pop_back(); }},
        Case{"endbr_missing",
             "callback:\n  endbr64",
             "callback:",
             {".text.show+0x30, in function show: takes the address of callback, which has no ENDBR",
              ".kpatch.callbacks.pre_patch+0x0: takes the address of callback, which has no ENDBR",
              ".rodata.ops+0x0: takes the address of callback, which has no ENDBR"}},
        Case{"endbr_sealed",
             "unwind callback",
             "unwind callback\nlist .ibt_endbr_seal, callback",
             {".text.show+0x30, in function show: takes the address of callback, whose ENDBR is sealed",
              ".kpatch.callbacks.pre_patch+0x0: takes the address of callback, whose ENDBR is sealed",
              ".rodata.ops+0x0: takes the address of callback, whose ENDBR is sealed"}},
        Case{"endbr_sealed_elsewhere", "unwind callback", "unwind callback\nlist .ibt_endbr_seal, show", {}},
        Case{"endbr_missing_in_the_kernel",
             "\"twin\"",
             "\"no_endbr\"",
             {".text.show+0x37, in function show: takes the address of no_endbr, which has no ENDBR in the running "
              "kernel"}},
        Case{"endbr_sealed_in_the_kernel",
             "\"twin\"",
             "\"sealed\"",
             {".text.show+0x37, in function show: takes the address of sealed, which has no ENDBR in the running "
              "kernel"}},
        Case{
            "endbr_of_the_other_twin",
            "entry thunk-4, twin.klp.vmlinux.1, vmlinux, vmlinux, twin_n, 1",
            "entry thunk-4, twin.klp.vmlinux.1, vmlinux, vmlinux, twin_n, 2",
            {".text.show+0x37, in function show: takes the address of twin, which has no ENDBR in the running kernel"}},
        Case{"machine",
             "",
             "",
             {"livepatches for s390x can't be made yet: what is missing is the sizes of relocated fields, the proof, "
              "the audit"},
             [](KlpElf& elf) { elf.header.e_machine = EM_S390; }}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(Audit, ComparesVermagicAsAWhole) {
  const fs::path file = module(std::string(good), nullptr);
  const auto rules = [&](const std::string& vermagic) {
    AuditInput input;
    input.module = file;
    input.release = "6.12.1-test";
    input.ours = false;
    input.vermagic = vermagic;
    std::vector<std::string> list;
    for (const Finding& finding : audit(input))
      if (finding.severity == Severity::error && finding.rule == "modinfo") list.push_back(sentence_of(finding));
    return list;
  };
  EXPECT_EQ(rules("6.12.1-test SMP preempt mod_unload modversions "), std::vector<std::string>());
  EXPECT_EQ(rules(""), std::vector<std::string>());
  EXPECT_EQ(rules("6.12.1-test SMP mod_unload modversions "),
            std::vector<std::string>{".modinfo: vermagic=6.12.1-test SMP preempt mod_unload modversions : the kernel's "
                                     "own modules have '6.12.1-test SMP mod_unload modversions '"});
}

TEST_F(Audit, NamesOtherReleases) {
  fs::path file = module(std::string(good), nullptr);
  EXPECT_EQ(findings(file, "6.12.2-test").size(), 1U);
  EXPECT_EQ(findings(file, "6.12.1-test", "other").size(), 1U);
  EXPECT_EQ(findings(file, "6.12.1-test", ""), std::vector<std::string>());
}

TEST_F(Audit, FindsStrippedModules) {
  module(std::string(good), nullptr);
  run("objcopy --strip-all a.ko stripped.ko 2>objcopy.log");
  EXPECT_EQ(findings(directory_ / "stripped.ko"),
            std::vector<std::string>{"it has no symbol table: a livepatch must not be stripped"});
}

// kernel/module/main.c, elf_validity_check() and what it became: ENOEXEC.
TEST_F(Audit, RefusesHeadersThatTheLoaderRefuses) {
  const std::string file = read_file(module(std::string(good), nullptr));
  Elf64_Ehdr header;
  std::memcpy(&header, file.data(), sizeof header);
  const auto of_section = [&](size_t section, size_t field) {
    return header.e_shoff + section * sizeof(Elf64_Shdr) + field;
  };
  const auto changed = [&](size_t at, uint64_t number, size_t width) {
    std::string other = file;
    std::memcpy(other.data() + at, &number, width);
    std::ofstream(directory_ / "changed.ko", std::ios::binary) << other;
    return findings(directory_ / "changed.ko");
  };
  size_t empty = 0;
  for (size_t i = 1; i < header.e_shnum && empty == 0; ++i) {
    Elf64_Shdr section;
    std::memcpy(&section, file.data() + of_section(i, 0), sizeof section);
    if (section.sh_type == SHT_PROGBITS && section.sh_size == 0) empty = i;
  }
  ASSERT_NE(empty, 0U);
  EXPECT_THROW(changed(of_section(0, offsetof(Elf64_Shdr, sh_size)), 1, 8), Error);
  EXPECT_THROW(changed(of_section(0, offsetof(Elf64_Shdr, sh_addr)), 1, 8), Error);
  EXPECT_THROW(changed(of_section(0, offsetof(Elf64_Shdr, sh_type)), SHT_PROGBITS, 4), Error);
  EXPECT_THROW(changed(of_section(empty, offsetof(Elf64_Shdr, sh_offset)), file.size() + 1, 8), Error);
  EXPECT_THROW(changed(offsetof(Elf64_Ehdr, e_shentsize), 72, 2), Error);
  EXPECT_THROW(changed(offsetof(Elf64_Ehdr, e_shnum), 0, 2), Error);
  // Of these it reads nothing.
  EXPECT_EQ(changed(of_section(0, offsetof(Elf64_Shdr, sh_offset)), 1, 8), std::vector<std::string>());
  EXPECT_EQ(changed(of_section(empty, offsetof(Elf64_Shdr, sh_offset)), file.size(), 8), std::vector<std::string>());
}

TEST_F(Audit, RefusesOtherFiles) {
  EXPECT_THROW(findings(directory_ / "symvers"), Error);
  EXPECT_THROW(findings(directory_ / "vmlinux"), Error);
  EXPECT_THROW(findings(directory_ / "missing"), Error);
}

}  // namespace
}  // namespace kpatch
