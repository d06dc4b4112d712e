// A small kernel and a small livepatch for it, both made here: the kernel linked from C and assembly, the livepatch
// assembled and post-linked. As it is, the audit has nothing to say of it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "elf/klp-elf.h"
#include "klp/audit.h"
#include "klp/loader-facts.h"
#include "klp/post-link.h"
#include "support/error.h"
#include "unit/skip.h"

namespace kpatch::audit_fixture {

namespace fs = std::filesystem;

// What runs: traced functions, one that isn't, two static `twin`, keys, tables, a struct in DWARF.
inline constexpr std::string_view kernel_c = R"(
struct __attribute__((packed)) alt_instr { int instr, replacement; unsigned flags; unsigned char length, new_length; };
struct alt_instr alternatives;
struct module { long members[12]; } a_module;
asm(R"asm(
  .macro function name, traced=1, endbr=1
  .text
  .type \name, @function
\name:
  .if \endbr
  endbr64
  .endif
  .if \traced
1: call __fentry__
  .pushsection .rodata.mcount,"a"
  .quad 1b
  .popsection
  .endif
  ret
  .size \name, . - \name
  .endm
  .section .rodata.mcount,"a"
  .globl __start_mcount_loc
__start_mcount_loc:
  .globl __fentry__, printk, __x86_return_thunk, __SCT__tick
  function __fentry__, 0
  function printk
  function __x86_return_thunk, 0
  function __SCT__tick, 0, 0
  function old_show
  function old_stats_of_vmlinux
  function untraced, 0
  function twin
  function no_endbr, 1, 0
  function sealed
  .section .rodata.mcount,"a"
  .globl __stop_mcount_loc
__stop_mcount_loc:
  .section .init.text,"ax"
  .type at_boot, @function
at_boot: ret
  .size at_boot, 1
  .section .ibt_endbr_seal,"a"
  .globl __ibt_endbr_seal
__ibt_endbr_seal: .long sealed - .
  .section .rodata.tables,"a"
  .globl __start_orc_unwind_ip, __start_static_call_sites
__start_orc_unwind_ip:
__start_static_call_sites:
  .quad 0
  .data
  .type key, @object
  .globl __SCK__tick
__SCK__tick: .quad 0
key: .quad 0
  .size key, 8
  .globl __start_ro_after_init, __end_ro_after_init
__start_ro_after_init:
  .type ro_key, @object
ro_key: .quad 0
  .size ro_key, 8
__end_ro_after_init:
)asm");
)";
inline constexpr std::string_view other_c = "static int twin(void) { return 3; } int (*use)(void) = twin;";

// The module dummy, and one on which it depends.
inline constexpr std::string_view dummy_s = R"(
  .section .modinfo,"a"
  .asciz "depends=base-module"
  .text
  .type old_stats, @function
old_stats:
1: call __fentry__
  ret
  .size old_stats, . - old_stats
  .type other_stats, @function
  .set other_stats, old_stats
  .size other_stats, 6
  .globl __SCT__tock
  .type __SCT__tock, @function
__SCT__tock: ret
  .size __SCT__tock, 1
  .section __mcount_loc,"a"
  .quad 1b
  .data
  .type count, @object
count: .quad 0
  .size count, 8
  .type shared, @object
shared: .quad 0
  .size shared, 8
  .text
  .type set_up, @function
set_up: ret
  .size set_up, 1
  .type tear_down, @function
tear_down: ret
  .size tear_down, 1
  .section .init.data,"aw"
  .type boot_count, @object
boot_count: .quad 0
  .size boot_count, 8
)";

// Another file of it, linked before: in its table the name comes first in one case, and behind in the other.
inline constexpr std::string_view dummy_init_s = R"(
  .section .init.text,"ax"
  .type set_up, @function
set_up: ret
  .size set_up, 1
)";
inline constexpr std::string_view dummy_exit_s = R"(
  .section .init.text,"ax"
  .type tear_down, @function
tear_down: ret
  .size tear_down, 1
)";

inline constexpr std::string_view symvers =
    "0x00000011\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n"
    "0x00000012\t__fentry__\tvmlinux\tEXPORT_SYMBOL\t\n"
    "0x00000013\t__x86_return_thunk\tvmlinux\tEXPORT_SYMBOL\t\n"
    "0x00000014\tmodule_layout\tvmlinux\tEXPORT_SYMBOL\t\n"
    "0x00000015\tof_module\tdrivers/net/dummy\tEXPORT_SYMBOL\t\n"
    "0x00000016\tspaced\tvmlinux\tEXPORT_SYMBOL\tSPACE\n"
    "0x00000017\tklp_enable_patch\tvmlinux\tEXPORT_SYMBOL_GPL\t\n"
    "0x00000000\t__SCT__both\tvmlinux\tEXPORT_SYMBOL_GPL\t\n"
    "0x00000000\t__SCK__both\tvmlinux\tEXPORT_SYMBOL_GPL\t\n"
    "0x00000000\t__SCT__lone\tvmlinux\tEXPORT_SYMBOL_GPL\t\n";

inline constexpr std::string_view good = R"(
  .macro entry place, placeholder, patched, owner, name, sympos=0
  .pushsection .comment.kpatch.relocs,"",@progbits
  .quad \place, \placeholder, \patched, \owner, \name, \sympos
  .popsection
  .endm
  .macro crc value, name
99: .quad \value
  .asciz "\name"
  .org 99b + 64
  .endm
  .macro list table, place
  .pushsection \table,"a"
  .long \place - .
  .popsection
  .endm
  .macro unwind place, facts=0x0215
  .pushsection .orc_unwind_ip,"a"
  .long \place - .
  .popsection
  .pushsection .orc_unwind,"a"
  .short 8, 0, \facts
  .popsection
  .endm
  .section .modinfo,"a"
  .asciz "livepatch=Y"
  .asciz "license=GPL"
  .asciz "depends="
  .asciz "name=livepatch_fix"
  .asciz "vermagic=6.12.1-test SMP preempt mod_unload modversions "
  .section .gnu.linkonce.this_module,"aw"
  .quad 0, 0, 0
  .asciz "livepatch_fix"
  .skip 42
  .quad init_module, cleanup_module
  .section __versions,"a"
  crc 0x14, module_layout
  crc 0x11, printk
  crc 0x12, __fentry__
  crc 0x13, __x86_return_thunk
  .section .kpatch.strings,"a"
vmlinux: .asciz "vmlinux"
dummy:   .asciz "dummy"
base:    .asciz "base_module"
show_n:  .asciz "old_show"
stats_n: .asciz "old_stats"
other_n: .asciz "other_stats"
twin_n:  .asciz "twin"
count_n: .asciz "count"
tramp_n: .asciz "__SCT__tick"
sck_n:   .asciz "__SCK__tick"
key_n:   .asciz "key"
  .section .kpatch.funcs,"a"
  .quad show, show_n, vmlinux, 0
  .quad stats, stats_n, dummy, 0
  .section .kpatch.callbacks.pre_patch,"a"
  .quad callback, dummy

  .weak twin.klp.vmlinux.1, count.klp.dummy.0, key.klp.vmlinux.0, __SCK__tick
  .section .text.show,"ax"
  .type show, @function
  .type __pfx_show, @function
__pfx_show: .skip 16, 0x90
  .size __pfx_show, 16
show:
  endbr64
fentry: call __fentry__
  call printk
twin_call: call twin.klp.vmlinux.1
tick: call __SCT__tick
label: .byte 0x0f, 0x1f, 0x44, 0, 0
  leaq callback(%rip), %rdi
  movq $twin.klp.vmlinux.1, %rsi
thunk: jmp __x86_return_thunk
show_end:
  .size show, . - show
  entry twin_call+1, twin.klp.vmlinux.1, vmlinux, vmlinux, twin_n, 1
  entry thunk-4, twin.klp.vmlinux.1, vmlinux, vmlinux, twin_n, 1
  entry tick+1, __SCT__tick, vmlinux, vmlinux, tramp_n
  entry 0, __SCK__tick, vmlinux, vmlinux, sck_n
  .pushsection __mcount_loc,"a"
  .quad fentry
  .popsection
  list .return_sites, thunk
  unwind __pfx_show
  .pushsection .static_call_sites,"aw"
  .long tick - ., __SCK__tick - .
  .popsection
  .pushsection __jump_table,"aw"
  .long label - ., show_end - 5 - .
key_field: .quad key.klp.vmlinux.0 + 2 - .
  .popsection
  entry key_field, key.klp.vmlinux.0, vmlinux, vmlinux, key_n

  .section .text.callback,"ax"
  .type callback, @function
callback:
  endbr64
  ret
  .size callback, . - callback
  unwind callback

  .section .text.stats,"ax"
  .type stats, @function
stats:
stats_count: movl count.klp.dummy.0(%rip), %eax
  ret
  .size stats, . - stats
  entry stats_count+2, count.klp.dummy.0, dummy, dummy, count_n
  unwind stats, 0
  unwind stats
  .section .text.module,"ax"
  .type init_module, @function
  .type cleanup_module, @function
  .globl init_module, cleanup_module
init_module:
  endbr64
  leaq ops(%rip), %rax
  ret
  .size init_module, . - init_module
cleanup_module:
  endbr64
  ret
  .size cleanup_module, . - cleanup_module
  unwind init_module
  .section .rodata.ops,"a"
ops: .quad callback
)";

using Mutation = std::function<void(KlpElf&)>;

struct Case {
  const char* name;
  std::string from{};  // this text of `good` …
  std::string to{};    // … becomes this
  std::vector<std::string> findings;
  Mutation mutate{};  // of the finished file
};

inline void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

inline KlpSection& section(KlpElf& elf, std::string_view name) {
  auto index = elf.find_section(name);
  if (!index) throw Error(fmt::format("the test has no section {}", name));
  return elf.sections[*index];
}

inline KlpSymbol& symbol(KlpElf& elf, std::string_view name) {
  auto found = std::find_if(elf.symbols.begin(), elf.symbols.end(), [&](const auto& s) { return s.name == name; });
  if (found == elf.symbols.end()) throw Error(fmt::format("the test has no symbol {}", name));
  return *found;
}

inline uint32_t index_of(KlpElf& elf, std::string_view name) {
  return static_cast<uint32_t>(&symbol(elf, name) - elf.symbols.data());
}

inline void rename_stats(KlpElf& elf, const std::string& name) {
  section(elf, ".text.stats").name = name;
  section(elf, ".klp.rela.dummy..text.stats").name = ".klp.rela.dummy." + name;
}

inline void rename_symbol(KlpElf& elf, std::string_view from, const std::string& to) { symbol(elf, from).name = to; }

inline constexpr const char* klp_stats = ".klp.rela.dummy..text.stats";
inline constexpr const char* klp_show = ".klp.rela.vmlinux..text.show";
inline constexpr const char* count = ".klp.sym.dummy.count,0";

// Which of the kernel's files the audit gets: with types, or without, as an own kernel without debug information is.
enum class KnownTypes { known, unknown };

class AuditFixture : public testing::Test {
 protected:
  // The livepatch with one thing broken, and what the audit says of it: these findings, in any order.
  static void finds_exactly(const Case& c) {
    std::string text(good);
    if (!c.from.empty()) {
      const size_t at = text.find(c.from);
      ASSERT_NE(at, std::string::npos) << c.from;
      text.replace(at, c.from.size(), c.to);
    }
    std::vector<std::string> expected = c.findings;
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(findings(module(text, c.mutate)), expected);
  }

  static void SetUpTestSuite() {
    std::string name = (fs::temp_directory_path() / "audit-XXXXXX").string();
    directory_ = mkdtemp(name.data());
    std::ofstream(directory_ / "kernel.c") << kernel_c;
    std::ofstream(directory_ / "other.c") << other_c;
    std::ofstream(directory_ / "dummy.s") << dummy_s;
    std::ofstream(directory_ / "dummy-init.s") << dummy_init_s;
    std::ofstream(directory_ / "dummy-exit.s") << dummy_exit_s;
    std::ofstream(directory_ / "symvers") << symvers;
#ifdef __x86_64__
    run("gcc -g -O1 -fno-pie -mcmodel=kernel -fcf-protection=none -c kernel.c other.c");
    run("for part in dummy dummy-init dummy-exit; do as -o $part.o $part.s || exit 1; done; "
        "ld -r -o dummy.ko dummy-init.o dummy.o dummy-exit.o");
    run("ld -o vmlinux -e 0 --image-base=0xffffffff81000000 -Ttext=0xffffffff81000000 "
        "--section-start=.init.text=0xffffffff81100000 kernel.o other.o 2>ld.log || "
        "ld -o vmlinux -e 0 -Ttext=0xffffffff81000000 kernel.o other.o 2>ld.log");
    run("objcopy --strip-debug vmlinux vmlinux-plain");
#endif
  }
  static void TearDownTestSuite() {
    binaries_.clear();
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
  }
  void SetUp() override {
#ifndef __x86_64__
    SKIP_MACHINE("assembles x86-64 objects with the host's assembler");
#endif
  }

  static void run(const std::string& command) {
    ASSERT_EQ(std::system(("cd '" + directory_.string() + "' && " + command).c_str()), 0) << command;
  }

  static fs::path module(const std::string& text, const Mutation& mutate) {
    std::ofstream(directory_ / "a.s") << text << "\n  .section .note.GNU-stack,\"\",@progbits\n";
    run("as -o a.o a.s");
    post_link(directory_ / "a.o", directory_ / "a.ko");
    if (mutate) {
      KlpElf elf = KlpElf::read(directory_ / "a.ko");
      mutate(elf);
      elf.write(directory_ / "a.ko");
    }
    return directory_ / "a.ko";
  }

  static std::vector<std::string> findings(const fs::path& file, const std::string& release = "6.12.1-test",
                                           const std::string& name = "livepatch-fix",
                                           KnownTypes types = KnownTypes::known) {
    // Of this suite's folder: those of another one are gone.
    const auto binary = [](const char* file) -> const Binary& {
      const auto known = binaries_.find(file);
      return known != binaries_.end() ? known->second
                                      : binaries_.emplace(file, Binary::open(directory_ / file)).first->second;
    };
    const Binary& vmlinux = binary(types == KnownTypes::known ? "vmlinux" : "vmlinux-plain");
    const Binary& dummy = binary("dummy.ko");
    static const Symvers exports = Symvers::read(directory_ / "symvers");
    std::vector<std::string> found;
    for (const Finding& finding :
         audit({file, name, release, &vmlinux, &exports, [&](std::string_view wanted) -> const Binary* {
                  return wanted == "dummy" || wanted == "base_module" ? &dummy : nullptr;
                }})) {
      // What a patch asks for in vain is its author's to change; all else would be a mistake of ours.
      EXPECT_EQ(finding.severity, Severity::error);
      EXPECT_NE(finding.rule, "");
      found.push_back(sentence_of(finding));
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  static inline fs::path directory_;
  static inline std::map<std::string, Binary> binaries_;
};

}  // namespace kpatch::audit_fixture
