// What is left out of a livepatch because its author said that it may be (--ack).

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "unit/object_files.h"

namespace kpatch {
namespace {

class Acknowledged : public ObjectFiles {
 protected:
  // "changed f", "refused RULE where", "warning RULE where", "idle NAME", "exit N"
  Facts facts_of(const std::string& orig, const std::string& patched, const std::set<std::string>& rules,
                 const std::set<std::string>& unused = {}) const {
    const char* traced = "-fno-pie -pg -mfentry -mrecord-mcount -mcmodel=kernel";
    DifferInput pair = input(compile(head + orig, "orig.o", traced), compile(head + patched, "patched.o", traced));
    pair.acknowledged = rules;
    pair.unused = unused;
    const DifferResult result = run_differ(pair);
    Facts facts;
    for (const FunctionReport& f : result.changed) facts.push_back("changed " + f.name);
    for (const Finding& f : result.findings)
      facts.push_back((f.severity == Severity::refusal ? "refused " : "warning ") + f.rule + " " + name_of(f.location));
    for (const auto& entry : result.account)
      if (entry.fate == "without influence" && entry.reason.starts_with("left out"))
        facts.push_back("left out " + entry.name);
    facts.push_back("exit " + std::to_string(result.exit_code));
    return facts;
  }

  const std::string head =
      "#define init __attribute__((section(\".init.text\")))\n"
      "#define initdata __attribute__((section(\".init.data\")))\n"
      "#define param __attribute__((section(\"__param\"), used))\n"
      "int use(int);\n";
  const std::string before = "init int start(void) { return use(1); } int f(int x) { return use(x); }";
  const std::string after = "init int start(void) { return use(2); } int f(int x) { return use(x + 1); }";
};

TEST_F(Acknowledged, InitCodeIsLeftOut) {
  EXPECT_EQ(facts_of(before, after, {"init-code"}),
            (Facts{"changed f", "warning init-code start", "left out start", "exit 0"}));
  EXPECT_EQ(facts_of(before, after, {}), (Facts{"changed f", "refused init-code start", "exit 2"}));
  EXPECT_EQ(facts_of(before, after, {"data-layout"}), (Facts{"changed f", "refused init-code start", "exit 2"}));
}

TEST_F(Acknowledged, APatchOfInitCodeAloneChangesNothing) {
  EXPECT_EQ(
      facts_of("init int start(void) { return use(1); }", "init int start(void) { return use(2); }", {"init-code"}),
      (Facts{"warning init-code start", "left out start", "exit 3"}));
}

TEST_F(Acknowledged, InitDataIsLeftOut) {
  const auto text = [](const std::string& value, const std::string& more) {
    return "initdata int table[2] = {1, " + value +
           "}; init int start(int i) { return table[i]; } int f(int x) { return "
           "use(x)" +
           more + "; }";
  };
  EXPECT_EQ(facts_of(text("2", ""), text("3", " + 1"), {"init-code"}),
            (Facts{"changed f", "warning init-code table", "left out table", "exit 0"}));
}

// module_init() gives its function a second name.
TEST_F(Acknowledged, AFunctionOfTwoNamesIsLeftOutByBoth) {
  const std::string alias = "int init_module(void) __attribute__((alias(\"start\")));";
  EXPECT_EQ(facts_of(before + alias, after + alias, {"init-code"}).back(), "exit 0");
}

// What runs must not refer to memory that is gone, whatever was acknowledged.
TEST_F(Acknowledged, CodeThatRunsMayNotUseWhatIsGone) {
  const std::string table = "initdata int table[2] = {1, 2}; init int start(int i) { return table[i]; }";
  EXPECT_EQ(facts_of(table + "int f(int x) { return use(x); }", table + "int f(int x) { return use(x) + table[x]; }",
                     {"init-code"}),
            (Facts{"changed f", "refused init-code f", "refused init-reference table", "exit 2"}));
}

TEST_F(Acknowledged, AParameterIsLeftOut) {
  const std::string orig = "int f(int x) { return use(x); }";
  const std::string patched =
      "static int limit = 3; param const void *const __param_limit = &limit;"
      "int f(int x) { return use(x) + limit; }";
  EXPECT_EQ(facts_of(orig, patched, {"module-param"}),
            (Facts{"changed f", "warning module-param __param_limit", "left out __param_limit", "exit 0"}));
  EXPECT_EQ(facts_of(orig, patched, {"initcall"}),
            (Facts{"changed f", "refused module-param __param_limit", "exit 2"}));
}

// Rust code calls it, and it has no ftrace site: nothing can be done where something in the image does so.
TEST_F(Acknowledged, AHelperOfRustIsLeftOut) {
  const auto text = [](const std::string& number) {
    return "__attribute__((no_instrument_function)) int rust_helper_use(int x) { return use(x + " + number +
           "); } int f(int x) { return use(x - " + number + "); }";
  };
  const Facts left = {"changed f", "warning rust-helper rust_helper_use", "left out rust_helper_use", "exit 0"};
  EXPECT_EQ(facts_of(text("1"), text("2"), {}, {}),
            (Facts{"changed f", "refused rust-helper rust_helper_use", "exit 2"}));
  EXPECT_EQ(facts_of(text("1"), text("2"), {}, {"rust_helper_use"}), left);
  EXPECT_EQ(facts_of(text("1"), text("2"), {"rust-helper"}, {}), left);
  EXPECT_EQ(facts_of(text("1"), text("1"), {}, {}), (Facts{"exit 3"}));
}

}  // namespace
}  // namespace kpatch
