// What the patch's own objects don't show: weak definitions that would take over, and assembly that calls.
#include "kpatch-build/left-behind.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

class LeftBehind : public testing::Test {
 protected:
  std::vector<std::string> refusals(std::vector<std::string> vanished, std::vector<std::string> prototypes,
                                    std::vector<std::string> globals = {}) {
    std::vector<PairReport> reports(2);
    reports[0].pair.command.source = "arch/x86/kernel/uprobes.c";
    reports[0].vanished = std::move(vanished);
    reports[0].prototypes = std::move(prototypes);
    reports[1].globals = std::move(globals);
    check_left_behind(reports, {folder_.path(), folder_.path(), "x86",
                                [&] {
                                  asked_ = true;
                                  return std::set<std::string>{"kernel/a.c", "kernel/absent.c"};
                                },
                                acknowledged_});
    std::vector<std::string> list;
    for (const Finding& f : reports[0].findings)
      list.push_back((f.severity == Severity::warning ? "warning " : "") + f.rule + " " + f.location.function);
    return list;
  }
  void text(const std::string& source) { folder_.write("kernel/a.c", source); }

  TemporaryFolder folder_;
  bool asked_ = false, acknowledged_ = false;
};

using List = std::vector<std::string>;

TEST_F(LeftBehind, WeakOnesTakeOver) {
  for (const char* source :
       {"bool __weak f(int x)\n{\n\treturn true;\n}\n", "__weak bool f(int x) { return 1; }",
        "int g(void) { return f(1); } int __attribute__((weak)) f(int x) { if (x) { } return x; }"}) {
    text(source);
    EXPECT_EQ(refusals({"f"}, {}), List{"weak f"}) << source;
  }
}

TEST_F(LeftBehind, OthersDoNot) {
  for (const char* source :
       {"int g(void) { return f(1); } int __weak h(int x) { return f(x); }",
        "int __weak f(int x);\nint g(void) { return 1; }", "/* __weak */ static int f(int x) { return x; }",
        "// int __weak f(int x) { return x; }\nint weak;", "int __weak ff(int x) { return x; }", ""}) {
    text(source);
    EXPECT_EQ(refusals({"f"}, {}), List{}) << source;
  }
  text("int __weak f(int x) { return x; }");
  EXPECT_EQ(refusals({"f"}, {}, {"f"}), List{});  // it moved
}

// What another file handed out is called as it was declared then.
TEST_F(LeftBehind, PointersAreCalledAsTheyWere) {
  folder_.write("arch/x86/entry.S", "");
  for (const char* source :
       {"void g(void) { INIT_WORK(&w, f); }", "void g(void) { w->fn = f; }", "void g(void) { w->fn = &f; }",
        "const struct ops ops = { .f = f, };", "void (*table[])(int) = { f };", "fn g(void) { return f; }",
        "int f(int x);\nvoid g(void) { call(1, f, 2); f(1); }"}) {
    text(source);
    EXPECT_EQ(refusals({}, {"f"}), List{"data-layout f"}) << source;
  }
  for (const char* source :
       {"int g(void) { return f(1); }", "int f(int x);\nEXPORT_SYMBOL_GPL(f);\nNOKPROBE_SYMBOL(f);",
        "int g(int f) { return h(f); }", "void g(void) { struct f *f; h(f); }", "void g(void) { h(p->f, q.f); }",
        "/* h(f) */", "static int f(int x) { return x; }\nvoid g(void) { h(f); }", "BTF_ID_FLAGS(func, f)",
        "void g(void) { h(ff); }", ""}) {
    text(source);
    EXPECT_EQ(refusals({}, {"f"}), List{}) << source;
  }
  text("void g(void) { INIT_WORK(&w, f); }");
  acknowledged_ = true;
  EXPECT_EQ(refusals({}, {"f"}), List{"warning data-layout f"});
}

TEST_F(LeftBehind, AssemblyPassesWhatItPassedBefore) {
  folder_.write("arch/x86/power/hibernate_asm_64.S", "\tcall\tswsusp_save\n");
  folder_.write("arch/x86/power/hibernate_asm_32.S", "\tcall\tf\n");
  folder_.write("arch/arm64/kernel/hibernate-asm.S", "\tbl\tf\n");
  EXPECT_EQ(refusals({}, {"f", "swsusp_save", "save"}), List{"assembly-caller swsusp_save"});
}

TEST_F(LeftBehind, NothingIsReadWhereNothingGoes) {
  EXPECT_EQ(refusals({}, {}), List{});
  EXPECT_FALSE(asked_);
}

}  // namespace
}  // namespace kpatch
