// The differ on small objects, compiled here with the kernel's kind of flags. Each case holds its C before and after
// and the complete list of golden facts, so that an extra fact fails too:
//
//   changed f · new f · lines f · callback KIND · f -> vmlinux:x,1 (klp) · f -> x (export) · f -> x (patch)
//   refused RULE where · warning RULE where · exit N
//
// The parent is a "vmlinux" linked (ld -r) from the original and a second file, `other.c`, that defines a static
// function `twin` too, so that sympos and FILE groups matter.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <tuple>
#include <vector>

#include "create-diff-object/differ.h"
#include "create-diff-object/object.h"
#include "support/error.h"
#include "unit/skip.h"
#include "unit/toolchains.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

constexpr const char* prelude = R"(
#define noinline __attribute__((noinline, noclone))
#define section(s) __attribute__((section(s)))
#define used __attribute__((used))
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
extern int printk(const char *fmt, ...);
extern int exported(int);
extern int kernel_global;
#define BUG_ENTRY(flags) asm volatile("1: " TRAP "\n.pushsection __bug_table,\"aw\"\n2: .long 1b - .\n.long 3f - .\n" \
  ".short " TEXT(__LINE__) ", " #flags "\n.org 2b+12\n.popsection\n" \
  ".pushsection .rodata.bug,\"aMS\",%progbits,1\n3: .asciz \"file.c\"\n.popsection")
#define BRANCH_ON(key) asm goto("1: nop\n.pushsection __jump_table,\"aw\"\n.balign 8\n.long 1b - ., %l0 - .\n" \
  ".quad " #key " - .\n.popsection" : : : : on)
#define WARN_ON(c) do { if (__builtin_expect(!!(c), 0)) BUG_ENTRY(0x901); } while (0)
)";

constexpr const char* other = R"(
__attribute__((noinline)) static int twin(int x) { asm volatile(""); return x; }
int use_twin(int x) { return twin(x) + 1; }
int kernel_global = 3;
)";

struct Case {
  const char* name;
  const char* before;
  const char* after;
  std::vector<std::string> facts;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

// What one compiler calls count.0 and another f.count, made alike.
std::string plain_name(std::string fact) {
  for (size_t dot = 0; (dot = fact.find('.', dot)) != std::string::npos;) {
    const size_t end = fact.find_first_not_of("0123456789", dot + 1);
    if (end == dot + 1)
      ++dot;
    else
      fact.erase(dot, (end == std::string::npos ? fact.size() : end) - dot);
  }
  for (const char* statics : {"count", "n", "___done"})
    for (const char* function : {"f.", "a.", "b.", "c."}) {
      const std::string clang = std::string{function} + statics;
      const size_t at = fact.find(clang);
      if (at != std::string::npos && (at + clang.size() == fact.size() || fact[at + clang.size()] == ','))
        fact.replace(at, clang.size(), statics);
    }
  return fact;
}

std::vector<std::string> facts(const DifferResult& result) {
  std::vector<std::string> list;
  for (const auto& f : result.changed) list.push_back("changed " + f.name);
  for (const auto& f : result.added) list.push_back("new " + f.name);
  for (const auto& f : result.lines_only) list.push_back("lines " + f.name);
  for (const auto& kind : result.callbacks) list.push_back("callback " + kind);
  for (const auto& r : result.references) {
    if (r.to == "__fentry__" || r.to == "_mcount" || r.to == ".TOC.") continue;
    if (r.to.starts_with("__s390_indirect_jump_")) continue;
    list.push_back(
        r.from + " -> " +
        (r.kind == "klp" ? r.owner + ":" + r.to + "," + std::to_string(r.sympos) : r.to + " (" + r.kind + ")"));
  }
  for (const auto& f : result.findings) {
    if (f.severity == Severity::notice) continue;
    list.push_back((f.severity == Severity::refusal ? "refused " : "warning ") + f.rule + " " + name_of(f.location));
  }
  list.push_back("exit " + std::to_string(result.exit_code));
  return list;
}

std::vector<std::string> comparable(const std::vector<std::string>& list) {
  std::vector<std::string> out;
  for (const std::string& fact : list) out.push_back(plain_name(fact));
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

class Differ : public testing::TestWithParam<std::tuple<TestToolchain, Case>> {
 protected:
  void SetUp() override {
    if (!toolchain().installed()) SKIP_PACKAGE(toolchain().compiler << " is not installed");
    directory_ = fs::temp_directory_path() /
                 ("differ-test-" + std::to_string(getpid()) + "-" + toolchain().name + test_case().name);
    fs::create_directories(directory_);
  }
  void TearDown() override {
    std::error_code ignored;
    if (!directory_.empty()) fs::remove_all(directory_, ignored);
  }

  const TestToolchain& toolchain() const { return std::get<0>(GetParam()); }
  const Case& test_case() const { return std::get<1>(GetParam()); }

  // The second file of the parent is the same for all cases of a compiler.
  static fs::path other_object(const TestToolchain& toolchain) {
    const fs::path folder = fs::temp_directory_path() / ("differ-test-" + std::to_string(getpid()));
    fs::create_directories(folder);
    const std::string name = std::string{toolchain.name} + ".o";
    if (!fs::exists(folder / name)) toolchain.compile(folder, other, name, "", "other.c");
    return folder / name;
  }

  DifferInput prepare() const {
    const std::string split = "-ffunction-sections -fdata-sections";
    toolchain().compile(directory_, std::string{prelude} + test_case().before, "orig.o", split);
    toolchain().compile(directory_, std::string{prelude} + test_case().after, "patched.o", split);
    toolchain().compile(directory_, std::string{prelude} + test_case().before, "plain.o", "");
    toolchain().link_relocatable(directory_, "vmlinux.o", other_object(toolchain()).string() + " plain.o");
    std::ofstream(directory_ / "Module.symvers")
        << "0x12345678\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n0x12345678\texported\tvmlinux\tEXPORT_SYMBOL\tNS\n"
        << "0x12345678\t__fentry__\tvmlinux\tEXPORT_SYMBOL\t\n0x1\towned\tdrivers/some-module\tEXPORT_SYMBOL\t\n"
        << "0x1\t__tracepoint_owned\tdrivers/some-module\tEXPORT_SYMBOL\t\n"
        << "0x1\t__SCT__tp_func_owned\tdrivers/some-module\tEXPORT_SYMBOL\t\n"
        << "0x1\tnamed_only\tvmlinux\tEXPORT_SYMBOL\tmodule:kvm,kvm-amd\n"
        << "0x1\towned_key\tdrivers/some-module\tEXPORT_SYMBOL\t\n";
    DifferInput input{
        directory_ / "orig.o",         directory_ / "patched.o", "vmlinux", directory_ / "vmlinux.o",
        directory_ / "Module.symvers", directory_ / "out.o",     true,      {{"bug_entry", 12}, {"jump_entry", 16}}};
    // Only a module may use what belongs to one, and only to one that it needs.
    if (std::string_view(test_case().name).starts_with("Module")) {
      input.parent_name = "a_module";
      input.parent_needs = {"some_module"};
    }
    return input;
  }

  fs::path directory_;
};

TEST_P(Differ, GivesTheGoldenFacts) {
  DifferInput input = prepare();
  const DifferResult result = run_differ(input);
  EXPECT_EQ(comparable(facts(result)), comparable(test_case().facts));
  // Output exists exactly when the exit code says so, can be read again, and linked.
  EXPECT_EQ(fs::exists(input.output), result.exit_code == exit_ok);
  if (result.exit_code == exit_ok) {
    EXPECT_NO_THROW(Object::read(input.output));
    toolchain().link_relocatable(directory_, "linked.o", "out.o");
    fs::remove(input.output);
  }
  // An object against itself: nothing may be found.
  input.patched = input.orig;
  const DifferResult same = run_differ(input);
  EXPECT_EQ(comparable(facts(same)), std::vector<std::string>{"exit 3"});
  EXPECT_FALSE(fs::exists(input.output));
}

const Case cases[] = {
    {"Nothing", "int f(int x) { return x + 1; }", "int f(int x) { return x + 1; }", {"exit 3"}},
    {"NewLinesOnly",
     "int f(int x) { WARN_ON(x); return x + 1; }",
     "\n\n\nint f(int x) { WARN_ON(x); return x + 1; }",
     {"exit 3"}},
    {"LineNumberInAMessage",
     "int f(void) { return printk(\"at \" __FILE__ \":\" TEXT(__LINE__) \"!\"); }",
     "\n\n\nint f(void) { return printk(\"at \" __FILE__ \":\" TEXT(__LINE__) \"!\"); }",
     {"lines f", "exit 3"}},
    {"NumberInAMessage",
     "int f(void) { return printk(\"at c:1!\"); }",
     "int f(void) { return printk(\"at c:2!\"); }",
     {"changed f", "f -> printk (export)", "exit 0"}},
    {"String",
     "int f(void) { return printk(\"one\"); } int g(void) { return printk(\"two\"); }",
     "int f(void) { return printk(\"three\"); } int g(void) { return printk(\"two\"); }",
     {"changed f", "f -> printk (export)", "exit 0"}},
    {"ExportNamespace",
     "int f(int x) { return x; }",
     "int f(int x) { return exported(x) + 1; }",
     {"changed f", "f -> exported (export)", "exit 0"}},
    {"ExportForNamedModules",
     "int f(int x) { return x; }",
     "extern int named_only(int); int f(int x) { return named_only(x) + 1; }",
     {"changed f", "f -> vmlinux:named_only,0", "exit 0"}},
    {"ModuleExport",
     "int f(int x) { return x; }",
     "extern int owned(int); int f(int x) { return owned(x) + 1; }",
     {"changed f", "f -> some_module:owned,0", "exit 0"}},
    {"ModuleTracepoint",
     "int f(int x) { return x; }",
     "extern long __tracepoint_owned[8]; extern int __SCT__tp_func_owned(int);"
     "int f(int x) { BRANCH_ON(__tracepoint_owned + 8 + 2); return x + 1; on: return __SCT__tp_func_owned(x) + 2; }",
     {"changed f", "f -> some_module:__SCT__tp_func_owned,0", "warning tracepoint f", "exit 0"}},
    {"ModuleKey",
     "int f(int x) { return x; }",
     "extern long owned_key[2]; int f(int x) { BRANCH_ON(owned_key); return x + 1; on: return x + 2; }",
     {"changed f", "refused static-key owned_key", "exit 2"}},
    {"KernelGlobal",
     "int f(int x) { return x; }",
     "int f(int x) { return kernel_global + x; }",
     {"changed f", "f -> vmlinux:kernel_global,0", "exit 0"}},
    {"StaticFunction",
     "static noinline int helper(int x) { asm(\"\"); return x * 3; } int f(int x) { return helper(x); }",
     "static noinline int helper(int x) { asm(\"\"); return x * 3; } int f(int x) { return helper(x) + 1; }",
     {"changed f", "f -> vmlinux:helper,0", "exit 0"}},
    {"DuplicateStatic",
     "static noinline int twin(int x) { asm(\"\"); return x * 3; } int f(int x) { return twin(x); }",
     "static noinline int twin(int x) { asm(\"\"); return x * 3; } int f(int x) { return twin(x) + 1; }",
     {"changed f", "f -> vmlinux:twin,2", "exit 0"}},
    {"ChangedDuplicateStatic",
     "static noinline int twin(int x) { asm(\"\"); return x * 3; } int f(int x) { return twin(x) + 1; }",
     "static noinline int twin(int x) { asm(\"\"); return x * 5; } int f(int x) { return twin(x) + 1; }",
     {"changed twin", "exit 0"}},
    {"NewFunctionAndVariable",
     "int f(int x) { return x; }",
     "static int calls; static noinline int helper(int x) { asm(\"\"); return x + calls++; } "
     "int f(int x) { return helper(x); }",
     {"changed f", "new helper", "exit 0"}},
    {"NewGlobal",
     "int f(int x) { return x; }",
     "int fresh(int x) { return x + 2; } int f(int x) { return x; }",
     {"new fresh", "exit 0"}},
    {"UnknownGlobalIsLeftToThePatch",
     "int f(int x) { return x; }",
     "extern int elsewhere(int); int f(int x) { return elsewhere(x) + 1; }",
     {"changed f", "f -> elsewhere (patch)", "exit 0"}},
    {"MovedGlobal",
     "int f(int x) { return x; }",
     "int use_twin(int x) { return x + 2; } int f(int x) { return x; }",
     {"new use_twin", "refused moved use_twin", "exit 2"}},
    {"StaticLocalKeepsItsState",
     "int f(void) { static int count; return ++count; }",
     "int f(void) { static int count; return (count += 2); }",
     {"changed f", "f -> vmlinux:count.0,0", "exit 0"}},
    {"StaticLocalsAreToldApartByTheirUsers",
     "noinline int a(void) { static int n; return ++n; } noinline int b(void) { static int n; return n += 2; }",
     "noinline int c(void) { static int n; return n += 9; } noinline int a(void) { static int n; return n += 5; } "
     "noinline int b(void) { static int n; return n += 2; }",
     {"changed a", "new c", "a -> vmlinux:n.1,0", "warning static-local n.2", "exit 0"}},
    // A macro that is used several times in a function.
    {"StaticLocalsOfAFunctionThatStays",
     "#define ONCE(x) ({ static int n; n += (x); n; })\n"
     "noinline int f(int x) { return x > 3 ? ONCE(x) : ONCE(5) * 2; } int g(int x) { return x; }",
     "#define ONCE(x) ({ static int n; n += (x); n; })\n"
     "noinline int f(int x) { return x > 3 ? ONCE(x) : ONCE(5) * 2; } int g(int x) { return x + 1; }",
     {"changed g", "exit 0"}},
    {"StaticLocalsOfAFunctionInWhichANumberChanges",
     "#define ONCE(x) ({ static int n; n += (x); n; })\n"
     "int take(int n); noinline int f(int x) { take(7); return x > 3 ? ONCE(x) : ONCE(5) * 2; }",
     "#define ONCE(x) ({ static int n; n += (x); n; })\n"
     "int take(int n); noinline int f(int x) { take(9); return x > 3 ? ONCE(x) : ONCE(5) * 2; }",
     {"changed f", "f -> take (patch)", "f -> vmlinux:n.0,0", "f -> vmlinux:n.1,0", "exit 0"}},
    {"LostStaticLocal",
     "int f(void) { static int count; return ++count; }",
     "int f(void) { return 7; }",
     {"changed f", "warning static-local count.0", "exit 0"}},
    {"StaticLocalOfAnotherFileNow",
     "int f(void) { static int count; return ++count; }",
     "extern int f_count; int f(void) { return ++f_count; }",
     {"changed f", "refused static-local count.0", "exit 2"}},
    {"StaticLocalThatANewFunctionHas",
     "void use(int); void f(void) { static int count; use(++count); }",
     "void use(int); static int seen; static noinline void g(void) { use(++seen); } "
     "void f(void) { g(); use(1); }",
     {"changed f", "new g", "refused static-local count.0", "exit 2"}},
    {"StaticLocalThatAFunctionOfAnotherFileHas",
     "void use(int); void f(void) { static int count; use(++count); }",
     "void use(int); int next(void); void f(void) { use(next()); }",
     {"changed f", "refused static-local count.0", "exit 2"}},
    {"CallbackThatAnotherFunctionHandsOut",
     "void put(void (*)(int)); void use(int); static void old_fn(int x) { use(x); } void f(void) { put(old_fn); } "
     "void g(void) { use(1); }",
     "void put(void (*)(int)); void use(int); static void new_fn(int x) { use(x + 1); } void f(void) { put(0); } "
     "void g(void) { put(new_fn); use(1); }",
     {"changed f", "changed g", "new new_fn", "refused state-lost new_fn", "warning handed-out new_fn", "exit 2"}},
    {"CallbackUnderAnotherName",
     "void put(void (*)(int)); void use(int); static void old_fn(int x) { use(x); } void f(void) { put(old_fn); }",
     "void put(void (*)(int)); void use(int); static void new_fn(int x) { use(x + 1); } void f(void) { put(new_fn); }",
     {"changed f", "new new_fn", "refused state-lost new_fn", "warning handed-out new_fn", "exit 2"}},
    {"CallbackThatGoes",
     "void put(void (*)(int)); void use(int); static void old_fn(int x) { use(x); } void f(void) { put(old_fn); }",
     "void put(void (*)(int)); void use(int); void f(void) { put(0); }",
     {"changed f", "warning state-lost old_fn", "f -> put (patch)", "exit 0"}},
    {"CallbackThatWasCalledAlone",
     "void use(int); static noinline void old_fn(int x) { use(x); use(1); } void f(int x) { "
     "old_fn(x); "
     "use(2); }",
     "void use(int); static noinline void new_fn(int x) { use(x); use(3); } void f(int x) { "
     "new_fn(x); "
     "use(2); }",
     {"changed f", "new new_fn", "f -> use (patch)", "new_fn -> use (patch)", "exit 0"}},
    {"ChangedData",
     "int table[2] = {1, 2}; int f(int i) { return table[i]; }",
     "int table[2] = {1, 3}; int f(int i) { return table[i]; }",
     {"refused data-init table", "exit 2"}},
    {"GlobalConstant",
     "extern const int table[2]; const int table[2] = {1, 2}; int f(int i) { return table[i]; }",
     "extern const int table[2]; const int table[2] = {1, 3}; int f(int i) { return table[i]; }",
     {"refused data-init table", "exit 2"}},
    {"GrownData",
     "int table[2]; int *f(void) { return table; }",
     "int table[3]; int *f(void) { return table; }",
     {"refused data-init table", "exit 2"}},
    {"ChangedConstantTable",
     "static const int table[] = {1, 2, 3, 4, 9}; int f(int i) { return table[i]; } int g(int i) { return i; }",
     "static const int table[] = {1, 2, 5, 4, 9}; int f(int i) { return table[i]; } int g(int i) { return i; }",
     {"changed f", "exit 0"}},
    {"ChangedTableOfFunctions",
     "int f(int i) { return i; } int g(int i) { return i + 1; } typedef int fn(int); "
     "static fn *const table[] = {f, g, f}; int h(int i) { return table[i](i); }",
     "int f(int i) { return i; } int g(int i) { return i + 1; } typedef int fn(int); "
     "static fn *const table[] = {f, g, g}; int h(int i) { return table[i](i); }",
     {"refused data-init table", "exit 2"}},
    {"ChangedConstantThatDataPointsTo",
     "static const int value = 4; const int *where = &value; int f(void) { return *where; }",
     "static const int value = 5; const int *where = &value; int f(void) { return *where; }",
     {"refused data-init value", "exit 2"}},
    {"InitCode",
     "section(\".init.text\") int start(void) { return 1; } int f(int x) { return x; }",
     "section(\".init.text\") int start(void) { return 2; } int f(int x) { return x + 1; }",
     {"changed f", "refused init-code start", "exit 2"}},
    {"NoTrace",
     "notrace int f(int x) { return x; }",
     "notrace int f(int x) { return x + 1; }",
     {"refused no-ftrace f", "exit 2"}},
    // A counter of the compiler and the line, which both move (include/linux/btf_ids.h).
    {"BtfId",
     "asm(\".pushsection .BTF_ids,\\\"a\\\"\\n.type __BTF_ID__struct__x__71, %object\\n\" \n"
     "\".size __BTF_ID__struct__x__71, 4\\n__BTF_ID__struct__x__71: .long 0\\n.popsection\");"
     "extern int __BTF_ID__struct__x__71; int f(int x) { return __BTF_ID__struct__x__71 + x; }"
     "int g(int x) { return __BTF_ID__struct__x__71 - x; }",
     "asm(\".pushsection .BTF_ids,\\\"a\\\"\\n.type __BTF_ID__struct__x__92, %object\\n\" \n"
     "\".size __BTF_ID__struct__x__92, 4\\n__BTF_ID__struct__x__92: .long 0\\n.popsection\");"
     "extern int __BTF_ID__struct__x__92; int f(int x) { return __BTF_ID__struct__x__92 + x + 1; }"
     "int g(int x) { return __BTF_ID__struct__x__92 - x; }",
     {"changed f", "f -> vmlinux:__BTF_ID__struct__x__71,0", "exit 0"}},
    {"UntracedAndCalled",
     "notrace noinline static int f(int x) { return kernel_global + x; } notrace noinline static int g(int x) "
     "{ return f(x) + 1; } int h(int x) { return g(x) + 1; } int i(int x) { return f(x) + 2; } int j(int x) { return "
     "x; }",
     "notrace noinline static int f(int x) { return kernel_global - x; } notrace noinline static int g(int x) "
     "{ return f(x) + 1; } int h(int x) { return g(x) + 1; } int i(int x) { return f(x) + 2; } int j(int x) { return "
     "x; }",
     {"changed h", "changed i", "f -> vmlinux:kernel_global,0", "exit 0"}},
    {"UntracedAndPointedTo",
     "notrace noinline static int f(int x) { return kernel_global + x; } int h(int x) { return f(x) + 1; } "
     "int (*pointer)(int) = f;",
     "notrace noinline static int f(int x) { return kernel_global - x; } int h(int x) { return f(x) + 1; } "
     "int (*pointer)(int) = f;",
     {"refused no-ftrace f", "exit 2"}},
    {"UntracedAndCalledFromInit",
     "notrace noinline static int f(int x) { return kernel_global + x; } "
     "section(\".init.text\") int h(int x) { return f(x) + 1; }",
     "notrace noinline static int f(int x) { return kernel_global - x; } "
     "section(\".init.text\") int h(int x) { return f(x) + 1; }",
     {"refused no-ftrace f", "exit 2"}},
    {"SharedSection",
     "section(\".sched.text\") int f(int x) { return x; } int g(int x) { return x; }",
     "section(\".sched.text\") int f(int x) { return x + 1; } int g(int x) { return x; }",
     {"changed f", "exit 0"}},
    {"BugEntryFlags",
     "int f(int x) { WARN_ON(x); return x; }",
     "int f(int x) { if (__builtin_expect(x, 0)) BUG_ENTRY(0x903); return x; }",
     {"changed f", "exit 0"}},
    {"PointerToReplacedFunction",
     "int f(int x) { return x; } typedef int fn(int); fn *get(void) { return 0; }",
     "int f(int x) { return x + 1; } typedef int fn(int); fn *get(void) { return f; }",
     {"changed f", "changed get", "get -> vmlinux:f,0", "exit 0"}},
    {"CallOfReplacedFunction",
     "noinline int f(int x) { asm(\"\"); return x; } int g(int x) { return f(x); }",
     "noinline int f(int x) { asm(\"\"); return x + 1; } int g(int x) { return f(x) + 1; }",
     {"changed f", "changed g", "exit 0"}},
    {"UnknownSection",
     "int f(int x) { return x; }",
     "static int v section(\"strange\") = 1; int f(int x) { return x + v++; }",
     {"changed f", "refused unknown-section f", "refused unknown-section v", "exit 2"}},
    {"SectionsForTheBuildAlone",
     "int f(int x) { return x; }",
     "static const char u[] used section(\"__tracepoint_check\") = \"kfree\";"
     "static const char v[] used section(\".no_trim_symbol\") = \"g\"; int f(int x) { return x + 1; }",
     {"changed f", "exit 0"}},
    {"RuntimeConstant",
     "int f(int x) { return x; }",
     "int f(int x) { asm volatile(\"1:\\n.pushsection runtime_ptr_x,\\\"a\\\"\\n.long 1b - .\\n.popsection\"); "
     "return x + 1; }",
     {"changed f", "refused runtime-const f", "exit 2"}},
    {"IgnoredFunction",
     "notrace int f(int x) { return x; } int g(int x) { return x; }",
     "notrace int f(int x) { return x + 1; } int g(int x) { return x + 1; } "
     "void *ignored section(\".kpatch.ignore.functions\") = f;",
     {"changed g", "exit 0"}},
    {"ForcedFunction",
     "int f(int x) { return x; }",
     "int f(int x) { return x; } void *forced section(\".kpatch.force\") = f;",
     {"changed f", "exit 0"}},
    {"Callback",
     "int f(int x) { return x; }",
     "static int pre(void *o) { return 0; } struct { void *f; const char *o; } cb "
     "section(\".kpatch.callbacks.pre_patch\") = { pre }; int f(int x) { return x + 1; }",
     {"changed f", "new pre", "callback pre_patch", "exit 0"}},
    {"CountedAttempts",
     "int f(int x) { return x; }",
     "int f(int x) { static struct { char name[24]; long count; } attempts section(\".kpatch.attempts\") = "
     "{\"CVE-1\"}; "
     "if (x > 7) attempts.count++; return x; }",
     {"changed f", "exit 0"}},
    {"AddedExport",
     "int f(int x) { return x; }",
     "int f(int x) { return x; } int __ksymtab_f section(\"___ksymtab+f\") = 1;",
     {"warning export f", "exit 3"}},
    {"AddedExportOfANewFunction",
     "int f(int x) { return x; }",
     "int g(int x) { return x + 2; } int __ksymtab_g section(\"___ksymtab+g\") = 1; int f(int x) { return g(x) + 1; }",
     {"changed f", "new g", "warning export g", "exit 0"}},
    {"ExportOfAnotherKind",
     "int f(int x) { return x; } int __ksymtab_f section(\"___ksymtab_gpl+f\") = 1;",
     "int f(int x) { return x; } int __ksymtab_f section(\"___ksymtab+f\") = 1;",
     {"refused export __ksymtab_f", "exit 2"}},
    // State that guards something else than a message is the kernel's own (include/linux/once.h, DO_ONCE).
    {"OnceStateOfActionsIsTheKernels",
     "int f(int x) { static _Bool ___done section(\".data.once\"); if (!___done) { ___done = 1; return x; } return 0; "
     "}",
     "int f(int x) { static _Bool ___done section(\".data.once\"); if (!___done) { ___done = 1; return x + 1; } return "
     "0; }",
     {"changed f", "f -> vmlinux:___done,0", "exit 0"}},
    {"StaticVariableMadeGlobal",
     "static int state section(\".data.s\") = 1; int f(int x) { return state += x; }",
     "int state section(\".data.s\") = 1; int f(int x) { return state += x + 1; }",
     {"changed f", "f -> vmlinux:state,0", "exit 0"}},
    {"GlobalVariableMadeStatic",
     "int state section(\".data.s\") = 1; int f(int x) { return state += x; }",
     "static int state section(\".data.s\") = 1; int f(int x) { return state += x + 1; }",
     {"changed f", "f -> vmlinux:state,0", "exit 0"}},
    {"StaticFunctionMadeGlobal",
     "static int h(int x) { return x; } int (*table)(int) section(\".data.t\") = h;",
     "int h(int x) { return x + 2; } int (*table)(int) section(\".data.t\") = h;",
     {"changed h", "exit 0"}},
    {"RenamedVariable",
     "static int before section(\".data.s\") = 1; int f(int x) { return before += x; }",
     "static int after section(\".data.s\") = 1; int f(int x) { return after += x; }",
     {"changed f", "refused state-lost after", "exit 2"}},
    {"RenamedGlobalVariable",
     "int before section(\".data.s\") = 1; int f(int x) { return before += x; }",
     "int after section(\".data.s\") = 1; int f(int x) { return after += x; }",
     {"changed f", "refused state-lost after", "exit 2"}},
    {"VariableWithAnotherNameAndSize",
     "static int before section(\".data.s\") = 1; int f(int x) { return before += x; }",
     "static long after section(\".data.s\") = 1; int f(int x) { return after += x; }",
     {"changed f", "warning state-lost after", "exit 0"}},
    {"VariableThatOneFunctionAloneSeesNow",
     "static int state section(\".data.s\") = 1; int f(int x) { return state += x; }",
     "int f(int x) { static int state __asm__(\"f.state\") section(\".data.s\") = 1; return state += x; }",
     {"changed f", "refused state-lost f.state", "warning static-local f.state", "exit 2"}},
    {"NewVariableOfAnotherFunction",
     "static int before section(\".data.s\") = 1; int f(int x) { return before += x; } int g(int x) { return x; }",
     "static long after section(\".data.s\") = 1; int f(int x) { return x; } int g(int x) { return after += x; }",
     {"changed f", "changed g", "exit 0"}},
    {"FunctionThatBecomesOneWithANewOne",
     "int f(int x) { asm(\"\"); return x * 3; }",
     "int g(int x) { asm(\"\"); return x * 5; } int f(int x) __attribute__((alias(\"g\")));",
     {"changed f", "new g", "refused shared-code f", "exit 2"}},
    {"FunctionThatWasOneWithAnother",
     "int g(int x) { asm(\"\"); return x * 3; } int f(int x) __attribute__((alias(\"g\")));",
     "int g(int x) { asm(\"\"); return x * 3; } int f(int x) { asm(\"\"); return x * 5; }",
     {"changed f", "refused shared-code f", "exit 2"}},
    {"TwoNamesOfOneFunction",
     "int g(int x) { asm(\"\"); return x * 3; } int f(int x) __attribute__((alias(\"g\")));",
     "int g(int x) { asm(\"\"); return x * 5; } int f(int x) __attribute__((alias(\"g\")));",
     {"changed g", "exit 0"}},
    {"OperationsUnderAnotherName",
     "static int h(int x) { return x; } static int (*const before[])(int) section(\".rodata.s\") = {h}; "
     "const void *f(void) { return before; }",
     "static int h(int x) { return x; } static int (*const after[])(int) section(\".rodata.s\") = {h}; "
     "const void *f(void) { return after; }",
     {"changed f", "refused state-lost after", "warning handed-out after", "exit 2"}},
    {"VariableThatGoesForGood",
     "static int before section(\".data.s\") = 1; int f(int x) { return before += x; }",
     "int f(int x) { return x; }",
     {"changed f", "exit 0"}},
    {"VariableMovedToAnotherFile",
     "static int state section(\".data.s\") = 1; int f(int x) { return state += x; }",
     "extern int state; int f(int x) { return state += x; }",
     {"changed f", "refused state-lost state", "exit 2"}},
    {"NewInitcall",
     "int f(int x) { return x; }",
     "int f(int x) { return x; } int start(void) { return 1; } "
     "static int (*entry)(void) used section(\".initcall7.init\") = start;",
     {"new start", "refused initcall entry", "exit 2"}},
    {"UnchangedInitcall",
     "int f(int x) { return x; } static int (*entry)(void) used section(\".initcall7.init\") = (void *)f;",
     "int g(int x) { return x; } int f(int x) { return x; } "
     "static int (*entry)(void) used section(\".initcall7.init\") = (void *)f;",
     {"new g", "exit 0"}},
    {"NewParameter",
     "int f(int x) { return x; }",
     "int f(int x) { return x; } static int limit section(\".data.l\"); "
     "static int *__param_limit used section(\"__param\") = &limit;",
     {"refused module-param __param_limit", "exit 2"}},
    {"ChangedQuirk",
     "int f(int x) { return x; } static const int quirk used section(\".pci_fixup_final\") = 1;",
     "int f(int x) { return x + 1; } static const int quirk used section(\".pci_fixup_final\") = 2;",
     {"changed f", "refused pci-quirk quirk", "exit 2"}},
    {"ChangedSchedClass",
     "int f(int x) { return x; } int fair used section(\"__fair_sched_class\") = 1;",
     "int f(int x) { return x + 1; } int fair used section(\"__fair_sched_class\") = 2;",
     {"changed f", "refused boot-table fair", "exit 2"}},
    {"ReplacedFunctionThatMustNotBeProbed",
     "int f(int x) { return x; } static void *entry used section(\"_kprobe_blacklist\") = (void *)f;",
     "int f(int x) { return x + 1; } static void *entry used section(\"_kprobe_blacklist\") = (void *)f;",
     {"changed f", "warning nokprobe f", "exit 0"}},
    {"UnknownSectionThatTellsOfAPatchedFunction",
     "int f(int x) { return x; } static void *entry used section(\"strange\") = (void *)f;",
     "int f(int x) { return x + 1; } static void *entry used section(\"strange\") = (void *)f;",
     {"changed f", "refused unknown-section f", "exit 2"}},
    {"VariableMovedToAnotherFileThatIsReadAlone",
     "static int state section(\".data.s\") = 1; int f(int x) { return x; } int g(void) { return state++; }",
     "static int state section(\".data.s\") = 1; int f(int x) { return x + 1; } int g(void) { return state++; }",
     {"changed f", "exit 0"}},
    {"NewFunctionThatIsHandedOut",
     "void keep(int (*)(int)); int f(int x) { return x; }",
     "void keep(int (*)(int)); static int tick(int x) { return x; } int f(int x) { keep(tick); return x; }",
     {"changed f", "new tick", "f -> keep (patch)", "warning handed-out tick", "exit 0"}},
    {"NewFunctionInATableOfOperations",
     "typedef int fn(int); void keep(fn *const *); int f(int x) { return x; }",
     "typedef int fn(int); void keep(fn *const *); static int op(int x) { return x; } static fn *const ops[] = {op}; "
     "int f(int x) { keep(ops); return x; }",
     {"changed f", "new op", "f -> keep (patch)", "warning handed-out op", "exit 0"}},
    {"NewFunctionThatIsCalled",
     "int f(int x) { return x; }",
     "noinline static int tick(int x) { asm volatile(\"\"); return x; } int f(int x) { return tick(x) + 1; }",
     {"changed f", "new tick", "exit 0"}},
    {"MainLoopOfAThread",
     "int kthread_should_stop(void); int f(int x) { while (!kthread_should_stop()) x++; return x; }",
     "int kthread_should_stop(void); int f(int x) { while (!kthread_should_stop()) x += 2; return x; }",
     {"changed f", "f -> kthread_should_stop (patch)", "warning stall f", "exit 0"}},
    {"FunctionThatAThreadRuns",
     "void kthread_create_on_node(int (*)(int)); int f(int x) { return x; } void g(void) { kthread_create_on_node(f); "
     "}",
     "void kthread_create_on_node(int (*)(int)); int f(int x) { return x + 1; } "
     "void g(void) { kthread_create_on_node(f); }",
     {"changed f", "warning stall f", "exit 0"}},
    {"WorkBesideAThread",
     "void kthread_create_on_node(int (*)(int)); void queue(int (*)(int)); int f(int x) { return x; } "
     "int loop(int x) { return x; } void g(void) { queue(f); kthread_create_on_node(loop); }",
     "void kthread_create_on_node(int (*)(int)); void queue(int (*)(int)); int f(int x) { return x + 1; } "
     "int loop(int x) { return x; } void g(void) { queue(f); kthread_create_on_node(loop); }",
     {"changed f", "exit 0"}},
    // mov $imm64, %reg: the longest number that an instruction holds.
    {"NumberOf64Bits",
     "unsigned long f(unsigned long x) { return x * 0x123456789abcdef1UL; }",
     "unsigned long f(unsigned long x) { return x * 0x923456789abcdef3UL; }",
     {"changed f", "exit 0"}},
    {"NewPerCpuVariable",
     "int f(int x) { return x; }",
     "static volatile int v section(\".data..percpu..read_mostly\") = 1; int f(int x) { return x + v; }",
     {"changed f", "exit 0"}},
    {"NewPerCpuPointer",
     "int f(int x) { return x; }",
     "static int n section(\".data.n\"), *volatile v section(\".data..percpu\") = &n; int f(int x) { return x + *v; }",
     {"changed f", "refused percpu v", "exit 2"}},
    {"NewPerCpuVariableOfTheBootProcessor",
     "int f(int x) { return x; }",
     "static volatile int v section(\".data..percpu..first\") = 1; int f(int x) { return x + v; }",
     {"changed f", "refused percpu v", "exit 2"}},
    {"OnceStateIsFresh",
     "int f(int x) { return x; }",
     "int f(int x) { static _Bool __warned section(\".data.once\"); if (!__warned) { __warned = 1; return x; } return "
     "0; }",
     {"changed f", "exit 0"}},
};

INSTANTIATE_TEST_SUITE_P(Rules, Differ, testing::Combine(testing::ValuesIn(toolchains()), testing::ValuesIn(cases)),
                         [](const auto& info) {
                           return std::string{std::get<0>(info.param).name} + "_" + std::get<1>(info.param).name;
                         });

// Clones are emitted in another order: `f` must go on with the body that it had.
TEST(DifferClones, SwappedNumbersKeepTheirBodies) {
#ifndef __x86_64__
  SKIP_MACHINE("assembles x86-64 objects");
#endif
  const fs::path directory = fs::temp_directory_path() / ("differ-clones-" + std::to_string(getpid()));
  fs::create_directories(directory);
  auto clone = [](const char* number, const char* body) {
    const std::string name = std::string{"h.constprop."} + number;
    return ".section .text." + name + ",\"ax\"\n.type " + name + ",@function\n" + name + ":\n1: call __fentry__\n" +
           ".pushsection __mcount_loc,\"a\"\n.quad 1b\n.popsection\nmov $" + body + ",%eax\nret\n.size " + name +
           ",.-" + name + "\n";
  };
  auto caller = [](const char* name, const char* number) {
    const std::string n = name;
    return ".section .text." + n + ",\"ax\"\n.globl " + n + "\n.type " + n + ",@function\n" + n +
           ":\ncall h.constprop." + number + "\nret\n.size " + n + ",.-" + n + "\n";
  };
  auto assemble = [&](const std::string& text, const char* name) {
    std::ofstream(directory / "a.s") << ".file \"a.c\"\n" << text;
    const std::string line = "cd " + directory.string() + " && as -o " + name + " a.s";
    ASSERT_EQ(std::system(line.c_str()), 0);
  };
  assemble(clone("0", "100") + clone("1", "200") + caller("f", "0") + caller("g", "1"), "orig.o");
  assemble(clone("1", "100") + clone("0", "200") + caller("f", "1") + caller("g", "0"), "patched.o");
  const DifferResult result = run_differ({directory / "orig.o",
                                          directory / "patched.o",
                                          "vmlinux",
                                          directory / "orig.o",
                                          "/dev/null",
                                          directory / "out.o",
                                          false,
                                          {}});
  EXPECT_EQ(result.exit_code, exit_no_change);
  for (const auto& f : result.changed) ADD_FAILURE() << "changed " << f.name << ": " << f.reason;
  fs::remove_all(directory);
}

}  // namespace
}  // namespace kpatch
