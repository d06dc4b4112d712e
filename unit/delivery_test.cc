// A small livepatch against the object from which it was made, and against a small kernel: all three are assembled
// here. It passes; then each case makes one thing other than the compiler wrote it, and the check must say so. At the
// end every mutant that kpatch-mutants makes of it is refused.
#include "klp/delivery.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "klp/mutants.h"
#include "klp/post-link.h"
#include "support/error.h"
#include "unit/skip.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kernel_c = R"(
struct bug_entry { int at, file; unsigned short line, flags; } bug;
__attribute__((used)) static int count = 3;
__attribute__((used)) static int state_2 = 3;
__attribute__((used)) static struct {} lock_key;
__attribute__((used)) static int twin(void) { return 1; }
__attribute__((used)) static int show(void) { return 2; }
int printk(void) { return 3; }
int __fentry__(void) { return 4; }
int __x86_return_thunk(void) { return 5; }
int shared(void) { return 6; }
asm(".section .rodata.mcount,\"a\"\n.globl __start_mcount_loc, __stop_mcount_loc\n"
    "__start_mcount_loc: .quad show\n__stop_mcount_loc:\n.text");
)";
constexpr std::string_view other_c =
    "__attribute__((used)) static int twin(void) { return 7; }\n"
    "__attribute__((used)) static int count = 9;\n";

constexpr std::string_view symvers =
    "0x00000011\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n"
    "0x00000012\t__fentry__\tvmlinux\tEXPORT_SYMBOL\t\n"
    "0x00000013\t__x86_return_thunk\tvmlinux\tEXPORT_SYMBOL\t\n";

// What the compiler writes, and what is in the livepatch. OF_KERNEL(x): how a reference to the kernel's x is written;
// klp: says so to post-link.
constexpr std::string_view body = R"(
  .section .text.show,"ax",@progbits
  .type show, @function
  .skip 16, 0x90
show:
fentry: call __fentry__
  call printk
count_ref: movl COUNT(%rip), %eax
  klp count_ref+2, COUNT, count_n, COUNT_RANK
  movq $text, %rdi
  cmpl $7, %eax
  je show.cold
twin_ref: .byte 0xe8
  .long TWIN - 4 - .
  klp twin_ref+1, TWIN, twin_n, TWIN_RANK
  .byte 0xe8
  .long helper - 4 - .
  movl table+4(%rip), %eax
shared_ref: call SHARED
  klp shared_ref+1, SHARED, shared_n, 0
end_ref: cmpq $COUNTS_SECTION+4, %rdi
  klp end_ref+3, COUNT, count_n, COUNT_RANK
far_ref: cmpq $COUNTS_SECTION+12, %rdi
  klp far_ref+3, COUNT, count_n, COUNT_RANK
key_ref: movq $LOCK_KEYS_SECTION, %rdi
  klp key_ref+3, LOCK_KEYS_SECTION, lock_key_n, 0
thunk: jmp __x86_return_thunk
  .size show, . - show
  .section .text.unlikely.show,"ax",@progbits
  .type show.cold, @function
show.cold:
bug: ud2
  jmp show+10
  leaq entry_2(%rip), %rdi
bug_2: ud2
  .size show.cold, . - show.cold
  .section .text.helper,"ax",@progbits
  .type helper, @function
  .globl helper_alias
  .type helper_alias, @function
  .equ helper_alias, helper
helper: movl $3, %eax
  movl fresh(%rip), %edx
helper_thunk: jmp __x86_return_thunk
  .size helper, . - helper
  .size helper_alias, . - helper
  .section .rodata.show.str1.1,"aMS",@progbits,1
  BEFORE
text: .asciz "shown %d"
file: .asciz "fs/show.c"
  .asciz "of a function that stays"
  .section .rodata.table,"a",@progbits
  .balign 8
  .type table, @object
table: .long 1, 2, 3, 4
pointer: .quad SHOW
  klp pointer, SHOW, show_n, 0
  .quad helper
  .size table, . - table
  .section .data.fresh,"aw",@progbits
  .globl fresh
  .type fresh, @object
fresh: .long 5
  .size fresh, 4
  .section .data.once,"aw",@progbits
  .section __mcount_loc,"a"
  .quad fentry
  .section __bug_table,"aw"
  .long bug - ., file - .
  .short 12, 1
entry_2: .long bug_2 - ., file - .
  .short 14, 1
)";

constexpr std::string_view object_head = R"(
  .file "kernel.c"
  .macro klp place, placeholder, name, sympos
  .endm
  .equ show_of_kernel, 0
  .section .data.count,"aw"
  .type count, @object
count: .long 3
  .size count, 4
  .section .bss.lock_key,"aw",@nobits
  .type lock_key, @object
lock_key:
  .size lock_key, 0
  .section .text.twin,"ax",@progbits
  .type twin, @function
twin: ret
  .size twin, 1
  .section .text.idle,"ax",@progbits
  .type idle, @function
idle: ud2
  .size idle, 2
)";

constexpr std::string_view module_head = R"(
  .file "livepatch"
  .macro klp place, placeholder, name, sympos
  .weak \placeholder
  .pushsection .comment.kpatch.relocs,"",@progbits
  .quad \place, \placeholder, vmlinux_n, vmlinux_n, \name, \sympos
  .popsection
  .endm
  .section .kpatch.strings,"a"
vmlinux_n: .asciz "vmlinux"
show_n: .asciz "show"
twin_n: .asciz "twin"
count_n: .asciz "count"
lock_key_n: .asciz "lock_key"
shared_n: .asciz "shared"
  .section .kpatch.funcs,"a"
  .quad show, show_n, vmlinux_n, 0
  .section .return_sites,"a"
  .long thunk - ., helper_thunk - .
)";

constexpr std::string_view template_s = R"(
  .file "livepatch-main.c"
  .section .rodata.str1.1,"aMS",@progbits,1
text: .asciz "a text of the template"
  .text
  .type add, @function
add: movq $text, %rdi
here: jmp __x86_return_thunk
  .size add, . - add
  .section .return_sites,"a"
  .long here - .
  .section .note.GNU-stack,"",@progbits
)";

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

std::string object_text() {
  std::string text(body);
  for (auto [from, to] : {std::pair{"COUNT_RANK", "0"},
                          {"TWIN_RANK", "0"},
                          {"COUNTS_SECTION", ".data.count"},
                          {"LOCK_KEYS_SECTION", ".bss.lock_key"},
                          {"COUNT", "count"},
                          {"TWIN", "twin"},
                          {"SHARED", "shared"},
                          {"SHOW", "show"},
                          {"BEFORE", ".asciz \"before\""}})
    text = replaced(std::move(text), from, to);
  return std::string(object_head) + text;
}

std::string module_text(const std::string& count_rank, const std::string& twin_rank) {
  std::string text(body);
  for (auto [from, to] : {std::pair<std::string, std::string>{"COUNT_RANK", count_rank},
                          {"TWIN_RANK", twin_rank},
                          {"COUNTS_SECTION", "count.klp"},
                          {"LOCK_KEYS_SECTION", "lock_key.klp"},
                          {"COUNT", "count.klp"},
                          {"TWIN", "twin.klp"},
                          {"SHARED", "shared"},
                          {"SHOW", "show.klp"},
                          {"BEFORE", ""}})
    text = replaced(std::move(text), from, to);
  return std::string(module_head) + text;
}

struct Case {
  const char* name;
  std::string from{};  // this text of the module …
  std::string to{};    // … becomes this
  std::string said{};  // part of one of the findings; empty: there are none
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class DeliveryTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
#ifndef __x86_64__
    SKIP_MACHINE("assembles x86-64 objects with the host's assembler");
#endif
    write("kernel.c", kernel_c);
    write("other.c", other_c);
    write("symvers", symvers);
    write("template.s", template_s);
    write("patched.s", object_text());
    run("as -o patched.o patched.s && as -o template.o template.s");
    symvers_ = Symvers::read(path("symvers"));
    make_kernel();
  }

  void make_kernel() {
    run("gcc -g -O1 -fno-pie -mcmodel=kernel -fcf-protection=none -c kernel.c other.c && "
        "ld -o vmlinux -e 0 -Ttext=0xffffffff81000000 kernel.o other.o 2>ld.log");
    vmlinux_.emplace(Binary::open(path("vmlinux")));
  }

  fs::path path(std::string_view name) const { return folder_.path() / name; }
  void write(std::string_view name, std::string_view text) const { std::ofstream(path(name)) << text; }
  void run(const std::string& command) const {
    ASSERT_EQ(std::system(("cd '" + folder_.path().string() + "' && " + command).c_str()), 0) << command;
  }

  // The rank of the first file's symbol among both of that name.
  std::string rank(std::string_view name) const {
    for (size_t i = 0; i < vmlinux_->named(name).size(); ++i) {
      const BinarySymbol& s = vmlinux_->symbols()[vmlinux_->named(name)[i]];
      if (vmlinux_->files()[s.file].name == "kernel.c") return std::to_string(i + 1);
    }
    return "0";
  }
  std::string good() const { return module_text(rank("count"), rank("twin")); }

  fs::path link(const std::string& text) const {
    write("diff.s", text + "\n  .section .note.GNU-stack,\"\",@progbits\n");
    run("as -o diff.o diff.s && ld -r -o linked.ko template.o diff.o");
    post_link(path("linked.ko"), path("a.ko"));
    return path("a.ko");
  }

  std::vector<std::string> findings(const fs::path& module, MadeOf made_of = MadeOf::diff_objects) const {
    const std::vector<PatchedObject> objects = {{path("patched.o"), "vmlinux"}};
    std::vector<std::string> texts;
    for (const Finding& finding :
         check_delivery({module, "", "", &*vmlinux_, &symvers_, open_module_}, objects, made_of)) {
      EXPECT_EQ(finding.rule, "delivery");
      EXPECT_EQ(finding.severity, Severity::error);
      texts.push_back(sentence_of(finding));
    }
    return texts;
  }

  TemporaryFolder folder_;
  std::optional<Binary> vmlinux_;
  Symvers symvers_;
  std::function<const Binary*(std::string_view)> open_module_;
};

TEST_P(DeliveryTest, SaysWhatIsOtherThanTheCompilerWroteIt) {
  const Case& c = GetParam();
  std::string text = good();
  if (!c.from.empty()) {
    ASSERT_NE(text.find(c.from), std::string::npos) << c.from;
    text.replace(text.find(c.from), c.from.size(), c.to);
  }
  const auto said = findings(link(text));
  if (c.said.empty()) {
    EXPECT_EQ(said, std::vector<std::string>{});
    return;
  }
  const bool found =
      std::any_of(said.begin(), said.end(), [&](const std::string& s) { return s.find(c.said) != std::string::npos; });
  EXPECT_TRUE(found) << testing::PrintToString(said);
}

INSTANTIATE_TEST_SUITE_P(
    Module, DeliveryTest,
    testing::Values(
        Case{"good"},
        Case{"a_byte", "movl $3, %eax", "movl $4, %eax", "helper+0x1 has byte 04 where the compiler wrote 03"},
        Case{"another_export", "call printk", "call __fentry__", "refers to __fentry__ of vmlinux"},
        Case{"another_end", "cmpq $count.klp+4", "cmpq $count.klp+8", "the compiler's to +4 of it"},
        Case{"another_place_behind", "cmpq $count.klp+12", "cmpq $count.klp+16", "the compiler's to +12 of it"},
        Case{"another_empty_one", "movq $lock_key.klp", "movq $lock_key.klp+1", "the compiler's to +0 of it"},
        Case{"another_place", "movl table+4(%rip)", "movl table+8(%rip)",
             "refers to .rodata.table+0x4, where table doesn't fit in"},
        Case{"another_string", "movq $text", "movq $file", "other contents than the compiler's"},
        Case{"stale_string", "shown %d", "shown %x", "other contents than the compiler's"},
        Case{"pointer_to_the_copy", "pointer: .quad show.klp\n  klp pointer, show.klp, show_n, 0",
             "pointer: .quad show", "takes the address of the new show: pointers to it would compare unequal"},
        Case{"lost_bug", ".long bug - ., file - .\n  .short 12, 1", "",
             "__bug_table has 1 entries for show.cold, the compiler wrote 2"},
        Case{"entries_in_another_order",
             ".long bug - ., file - .\n  .short 12, 1\nentry_2: .long bug_2 - ., file - .\n  .short 14, 1",
             "entry_2: .long bug_2 - ., file - .\n  .short 14, 1\n  .long bug - ., file - .\n  .short 12, 1", ""},
        Case{"another_entry", "leaq entry_2(%rip)", "leaq entry_2-12(%rip)", "__bug_table"},
        Case{"line_of_a_bug", ".short 12, 1", ".short 13, 1", "has byte 0d where the compiler wrote 0c"},
        Case{"lost_site", ".section __mcount_loc,\"a\"\n  .quad fentry", "", "__mcount_loc has 0 entries for show"},
        Case{"lost_return", "helper_thunk - .", "thunk - .", ".return_sites doesn't list it"},
        Case{"return_twice", "helper_thunk - .", "helper_thunk - ., thunk - .", ".return_sites lists it twice"},
        Case{"no_return", "helper_thunk - .", "helper_thunk - ., fentry - .",
             ".return_sites lists it, though no such instruction is there"},
        Case{"not_replaced", ".quad show, show_n, vmlinux_n, 0", "",
             "no row of .kpatch.funcs makes it replace show of vmlinux"},
        Case{"replaced_twice", ".quad show, show_n, vmlinux_n, 0",
             ".quad show, show_n, vmlinux_n, 0\n.quad helper, show_n, vmlinux_n, 0", "a second time"},
        Case{"replaces_another", ".quad show, show_n", ".quad show, shared_n",
             "no patched object of vmlinux has shared"},
        Case{"call_of_the_original", ".long helper - 4", ".long show.klp - 4", "the compiler's to helper"},
        Case{"string_of_nobody", "of a function that stays", "of a function that strays", "is in no patched object"},
        Case{"code_of_nobody", ".size helper, . - helper", ".size helper, . - helper\n  ret",
             "is in no patched object"},
        Case{"function_of_nobody", ".section .data.once",
             ".section .text.more,\"ax\"\n.type more, @function\nmore: ret\n.size more, 1\n.section .data.once",
             "is in no patched object"},
        Case{"wrong_size", ".size helper, . - helper", ".size helper, 4", "symbol helper has 4 bytes, the compiler's"},
        Case{"size_of_an_alias", ".size helper_alias, . - helper", ".size helper_alias, 4",
             "symbol helper_alias has 4 bytes, the compiler's"},
        Case{"alias_made_local", ".globl helper_alias", "", "symbol helper_alias is local, though new in the patch"},
        Case{"new_global_made_local", ".globl fresh", "", "symbol fresh is local, though new in the patch"},
        Case{"other_type", ".type fresh, @object", ".type fresh, @notype",
             "symbol fresh is of type 0, the compiler's of 1"},
        Case{"writable_data_made_constant", ".section .data.fresh,\"aw\"", ".section .rodata.fresh,\"a\"",
             "in a section of other rights"},
        Case{"less_aligned", ".section .rodata.table,\"a\",@progbits\n  .balign 8", ".section .rodata.table,\"a\"",
             "is aligned less than in the object"}),
    [](const auto& info) { return info.param.name; });

TEST_F(DeliveryTest, ATwinIsToldByItsFile) {
  const std::string other = rank("twin") == "1" ? "2" : "1";
  const auto said = findings(link(module_text(rank("count"), other)));
  ASSERT_EQ(said.size(), 1);
  EXPECT_NE(said[0].find("refers to twin of vmlinux"), std::string::npos) << said[0];
}

// Before 5.18. The first entry's string is so short that another one would be meant, which the module doesn't have.
TEST_F(DeliveryTest, PointersOfOlderBugEntriesCountFromTheEntry) {
  const auto older = [](const std::string& text) {
    return replaced(replaced(replaced(text, ".long bug - ., file - .", "1: .long bug - 1b, file - 1b"),
                             ".long bug_2 - ., file - .", ".long bug_2 - entry_2, text - entry_2"),
                    "\"fs/show.c\"", "\"a.c\"");
  };
  write("patched.s", older(object_text()));
  run("as -o patched.o patched.s");
  const std::string module = replaced(older(good()), ".asciz \"of a function that stays\"", "");
  EXPECT_EQ(findings(link(module)), std::vector<std::string>{});
  EXPECT_FALSE(findings(link(replaced(module, "file - 1b", "text - 1b"))).empty());
  EXPECT_FALSE(findings(link(replaced(module, "file - 1b", "file + 4 - 1b"))).empty());
}

// asm() at file scope names what has no size (arch/x86/kernel/kprobes/opt.c), or lies on what has another name
// (arch/x86/kvm/emulate.c).
TEST_F(DeliveryTest, NamesOfAsmStandForTheirPlaces) {
  const std::string data = ".section .rodata,\"a\"\n.globl tmpl, tmpl_2\ntmpl: .long 7\ntmpl_2: .long 8\n";
  const std::string code =
      ".text\n.globl em\nem:\n.type cmpb,@function\ncmpb: ret\n.size cmpb,.-cmpb\n"
      ".globl en\nen:\n.type subb,@function\nsubb: ret\n.size subb,.-subb\n";
  std::string c(kernel_c);
  for (const std::string& part : {data, code}) c += "asm(R\"(" + part + ".text)\");\n";
  write("kernel.c", c);
  make_kernel();
  const auto with = [](const std::string& text, const std::string& label, const std::string& function) {
    return replaced(text, "\nthunk: jmp",
                    "\nlabel_ref: leaq " + label + "(%rip), %rdi\n  klp label_ref+3, " + label +
                        ", label_n, 0\nem_ref: .byte 0xe8\n.long " + function + " - 4 - .\n  klp em_ref+1, " +
                        function + ", em_n, 0\nthunk: jmp");
  };
  write("patched.s", with(object_text(), "tmpl", "em") + data + code);
  run("as -o patched.o patched.s");
  const auto module = [&](const std::string& label, const std::string& function) {
    return with(good(), label + ".klp", function + ".klp") + ".section .kpatch.strings,\"a\"\nlabel_n: .asciz \"" +
           label + "\"\nem_n: .asciz \"" + function + "\"\n";
  };
  EXPECT_EQ(findings(link(module("tmpl", "em"))), std::vector<std::string>{});
  EXPECT_EQ(findings(link(module("tmpl", "cmpb"))), std::vector<std::string>{});
  EXPECT_EQ(findings(link(module("tmpl_2", "em"))).size(), 1);
  EXPECT_EQ(findings(link(module("tmpl", "en"))).size(), 1);
}

// What was a static local has its number in the kernel alone.
TEST_F(DeliveryTest, AStaticLocalThatBecomesAVariableOfItsFile) {
  std::string c(kernel_c);
  c += "int uses(void) { static int level = 4; asm(\"\" : \"+m\"(level)); return level; }\n";
  write("kernel.c", c);
  make_kernel();
  const auto with = [](const std::string& text, const std::string& name) {
    return replaced(
        text, "\nthunk: jmp",
        "\nlevel_ref: movl " + name + "(%rip), %eax\n  klp level_ref+2, " + name + ", level_n, 0\nthunk: jmp");
  };
  const std::string level = ".section .data.level,\"aw\"\n.type level,@object\nlevel: .long 4\n.size level,";
  const std::string module =
      with(good(), "level.klp") + ".section .kpatch.strings,\"a\"\nlevel_n: .asciz \"level.0\"\n";
  for (const auto& [size, count] : {std::pair("4\n", 0U), {"8\n.long 0\n", 1U}}) {
    write("patched.s", with(object_text(), "level") + level + size);
    run("as -o patched.o patched.s");
    EXPECT_EQ(findings(link(module)).size(), count) << size;
  }
}

// An extraction has fewer of them than its file.
TEST_F(DeliveryTest, NumbersOfStaticLocalsSayNothingInAnExtraction) {
  const auto with = [](const std::string& text, const std::string& name) {
    return replaced(text, "\nthunk: jmp", "\nlevel_ref: movl " + name + "(%rip), %eax\nthunk: jmp") +
           ".section .data.level,\"aw\"\n.type " + name + ",@object\n" + name + ": .long 4\n.size " + name + ",4\n";
  };
  write("patched.s", with(object_text(), "level.6"));
  run("as -o patched.o patched.s");
  EXPECT_EQ(findings(link(with(good(), "level.6"))).size(), 0);
  EXPECT_EQ(findings(link(with(good(), "level.0"))).size(), 1);
  EXPECT_EQ(findings(link(with(good(), "level.0")), MadeOf::extracted_source).size(), 0);
  EXPECT_EQ(findings(link(with(good(), "label.0")), MadeOf::extracted_source).size(), 1);
}

TEST_F(DeliveryTest, StateIsNotThereTwice) {
  std::string text = replaced(good(), "klp count_ref+2, count.klp, count_n, " + rank("count"), "");
  for (const char* ref : {"end_ref", "far_ref"})
    text = replaced(text, "klp " + std::string(ref) + "+3, count.klp, count_n, " + rank("count"), "");
  text = replaced(replaced(text, "$count.klp+4", "$count+4"), "$count.klp+12", "$count+12");
  text = replaced(text, "count.klp(%rip)", "count(%rip)") +
         ".section .data.count,\"aw\"\n.type count, @object\ncount: .long 3\n.size count, 4\n";
  const auto said = findings(link(text));
  ASSERT_EQ(said.size(), 1);
  EXPECT_NE(said[0].find("is a second count, the kernel has its own state"), std::string::npos) << said[0];
  // A table of addresses is a constant, writable until they are written: there may be two.
  write("patched.s", replaced(object_text(), ".data.count", ".data.rel.ro.count"));
  run("as -o patched.o patched.s");
  EXPECT_EQ(findings(link(replaced(text, ".data.count", ".data.rel.ro.count"))), std::vector<std::string>{});
}

// Objtool lists the calls and branches of an alternative's replacement since some release before 7.2: all, or none.
TEST_F(DeliveryTest, ReplacementsAreListedAllOrNot) {
  const std::string replacements =
      "  .section .altinstr_replacement,\"ax\"\nnew: jmp __x86_return_thunk\nnew_2: jmp __x86_return_thunk\nnew_end:\n"
      "  .section .altinstructions,\"a\"\n"
      "  .long thunk - ., new - .\n  .long 5\n  .byte 5, new_2 - new\n"
      "  .long thunk - ., new_2 - .\n  .long 6\n  .byte 5, new_end - new_2\n";
  write("kernel.c", std::string(kernel_c) +
                        "struct alt_instr { int instr, repl; unsigned flags; unsigned char len, repl_len; } "
                        "__attribute__((packed)) alt;");
  make_kernel();
  write("patched.s", object_text() + replacements);
  run("as -o patched.o patched.s");
  const auto listing = [&](const std::string& places) {
    return findings(link(replaced(good() + replacements, "helper_thunk - .", "helper_thunk - ." + places)));
  };
  EXPECT_EQ(listing(""), std::vector<std::string>{});
  EXPECT_EQ(listing(", new - ., new_2 - ."), std::vector<std::string>{});
  EXPECT_EQ(listing(", new - ."), std::vector<std::string>{".altinstr_replacement+0x5: .return_sites doesn't list it"});
  EXPECT_EQ(listing(", new_2 - new + new + 1 - ."),
            std::vector<std::string>{
                ".altinstr_replacement+0x6: .return_sites lists it, though no such instruction is there"});
}

// A branch on a tracepoint of the patched module has a key of the livepatch: one of each object, in one section of the
// module since its linker script joins them.
TEST_F(DeliveryTest, KeysOfWhatIsTurnedOff) {
  const auto branch = [](const std::string& key) {
    return "  .section __jump_table,\"aw\"\n  .balign 8\n  .long count_ref - ., twin_ref - .\n  .quad " + key +
           " + 2 - .\n";
  };
  const std::string keys =
      "  .section .data.off,\"aw\"\n  .quad 7, 0\n.type kpatch_off_key, @object\nkpatch_off_key: .quad 0, 0\n"
      ".size kpatch_off_key, 16\n.type another, @object\nanother: .quad 0, 0\n.size another, 16\n";
  write("kernel.c", std::string(kernel_c) + "struct jump_entry { int code, target; long key; } jump;");
  write("symvers", std::string(symvers) + "0x00000014\t__tracepoint_owned\tsome_module\tEXPORT_SYMBOL\t\n");
  symvers_ = Symvers::read(path("symvers"));
  write("owner.c", "long __tracepoint_owned[4] = {1};");
  run("gcc -c owner.c");
  const Binary owner = Binary::open(path("owner.o"));
  open_module_ = [&](std::string_view name) { return name == "some_module" ? &owner : nullptr; };
  make_kernel();
  write("patched.s", object_text() + branch("__tracepoint_owned + 8"));
  run("as -o patched.o patched.s");
  const auto with = [&](const std::string& key, const std::string& its_keys) {
    return findings(link(good() + branch(key) + its_keys));
  };
  const std::string seven = replaced(keys, ".quad 7, 0\n", "");
  EXPECT_EQ(with("kpatch_off_key", seven.substr(0, seven.find(".type another"))), std::vector<std::string>{});
  EXPECT_FALSE(with("another", seven).empty());
  EXPECT_FALSE(with("kpatch_off_key + 1", seven).empty());
  // Behind something else, as the key of a second object is: the key is found there, and the rest is nobody's.
  EXPECT_EQ(with("kpatch_off_key", keys.substr(0, keys.find(".type another"))),
            std::vector<std::string>{".data.off+0x0: is in no patched object"});
}

TEST_F(DeliveryTest, ATableThatEndsBeforeItsNumbersIsAnError) {
  KlpElf elf = KlpElf::read(link(good()));
  KlpSection& table = elf.sections[elf.find_section(".kpatch.funcs").value()];
  table.header.sh_type = SHT_NOBITS;
  table.bytes.clear();
  elf.write(path("a.ko"));
  EXPECT_EQ(
      message_of<Error>([&] { findings(path("a.ko")); }),
      fmt::format("'{}': .kpatch.funcs+0x18: the section ends before a number of 8 bytes", path("a.ko").string()));
}

TEST_F(DeliveryTest, EveryMutantIsRefused) {
  const fs::path module = link(good());
  const KlpElf elf = KlpElf::read(module);
  size_t made = 0;
  for (const MutantKind& kind : mutant_kinds()) {
    for (size_t which = 0;; ++which) {
      KlpElf mutant = elf;
      const auto what = kind.make(mutant, *vmlinux_, which);
      if (!what) break;
      if (what->empty()) continue;
      mutant.write(path("mutant.ko"));
      ++made;
      EXPECT_FALSE(findings(path("mutant.ko")).empty()) << kind.name << ": " << *what;
    }
  }
  EXPECT_GT(made, 100);
}

}  // namespace
}  // namespace kpatch
