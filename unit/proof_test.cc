// The proof, on small kernels and modules that are compiled and linked here: what the build may change passes, whatever
// else differs is found.
#include "klp/proof.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "support/error.h"
#include "unit/skip.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

class ProofTest : public testing::Test {
 protected:
  ProofTest() {
    std::string name = (fs::temp_directory_path() / "proof-XXXXXX").string();
    directory_ = mkdtemp(name.data());
  }
  ~ProofTest() override { fs::remove_all(directory_); }

  std::string path(const std::string& name) const { return (directory_ / name).string(); }
  void write(const std::string& name, const std::string& text) const { std::ofstream(path(name)) << text; }
  void run(const std::string& command) const {
    ASSERT_EQ(std::system(("cd '" + directory_.string() + "' && " + command).c_str()), 0) << command;
  }
  // NAME.o from C, as a kernel is compiled.
  void compile(const std::string& name, const std::string& text, const std::string& flags = "-O2") const {
    write(name + ".c", text);
    run("gcc -c -mcmodel=kernel -fno-PIE -fno-asynchronous-unwind-tables -fcf-protection=none -ffreestanding "
        "-fno-stack-protector -mno-sse " +
        flags + " -o " + name + ".o " + name + ".c");
  }
  void assemble(const std::string& name, const std::string& text) const {
    write(name + ".s", text);
    run("as --64 -o " + name + ".o " + name + ".s");
  }
  void link(const std::string& objects) const {
    run("ld -z noexecstack -e 0 -Ttext=0xffffffff81000000 -o vmlinux " + objects + " 2>ld.log");
  }
  void link_module(const std::string& objects) const { run("ld -z noexecstack -r -o m.ko " + objects); }

  // Everything found, one line a finding.
  std::string found(const std::string& plain, const std::string& shipped, std::vector<std::string> functions,
                    const std::string& file = "meminfo.c") const {
    std::string result;
    for (const Finding& finding : prove(path(plain), path(shipped), functions, file))
      result += sentence_of(finding) + (finding.advice.empty() ? "" : "; " + finding.advice) + "\n";
    return result;
  }
  // Links plain.o with others in both ways and proves it.
  void expect_proven(std::vector<std::string> functions) const {
    link("before.o plain.o others.o");
    EXPECT_EQ(found("plain.o", "vmlinux", functions), "");
    link_module("before.o plain.o others.o");
    EXPECT_EQ(found("plain.o", "m.ko", functions), "");
  }

  fs::path directory_;
};

const char* const before_source = R"(
        .file "before.c"
        .text
        .skip 77, 0x90
        .type show, @function
show:   xor %eax, %eax
        ret
        .size show, . - show
        .data
        .skip 33
        .type counter, @object
counter: .long 1
        .bss
        .skip 40
)";

const char* const others_source = R"(
        .file "others.c"
        .text
        .globl seq_printf, panic, __fentry__, other
seq_printf: ret
panic:  ret
__fentry__: ret
other:  ret
        .section .rodata.str1.1, "aMS", @progbits, 1
        .asciz "first", "Total: %d"
        .data
        .globl jiffies
        .skip 8
jiffies: .quad 0
)";

const char* const meminfo_source = R"(
extern int seq_printf(const char *, int);
extern void panic(const char *) __attribute__((cold, noreturn));
extern long jiffies;
static int counter = 5;
static long sums[10];
static const int table[] = {3, 1, 4, 1, 5};
static int __attribute__((noinline)) show(int n) { return table[n & 3] + sums[n] + counter++; }
int meminfo(int n) {
  static int calls;
  if (n < 0) panic("negative");
  seq_printf("Total: %d", ++calls);
  sums[n] += jiffies;
  return show(n);
}
int (*pointer(void))(int) { return show; }
int same(void) { return seq_printf("Total: %d", 1); }
)";

class ProofOfC : public ProofTest {
 protected:
  ProofOfC() {
    assemble("before", before_source);
    assemble("others", others_source);
    write("meminfo.c", meminfo_source);
    compile("meminfo", meminfo_source);
    fs::rename(path("meminfo.o"), path("plain.o"));
  }
  // The kernel has been compiled from another source or with other flags.
  std::string shipped_is(const std::string& text, const std::string& flags = "-O2",
                         std::vector<std::string> functions = {"meminfo", "show", "pointer", "same"}) {
    compile("meminfo", text, flags);
    link("before.o meminfo.o others.o");
    std::string in_vmlinux = found("plain.o", "vmlinux", functions);
    link_module("before.o meminfo.o others.o");
    std::string in_module = found("plain.o", "m.ko", functions);
    EXPECT_EQ(in_vmlinux.empty(), in_module.empty()) << in_vmlinux << in_module;
    return in_vmlinux;
  }
  static std::string changed(const std::string& from, const std::string& to) {
    std::string text = meminfo_source;
    size_t at = text.find(from);
    EXPECT_NE(at, text.npos);
    return text.replace(at, from.size(), to);
  }
};

TEST_F(ProofOfC, ProvesWhatWasLinked) { expect_proven({"meminfo", "show", "pointer", "same"}); }

TEST_F(ProofOfC, ProvesTheCompilersParts) {
  ASSERT_EQ(std::system(("nm '" + path("plain.o") + "' | grep -q meminfo.cold").c_str()), 0);
  std::string other = changed("\"negative\"", "\"positive\"");
  std::string text = shipped_is(other, "-O2", {"meminfo"});
  EXPECT_NE(text.find("meminfo: its part meminfo.cold differs at +0x"), text.npos) << text;
  EXPECT_NE(text.find("which refer to \"negative\" and \"positive\""), text.npos) << text;
}

TEST_F(ProofOfC, FindsAnotherInstruction) {
  std::string text = shipped_is(changed("n & 3", "n & 1"), "-O2", {"show"});
  EXPECT_NE(text.find("show: "), text.npos) << text;
  EXPECT_NE(text.find("differs at +0x"), text.npos) << text;
  EXPECT_NE(text.find("likely cause: another version of the source (4 of 5"), text.npos) << text;
}

TEST_F(ProofOfC, FindsAnotherString) {
  std::string text = shipped_is(changed("return seq_printf(\"Total: %d\"", "return seq_printf(\"Total: %x\""));
  EXPECT_TRUE(text.starts_with("same: differs at +0x")) << text;
  EXPECT_NE(text.find("which refer to \"Total: %d\" and \"Total: %x\""), text.npos) << text;
}

TEST_F(ProofOfC, FindsAnotherCallee) {
  std::string other =
      std::string("extern int other(const char *, int);\n") + changed("return seq_printf", "return other");
  std::string text = shipped_is(other);
  EXPECT_TRUE(text.starts_with("same: differs at +0x")) << text;
  EXPECT_NE(text.find("which refer to seq_printf and other"), text.npos) << text;
}

TEST_F(ProofOfC, FindsAnotherVariableOfTheFile) {
  std::string text = shipped_is(changed("sums[n] + counter", "sums[n + 1] + counter"), "-O2", {"show"});
  EXPECT_NE(text.find("show: "), text.npos) << text;
  // Swapped neighbours: the same bytes but for where they lead.
  text = shipped_is(changed("{ return show; }", "{ return meminfo; }"), "-O2", {"pointer"});
  EXPECT_NE(text.find("pointer: differs"), text.npos) << text;
}

TEST_F(ProofOfC, FindsOtherFlags) {
  std::string text = shipped_is(meminfo_source, "-O1 -fno-omit-frame-pointer");
  EXPECT_NE(text.find("likely cause: another configuration or other compiler flags"), text.npos) << text;
}

TEST_F(ProofOfC, NamesAnotherCompiler) {
  compile("meminfo", changed("n & 3", "n & 1"));
  run("printf 'GCC: (Other) 9.9\\0' > comment && objcopy --update-section .comment=comment meminfo.o");
  link("meminfo.o before.o others.o");
  EXPECT_NE(found("plain.o", "vmlinux", {"show"}).find("likely cause: another compiler (here 'GCC: ("),
            std::string::npos);
}

TEST_F(ProofOfC, FindsEveryFlippedByte) {
  link("before.o plain.o others.o");
  Binary kernel = Binary::open(path("vmlinux"));
  const BinarySymbol& symbol = kernel.symbols()[kernel.named("meminfo")[0]];
  std::ifstream in(path("vmlinux"), std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  std::span<const std::byte> code = kernel.contents(symbol);
  size_t at = whole.find(std::string(reinterpret_cast<const char*>(code.data()), code.size()));
  ASSERT_NE(at, whole.npos);
  for (size_t i = 0; i < code.size(); ++i) {
    std::string damaged = whole;
    damaged[at + i] ^= 0x10;
    std::ofstream(path("damaged"), std::ios::binary) << damaged;
    EXPECT_NE(found("plain.o", "damaged", {"meminfo"}), "") << i;
  }
}

TEST_F(ProofOfC, TakesTheFunctionOfItsOwnFile) {
  link("before.o plain.o others.o");
  EXPECT_EQ(found("plain.o", "vmlinux", {"show"}), "");
  // before.c has a show of its own, which is not this one.
  EXPECT_NE(found("plain.o", "vmlinux", {"show"}, "before.c"), "");
  // Without FILE symbols, as in the modules that distributions ship, the bytes decide.
  link_module("before.o plain.o others.o");
  run("strip --strip-debug m.ko");
  EXPECT_EQ(found("plain.o", "m.ko", {"show", "meminfo"}), "");
}

TEST_F(ProofOfC, SaysWhatIsMissing) {
  link("before.o others.o");
  EXPECT_EQ(found("plain.o", "vmlinux", {"none"}), "none: the original object has no such function\n");
  EXPECT_NE(found("plain.o", "vmlinux", {"meminfo"}).find("meminfo: is not in the shipped file"), std::string::npos);
}

TEST_F(ProofOfC, SaysThatAWeakFunctionIsOverridden) {
  compile("weak", "int __attribute__((weak)) arch_hook(void) { return 0; }\n");
  compile("strong", "int arch_hook(void) { return 7; }\n");
  link("weak.o others.o");
  EXPECT_EQ(found("weak.o", "vmlinux", {"arch_hook"}, "weak.c"), "");
  link("weak.o strong.o others.o");
  EXPECT_EQ(found("weak.o", "vmlinux", {"arch_hook"}, "weak.c"),
            "arch_hook: is weak here, and the kernel that runs has another definition of it; patch that one\n");
}

TEST_F(ProofTest, AcceptsWhatObjtoolRewrites) {
  // `first` of each pair is what the compiler wrote, `second` what objtool made of it.
  auto code = [](const char* fentry, const char* branch, const char* far_branch) {
    return std::string(".file \"a.c\"\n.text\n.globl f\n.type f, @function\nf: ") + fentry + "\n1: " + branch +
           "\n2: " + far_branch + "\n nop\n3: ret\n.size f, . - f\n.section .text.unlikely, \"ax\"\n4: ret\n";
  };
  std::string table =
      ".section __jump_table, \"aw\"\n.balign 8\n"
      ".long 1b - ., 3b - .\n.quad key + 2 - .\n.long 2b - ., 4b - .\n.quad key + 3 - .\n";
  assemble("others", std::string(others_source) + "\n.data\n.balign 16\n.globl key\nkey: .quad 0, 0\n");
  std::string compiled = code("call __fentry__", "jmp 3f", "jmp 4f");
  assemble("plain", compiled + table);
  std::string two = ".byte 0x66, 0x90", five = ".byte 0x0f, 0x1f, 0x44, 0, 0";
  for (const std::string& shipped :
       {code("call __fentry__", two.c_str(), five.c_str()), code(five.c_str(), two.c_str(), five.c_str()), compiled}) {
    assemble("shipped", shipped + table);
    link("shipped.o others.o");
    EXPECT_EQ(found("plain.o", "vmlinux", {"f"}, "a.c"), "");
    link_module("shipped.o others.o");
    EXPECT_EQ(found("plain.o", "m.ko", {"f"}, "a.c"), "");
  }
  // Not asked for: bit 1 is clear.
  std::string plain_table = ".section __jump_table, \"aw\"\n.balign 8\n.long 1b - ., 3b - .\n.quad key + 1 - .\n";
  assemble("plain", compiled + plain_table);
  assemble("shipped", code("call __fentry__", two.c_str(), "jmp 4f") + plain_table);
  link("shipped.o others.o");
  std::string text = found("plain.o", "vmlinux", {"f"}, "a.c");
  EXPECT_TRUE(text.starts_with("f: differs at +0x5: compiled 'jmp ")) << text;
  EXPECT_NE(text.find("shipped 'nop' (66 90)"), text.npos) << text;
  // Another call must stay.
  assemble("plain", code("call other", two.c_str(), five.c_str()));
  assemble("shipped", code(five.c_str(), two.c_str(), five.c_str()));
  link_module("shipped.o others.o");
  EXPECT_NE(found("plain.o", "m.ko", {"f"}, "a.c"), "");
}

TEST_F(ProofTest, ComparesSectionsWithoutSymbols) {
  auto code = [](const char* constants) {
    return std::string(
               ".file \"a.c\"\n.text\n.globl f\n.type f, @function\nf: mov .Lc+8(%rip), %eax\n ret\n"
               ".size f, . - f\n.section .rodata, \"a\"\n.Lc: .quad ") +
           constants + "\n";
  };
  assemble("others", others_source);
  assemble("plain", code("1, 2, other"));
  for (bool same : {true, false}) {
    assemble("shipped", code(same ? "1, 2, other" : "1, 3, other"));
    link("others.o shipped.o");
    EXPECT_EQ(found("plain.o", "vmlinux", {"f"}, "a.c").empty(), same);
    link_module("others.o shipped.o");
    EXPECT_EQ(found("plain.o", "m.ko", {"f"}, "a.c").empty(), same);
  }
}

TEST_F(ProofTest, KnowsReferencesToTheEndOfAString) {
  // `for (s = "io  "; s != end; s++)`: what lies behind the string is another one after linking.
  auto code = [](const char* first) {
    return std::string(
               ".file \"a.c\"\n.text\n.globl f\n.type f, @function\nf: cmp $.LC1+5, %rax\n ret\n.size f, . - f\n"
               ".section .rodata.str1.1, \"aMS\", @progbits, 1\n.LC1: .asciz \"") +
           first + "\"\n.LC2: .asciz \"mem \"\n";
  };
  assemble("others", std::string(others_source) + ".section .rodata.str1.1\n.asciz \"mem \"\n");
  assemble("plain", code("io  "));
  for (bool same : {true, false}) {
    assemble("shipped", code(same ? "io  " : "irq "));
    link("others.o shipped.o");
    EXPECT_EQ(found("plain.o", "vmlinux", {"f"}, "a.c").empty(), same);
    link_module("others.o shipped.o");
    EXPECT_EQ(found("plain.o", "m.ko", {"f"}, "a.c").empty(), same);
  }
}

TEST_F(ProofTest, IsNotOutvotedByEmptySymbolsOfOtherFiles) {
  // Lock class keys are empty without lockdep: other files have as many as they like at one address.
  std::string keys;
  for (int i = 0; i < 5; ++i) {
    assemble("keys" + std::to_string(i), ".bss\n.type __key.0, @object\n__key.0:\n.type __key.2, @object\n__key.2:\n");
    keys += " keys" + std::to_string(i) + ".o";
  }
  assemble("before", before_source);
  assemble("others", std::string(others_source) + ".bss\n.skip 64\n");
  assemble("plain", R"(
        .text
        .globl f
        .type f, @function
f:      mov $thread_mutex, %rdi
        ret
        .size f, . - f
        .bss
        .type __key.0, @object
__key.0:
        .type __key.2, @object
__key.2:
        .type thread_mutex, @object
thread_mutex: .skip 32
        .size thread_mutex, 32
)");
  link_module("before.o plain.o others.o" + keys);
  run("strip --strip-debug m.ko");
  EXPECT_EQ(found("plain.o", "m.ko", {"f"}, "plain.c"), "");
}

// Addresses in two instructions, whose fields lie between other bits.
class ProofOfArm64 : public ProofTest {
 protected:
  void SetUp() override {
    if (std::system("aarch64-linux-gnu-gcc --version >/dev/null 2>&1") != 0)
      SKIP_PACKAGE("aarch64-linux-gnu-gcc is missing");
    cross_compile("others", others, "-O0");
    cross_compile(
        "before",
        "static int counter[9] = {1}; static int show(void) { return counter[0]; } int (*keep)(void) = show;");
    cross_compile("meminfo", meminfo_source);
    fs::rename(path("meminfo.o"), path("plain.o"));
  }
  static constexpr const char* others =
      "int seq_printf(const char *s, int n) { return n + *s; } void panic(const char *s) { for (;;) ; } long jiffies;"
      "int other(const char *s, int n) { return n; } const char *first = \"first\", *second = \"Total: %d\";";

  void cross_compile(const std::string& name, const std::string& text, const std::string& flags = "-O2") const {
    write(name + ".c", text);
    run("aarch64-linux-gnu-gcc -c -ffreestanding -fno-pic -mgeneral-regs-only -fno-asynchronous-unwind-tables "
        "-fno-stack-protector " +
        flags + " -o " + name + ".o " + name + ".c");
  }
  void cross_link(const std::string& objects) const {
    run("aarch64-linux-gnu-ld -e 0 -Ttext=0xffff800080000000 -o vmlinux " + objects + " 2>ld.log");
    run("aarch64-linux-gnu-ld -r -o m.ko " + objects);
  }
  std::string shipped_is(const std::string& from, const std::string& to, const std::vector<std::string>& functions) {
    std::string text = meminfo_source;
    text.replace(text.find(from), from.size(), to);
    cross_compile("meminfo", "extern int other(const char *, int);" + text);
    cross_link("before.o meminfo.o others.o");
    const std::string in_vmlinux = found("plain.o", "vmlinux", functions);
    EXPECT_EQ(in_vmlinux.empty(), found("plain.o", "m.ko", functions).empty());
    return in_vmlinux;
  }
};

TEST_F(ProofOfArm64, ProvesWhatWasLinked) {
  cross_link("before.o plain.o others.o");
  for (const char* shipped : {"vmlinux", "m.ko"})
    EXPECT_EQ(found("plain.o", shipped, {"meminfo", "show", "pointer", "same"}), "") << shipped;
}

TEST_F(ProofOfArm64, FindsWhatElseIsReferredTo) {
  EXPECT_NE(
      shipped_is("return seq_printf(\"Total: %d\"", "return seq_printf(\"Total: %x\"", {"same"}).find("\"Total: %x\""),
      std::string::npos);
  EXPECT_NE(shipped_is("return seq_printf", "return other", {"same"}).find("which refer to seq_printf and other"),
            std::string::npos);
  EXPECT_NE(shipped_is("{ return show; }", "{ return meminfo; }", {"pointer"}), "");
  EXPECT_NE(shipped_is("sums[n] + counter", "sums[n + 1] + counter", {"show"}), "");
  EXPECT_NE(shipped_is("n & 3", "n & 1", {"show"}), "");
}

TEST_F(ProofOfArm64, FindsEveryFlippedBit) {
  cross_link("before.o plain.o others.o");
  Binary kernel = Binary::open(path("vmlinux"));
  std::ifstream in(path("vmlinux"), std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  for (const char* function : {"meminfo", "same", "pointer"}) {
    std::span<const std::byte> code = kernel.contents(kernel.symbols()[kernel.named(function)[0]]);
    const size_t at = whole.find(std::string(reinterpret_cast<const char*>(code.data()), code.size()));
    ASSERT_NE(at, whole.npos);
    for (size_t bit = 0; bit < code.size() * 8; ++bit) {
      std::string damaged = whole;
      damaged[at + bit / 8] ^= static_cast<char>(1 << bit % 8);
      std::ofstream(path("damaged"), std::ios::binary) << damaged;
      EXPECT_NE(found("plain.o", "damaged", {function}), "") << function << " bit " << bit;
    }
  }
}

TEST_F(ProofTest, RefusesOtherArchitectures) {
  assemble("plain", others_source);
  write("text", "Symbol table '.symtab' contains 1 entries:\n     0: 0 0 NOTYPE LOCAL DEFAULT UND \n");
  std::vector<std::string> functions = {"other"};
  EXPECT_THROW(prove(path("plain.o"), path("text"), functions, "a.c"), Error);
  EXPECT_THROW(prove(path("plain.o"), path("none"), functions, "a.c"), Error);
}

}  // namespace
}  // namespace kpatch
