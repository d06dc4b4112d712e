// What the audit says of relocations that fill their fields with nothing, or with what can't be meant, and of sections whose
// bytes nobody would have (klp/audit-fields.cc, audit-loader.cc).
#include <elf.h>
#include <gtest/gtest.h>

#include <string>

#include "unit/audit-fixture.h"

namespace kpatch {
namespace {

using namespace audit_fixture;

class AuditFieldsTest : public AuditFixture, public testing::WithParamInterface<Case> {};

TEST_P(AuditFieldsTest, FindsExactly) { finds_exactly(GetParam()); }

// The n-th relocation of a section.
KlpRelocation& relocation(KlpElf& elf, std::string_view list, size_t n = 0) {
  return section(elf, list).relocations.at(n);
}
void not_kept(KlpElf& elf, std::string_view name) { section(elf, name).header.sh_flags &= ~uint64_t{SHF_ALLOC}; }

INSTANTIATE_TEST_SUITE_P(
    Fields, AuditFieldsTest,
    testing::Values(
        Case{"new_function_of_nothing",
             "",
             "",
             {".kpatch.funcs+0x0: a relocation against .text.show of a type that writes nothing",
              ".kpatch.funcs+0x0: old_show: points at no function of the module"},
             [](KlpElf& elf) { relocation(elf, ".rela.kpatch.funcs").type = R_X86_64_NONE; }},
        Case{"name_of_another_width",
             "",
             "",
             {".kpatch.funcs+0x8: points at no string"},
             [](KlpElf& elf) { relocation(elf, ".rela.kpatch.funcs", 1).type = R_X86_64_32S; }},
        Case{"init_of_nothing",
             "",
             "",
             {".gnu.linkonce.this_module+0x50: a relocation against init_module of a type that writes nothing",
              ".gnu.linkonce.this_module: refers to no init_module: nothing would be patched"},
             [](KlpElf& elf) { relocation(elf, ".rela.gnu.linkonce.this_module").type = R_X86_64_NONE; }},
        Case{"init_behind_its_start",
             "",
             "",
             {".gnu.linkonce.this_module: refers to no init_module: nothing would be patched"},
             [](KlpElf& elf) { relocation(elf, ".rela.gnu.linkonce.this_module").addend = 4; }},
        Case{"exit_relative",
             "",
             "",
             {".gnu.linkonce.this_module: refers to no cleanup_module: it could never be unloaded"},
             [](KlpElf& elf) { relocation(elf, ".rela.gnu.linkonce.this_module", 1).type = R_X86_64_PC64; }},
        Case{"klp_of_nothing",
             "",
             "",
             {".text.stats+0x2, in function stats: a relocation against count of a type that writes nothing"},
             [](KlpElf& elf) { relocation(elf, klp_stats).type = R_X86_64_NONE; }},
        // What objtool leaves behind of a call that it made a NOP.
        Case{"nothing_in_a_nop",
             "leaq callback(%rip), %rdi\n",
             "leaq callback(%rip), %rdi\n  .byte 0x0f, 0x1f, 0x44, 0, 0\n  .reloc . - 4, R_X86_64_NONE, printk\n",
             {}},
        Case{"nothing_in_a_call",
             "leaq callback(%rip), %rdi\n",
             "leaq callback(%rip), %rdi\n  .byte 0xe8, 0, 0, 0, 0\n  .reloc . - 4, R_X86_64_NONE, printk\n",
             {".text.show+0x35, in function show: a relocation against printk of a type that writes nothing"}},
        Case{"ftrace_site_relative",
             "",
             "",
             {"__mcount_loc+0x0: a relocation of type 24, where ftrace_process_locs reads an address of 8 bytes"},
             [](KlpElf& elf) { relocation(elf, ".rela__mcount_loc").type = R_X86_64_PC64; }},
        Case{"key_that_is_an_address",
             "key.klp.vmlinux.0 + 2 - .",
             "key.klp.vmlinux.0 + 2",
             {"__jump_table+0x8: a relocation of type 1, where jump_label_add_module reads a distance of 8 bytes"}},
        Case{"beyond_all_code",
             "",
             "",
             {".text.show+0x15, in function show: __fentry__+1099511627776 lies far from __fentry__"},
             [](KlpElf& elf) { relocation(elf, ".rela.text.show").addend = int64_t{1} << 40; }},
        Case{"far_behind_a_variable",
             "",
             "",
             {".text.stats+0x2, in function stats: count+16777212 lies far from count"},
             [](KlpElf& elf) { relocation(elf, klp_stats).addend = (1 << 24) - 4; }},
        // An index corrects it.
        Case{"before_a_variable", "", "", {}, [](KlpElf& elf) { relocation(elf, klp_stats).addend = -4096; }},
        Case{"address_in_32_bits",
             "",
             "",
             {".rodata.ops+0x0: .text.callback: a field of this type holds no address of the kernel, which refuses it"},
             [](KlpElf& elf) { relocation(elf, ".rela.rodata.ops").type = R_X86_64_32; }},
        Case{"data_that_is_freed",
             "",
             "",
             {".text.module+0x7, in function init_module: .rodata.ops is in a section that isn't kept in memory"},
             [](KlpElf& elf) { not_kept(elf, ".rodata.ops"); }},
        Case{"table_that_nobody_finds",
             "",
             "",
             {".return_sites: isn't kept in memory: apply_returns doesn't find it"},
             [](KlpElf& elf) { not_kept(elf, ".return_sites"); }},
        Case{"code_of_zeros",
             "",
             "",
             {".text.stats: has no bytes in the file: it would be zeros"},
             [](KlpElf& elf) { section(elf, ".text.stats").header.sh_type = SHT_NOBITS; }},
        Case{"memory_of_zeros",
             "ops: .quad callback",
             "ops: .quad callback\n  .section .bss.own,\"aw\",@nobits\n  .globl own\n  .type own, @object\nown: .skip "
             "8\n  .size own, 8",
             {}},
        Case{"relocations_of_another_type",
             "",
             "",
             {".klp.rela.dummy..text.stats: holds relocations by its name, and isn't of their type: nobody would apply "
              "them"},
             [](KlpElf& elf) {
               KlpSection& s = section(elf, klp_stats);
               s.header.sh_type = SHT_PROGBITS;
               s.header.sh_flags = SHF_ALLOC;
               s.bytes.resize(24);
             }},
        Case{"text_without_an_end",
             "ops: .quad callback",
             "ops: .quad callback\n  .section .rodata.str1.1,\"aMS\",@progbits,1\ntext: .ascii \"text\"\n  .section "
             ".rodata.ops\n  .quad text",
             {".rodata.str1.1: its last text doesn't end"}},
        Case{"other_name",
             "asciz \"livepatch_fix\"",
             "asciz \"livepatch_fax\"",
             {".gnu.linkonce.this_module: its name is 'livepatch_fax', and .modinfo says livepatch_fix"}}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace kpatch
