// Identity across files and linkage: what other objects of the patch refer to, whose a local is, and what may be copied.

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "lookup/lookup.h"
#include "support/error.h"
#include "support/files.h"
#include "unit/object_files.h"

namespace kpatch {
namespace {

class Linkage : public ObjectFiles {
 protected:
  // References as "to kind owner,sympos", refusals as "refused RULE where".
  static Facts facts_of(const DifferInput& pair) {
    const DifferResult result = run_differ(pair);
    Facts facts;
    for (const ReferenceReport& r : result.references) {
      if (r.to == "__fentry__") continue;
      facts.push_back(r.to + " " + r.kind +
                      (r.kind == "klp" ? " " + r.owner + "," + std::to_string(r.sympos) : std::string{}));
    }
    for (const FunctionReport& f : result.included)
      if (f.reason == "used by another object of the patch") facts.push_back("included " + f.name);
    for (const Finding& f : result.findings)
      if (f.severity == Severity::refusal) facts.push_back("refused " + f.rule + " " + name_of(f.location));
    facts.push_back("exit " + std::to_string(result.exit_code));
    return facts;
  }

  // vmlinux of a.c (a static `state`), of b.c when it has one too, and of the original of the file that is patched.
  DifferInput user_of_state(const std::string& b) {
    compile("int f(int x) { return x; }", "orig.o", traced);
    compile("extern int state; int f(int x) { return x + state++; }", "patched.o", traced);
    const std::string a = "static int state = 1; int get(void) { return state++; }";
    toolchains().front().compile(folder_.path(), a, "a.o", "", "a.c");
    toolchains().front().compile(folder_.path(), b, "b.o", "", "b.c");
    toolchains().front().link_relocatable(folder_.path(), "vmlinux.o", "a.o b.o orig.o");
    DifferInput pair = input(path("orig.o"), path("patched.o"));
    pair.parent_symtab = path("vmlinux.o");
    return pair;
  }

  static constexpr const char* traced = "-fno-pie -pg -mfentry -mrecord-mcount -mcmodel=kernel";
};

// Per-CPU data of x86-64 begins at address 0, which the kernel's klp_find_object_symbol() takes for "not found".
TEST_F(Linkage, ASymbolAtAddressZeroIsNoneThatTheKernelFinds) {
  const auto source = [](const std::string& what) {
    return "extern char first[], second[]; int f(char *p) { return p < " + what + "; }";
  };
  compile(source("(char *)16"), "orig.o", traced);
  toolchains().front().compile(
      folder_.path(),
      "__attribute__((section(\"percpu\"))) char first[64] = {1}; char second[64] = {1}; void __fentry__(void) {}",
      "b.o", traced, "b.c");
  run_in(folder_.path(),
         "ld -z noexecstack -e 0 -Ttext=0xffffffff81000000 --section-start=percpu=0 -o vmlinux orig.o b.o");
  const auto facts = [&](const std::string& what) {
    compile(source(what), "patched.o", traced);
    DifferInput pair = input(path("orig.o"), path("patched.o"));
    pair.parent_symtab = path("vmlinux");
    return facts_of(pair);
  };
  const Facts refused = {"refused missing first", "exit 2"}, found = {"second klp vmlinux,0", "exit 0"};
  EXPECT_EQ(facts("first").back(), refused.back());
  EXPECT_EQ(facts("second"), found);
}

// module_init() gives a function a second name; what can't be patched is told of once.
TEST_F(Linkage, AnAliasOfWhatIsRefusedIsNotRefusedAgain) {
  const auto source = [](int result) {
    return "static __attribute__((section(\".init.text\"))) int start(void) { return " + std::to_string(result) +
           "; } int init_module(void) __attribute__((alias(\"start\"))); int f(int x) { return x + " +
           std::to_string(result) + "; }";
  };
  compile(source(1), "orig.o", traced);
  compile(source(2), "patched.o", traced);
  EXPECT_EQ(facts_of(input(path("orig.o"), path("patched.o"))), (Facts{"refused init-code start", "exit 2"}));
}

TEST_F(Linkage, WhatAnotherFileNoLongerCallsStaticIsThatFilesLocal) {
  DifferInput pair = user_of_state("int h(void) { return 1; }");
  pair.made_global = {{"state", "a.c"}};
  EXPECT_EQ(facts_of(pair), (Facts{"state klp vmlinux,0", "exit 0"}));
}

TEST_F(Linkage, LocalsOfThatNameInOtherFilesAreToldApart) {
  DifferInput pair = user_of_state("static int state = 2; int h(void) { return state++; }");
  pair.made_global = {{"state", "b.c"}};
  EXPECT_EQ(facts_of(pair), (Facts{"state klp vmlinux,2", "exit 0"}));
}

// A file's locals tell it from another file of its name; those that the kernel's linker throws away aren't in the kernel.
TEST_F(Linkage, WhatTheLinkerDiscardsIsNoLocalOfItsFile) {
  const auto orig_of = [](const std::string& section) {
    return "static const char mark[] __attribute__((used, section(\"" + section +
           "\"))) = \"\"; static int state = 1; int f(int x) { state += x; return x; }";
  };
  const std::string kernels = "static int state = 1; int f(int x) { state += x; return x; }";
  for (const auto& [section, facts] : {std::pair{"__tracepoint_check", Facts{"state klp vmlinux,2", "exit 0"}},
                                       std::pair{".no_trim_symbol", Facts{"state klp vmlinux,2", "exit 0"}},
                                       std::pair{".rodata.mine", Facts{"refused ambiguous state", "exit 2"}}}) {
    toolchains().front().compile(folder_.path(), orig_of(section), "orig.o", traced, "same.c");
    std::string changed = orig_of(section);
    changed.replace(changed.find("return x"), 8, "return 7");
    toolchains().front().compile(folder_.path(), changed, "patched.o", traced, "same.c");
    toolchains().front().compile(folder_.path(), "static int state = 5, more; int g(void) { return state++ + more++; }",
                                 "a.o", "", "same.c");
    toolchains().front().compile(folder_.path(), kernels, "b.o", traced, "same.c");
    toolchains().front().link_relocatable(folder_.path(), "vmlinux.o", "a.o b.o");
    DifferInput pair = input(path("orig.o"), path("patched.o"));
    pair.parent_symtab = path("vmlinux.o");
    EXPECT_EQ(facts_of(pair), facts) << section;
  }
}

TEST_F(Linkage, ALocalThatNobodyMadeGlobalIsNotMeant) {
  EXPECT_EQ(facts_of(user_of_state("int h(void) { return 1; }")), (Facts{"state patch", "exit 0"}));
}

TEST_F(Linkage, ALocalOfAnotherFileIsRefused) {
  const std::string code = "static int state = 1; int f(int x) { return x + state++; }";
  compile(code, "orig.o", traced);
  compile("static int state = 1; int f(int x) { return x - state++; }", "patched.o", traced);
  toolchains().front().compile(folder_.path(), code, "b.o", "", "b.c");
  toolchains().front().link_relocatable(folder_.path(), "vmlinux.o", "b.o");
  DifferInput pair = input(path("orig.o"), path("patched.o"));
  pair.parent_symtab = path("vmlinux.o");
  EXPECT_EQ(facts_of(pair), (Facts{"refused another-file state", "exit 2"}));
}

TEST_F(Linkage, APositionThatShiftsWhenInitIsDoneIsRefused) {
  const std::string helper = "static __attribute__((noinline)) int helper(int x) { asm(\"\"); return x; } ";
  compile(helper + "int f(int x) { return helper(x); }", "orig.o", traced);
  compile(helper + "int f(int x) { return helper(x) + 1; }", "patched.o", traced);
  const std::string init =
      "static __attribute__((section(\".init.text\"), used)) int helper(int x) { return x; } int h(void) { return 1; }";
  toolchains().front().compile(folder_.path(), init, "init.o", "", "init.c");
  toolchains().front().link_relocatable(folder_.path(), "before.o", "init.o orig.o");
  toolchains().front().link_relocatable(folder_.path(), "behind.o", "orig.o init.o");
  DifferInput pair = input(path("orig.o"), path("patched.o"));
  pair.parent_name = "dummy";
  pair.parent_symtab = path("before.o");
  EXPECT_EQ(facts_of(pair), (Facts{"helper klp dummy,2", "refused init-twin helper", "exit 2"}));
  pair.parent_symtab = path("behind.o");
  EXPECT_EQ(facts_of(pair), (Facts{"helper klp dummy,1", "exit 0"}));
}

TEST_F(Linkage, WhatWasFreedAfterInitIsRefused) {
  compile("int f(int x) { return x; }", "orig.o", traced);
  compile("extern int start; int f(int x) { return x + start; }", "patched.o", traced);
  DifferInput pair = input(path("orig.o"), path("patched.o"));
  pair.parent_symtab = path("kernel.o");
  for (const std::string section : {".init.data", ".data"}) {
    const std::string other = "__attribute__((section(\"" + section + "\"))) int start = 1;";
    toolchains().front().compile(folder_.path(), other, "other.o", "", "other.c");
    toolchains().front().link_relocatable(folder_.path(), "kernel.o", "orig.o other.o");
    EXPECT_EQ(facts_of(pair), section == ".data"
                                  ? (Facts{"start klp vmlinux,0", "exit 0"})
                                  : (Facts{"start klp vmlinux,0", "refused init-reference start", "exit 2"}));
  }
}

// kernel/extable.c compares addresses with them.
TEST_F(Linkage, WhereInitSectionsBeginAndEndIsNoReferenceIntoThem) {
  for (const std::string name : {"_sinittext", "__init_end", "_sother"}) {
    const std::string declared = "extern char " + name + "[];";
    compile(declared + "int f(char *x) { return x >= " + name + "; }", "orig.o", traced);
    compile(declared + "int f(char *x) { return x > " + name + "; }", "patched.o", traced);
    toolchains().front().compile(
        folder_.path(),
        "asm(\".section .init.text,\\\"ax\\\"\\n.globl " + name + "\\n" + name + ":\\n.text\"); int other;", "other.o",
        "", "other.c");
    toolchains().front().link_relocatable(folder_.path(), "kernel.o", "orig.o other.o");
    DifferInput pair = input(path("orig.o"), path("patched.o"));
    pair.parent_symtab = path("kernel.o");
    const bool refused = facts_of(pair).back() == "exit 2";
    EXPECT_EQ(refused, name == "_sother") << name;
  }
}

TEST_F(Linkage, ANewVariableThatAnotherObjectRefersToIsThere) {
  compile("int f(int x) { return x; }", "orig.o", traced);
  compile("int limit = 7; int f(int x) { return x; }", "patched.o", traced);
  DifferInput pair = input(path("orig.o"), path("patched.o"));
  EXPECT_EQ(facts_of(pair), (Facts{"exit 3"}));
  pair.needed = {"limit"};
  EXPECT_EQ(facts_of(pair), (Facts{"included limit", "exit 0"}));
}

TEST_F(Linkage, AConstantThatIsPassedOnIsNotCopied) {
  const std::string use = " void keep(const void *); int f(int x) { keep(&value); return x; }";
  EXPECT_EQ(diff(compile("static const int value = 4;" + use, "orig.o", traced),
                 compile("static const int value = 5;" + use, "patched.o", traced)),
            (Facts{"refused data-init value", "exit 2"}));
}

// What the kernel's build says of a module's exports, and of what a module needs.
class ModuleSymbols : public Linkage {
 protected:
  // The original doesn't call the export `used` of `owner`, the patched object does.
  DifferInput user(const std::string& parent, const std::string& modinfo) {
    const std::string info =
        R"(__attribute__((section(".modinfo"), used)) static const char info[] = ")" + modinfo + R"(";)";
    compile("int f(int x) { return x; }" + info, "orig.o", traced);
    compile("extern int used(int); int f(int x) { return used(x) + 1; }" + info, "patched.o", traced);
    DifferInput pair = input(path("orig.o"), path("patched.o"));
    pair.parent_name = parent;
    pair.symvers = path("symvers");
    write_file(pair.symvers, "0x00000001\tused\tnet/owner\tEXPORT_SYMBOL\t\n");
    return pair;
  }

  static std::set<std::string> section_names(const std::filesystem::path& object) {
    std::set<std::string> names;
    const Binary binary = Binary::open(object);
    for (const BinarySection& section : binary.sections()) names.emplace(section.name);
    return names;
  }
};

TEST_F(ModuleSymbols, CodeOfTheKernelProperMayNotNeedAModule) {
  EXPECT_EQ(facts_of(user("vmlinux", "a=b")), (Facts{"refused new-dependency f", "exit 2"}));
}

TEST_F(ModuleSymbols, AModuleMayNotNeedAnotherOneThanBefore) {
  EXPECT_EQ(facts_of(user("m", "depends=other")), (Facts{"refused new-dependency f", "exit 2"}));
}

TEST_F(ModuleSymbols, WhatAModuleNeedsAnywayIsThere) {
  EXPECT_EQ(facts_of(user("m", "depends=other,owner")), (Facts{"used klp owner,0", "exit 0"}));
  DifferInput through_another = user("m", "depends=other");
  through_another.parent_needs = {"owner"};
  EXPECT_EQ(facts_of(through_another), (Facts{"used klp owner,0", "exit 0"}));
}

TEST_F(ModuleSymbols, NewCodeOfAModuleNamesItsObject) {
  compile("static int state = 1; int get(void) { return state++; }", "orig.o", traced);
  compile("static int state = 1; int get(void) { return state++; } int more(void) { return state + 2; }", "patched.o",
          traced);
  DifferInput pair = input(path("orig.o"), path("patched.o"));
  pair.parent_name = "m";
  const DifferResult result = run_differ(pair);
  EXPECT_EQ(result.exit_code, exit_ok);
  EXPECT_EQ(result.globals, std::vector<std::string>{"more"});
  EXPECT_TRUE(section_names(pair.output).contains(".kpatch.objects"));
  pair.parent_name = "vmlinux";
  run_differ(pair);
  EXPECT_FALSE(section_names(pair.output).contains(".kpatch.objects"));
}

// Another object of the patch may call it, and may not have one of that name.
TEST_F(ModuleSymbols, ANewWeakFunctionIsKnownToTheOtherObjects) {
  compile("int get(void) { return 1; }", "orig.o", traced);
  compile("int get(void) { return 1; } int __attribute__((weak)) more(void) { return 2; }", "patched.o", traced);
  EXPECT_EQ(run_differ(input(path("orig.o"), path("patched.o"))).globals, std::vector<std::string>{"more"});
}

TEST_F(ModuleSymbols, AllThatIsRefusedIsSaidAtOnce) {
  DifferInput pair = user("vmlinux", "a=b");
  compile("int limit = 1; int f(int x) { return x + limit; }", "orig.o", traced);
  compile("extern int used(int); int limit = 2; int f(int x) { return used(x) + limit; }", "patched.o", traced);
  EXPECT_EQ(facts_of(pair), (Facts{"refused new-dependency f", "refused data-init limit", "exit 2"}));
}

}  // namespace
}  // namespace kpatch
