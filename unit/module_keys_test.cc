// Static branches on keys of modules: which ones are made tests, and what the compiler makes of the header.
#include "kpatch-build/module-keys.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "create-diff-object/object.h"
#include "unit/object_files.h"

namespace kpatch {
namespace {

Finding refused(const std::string& key, const std::string& message = "belongs to module kvm: a static branch on it …") {
  return {"static-key", Severity::refusal, {.source = "a.c", .function = key}, message, ""};
}

PairReport report(std::vector<Finding> findings, std::vector<std::string> changed, std::vector<std::string> added) {
  PairReport result;
  result.findings = std::move(findings);
  for (std::string& name : changed) result.changed.push_back({std::move(name), ""});
  for (std::string& name : added) result.added.push_back({std::move(name), ""});
  return result;
}

using Keys = std::set<std::string>;

TEST(ModuleKeys, AreThoseOfModules) {
  EXPECT_EQ(refused_module_keys(report({refused("a"), refused("b_1"), refused("a")}, {}, {})), (Keys{"a", "b_1"}));
  EXPECT_EQ(refused_module_keys(report({refused("a", "is read-only after boot, and …")}, {}, {})), Keys{});
  Finding note = refused("a");
  note.severity = Severity::notice;
  EXPECT_EQ(refused_module_keys(report({note}, {}, {})), Keys{});
  Finding other = refused("a");
  other.rule = "no-ftrace";
  EXPECT_EQ(refused_module_keys(report({other}, {}, {})), Keys{});
}

// A variable of a function has a number in its name, which no source text has.
TEST(ModuleKeys, OneWithoutANameInTheSourceLeavesAllAsTheyAre) {
  EXPECT_EQ(refused_module_keys(report({refused("a"), refused("key.7")}, {}, {})), Keys{});
}

TEST(ModuleKeys, TheSecondReportHasToSayWhatTheFirstSaid) {
  const PairReport first = report({refused("a")}, {"f", "g"}, {"n"});
  EXPECT_TRUE(stands_for(report({}, {"g", "f"}, {"n"}), first));
  EXPECT_TRUE(stands_for(report({}, {"e", "g", "f"}, {"n", "m"}), first));
  EXPECT_TRUE(stands_for(report({refused("a", "is read-only after boot")}, {"f", "g"}, {"n"}), first));
  EXPECT_FALSE(stands_for(report({}, {"f"}, {"n"}), first)) << "g is inlined now";
  EXPECT_FALSE(stands_for(report({}, {"f", "g"}, {}), first));
  EXPECT_FALSE(stands_for(report({refused("b")}, {"f", "g"}, {"n"}), first));
}

// The kernel's header as far as it matters here, and its users.
class KeyHeader : public ObjectFiles {
 protected:
  void SetUp() override {
    ObjectFiles::SetUp();
    folder_.write("include/linux/jump_label.h", R"(#ifndef _LINUX_JUMP_LABEL_H
#define _LINUX_JUMP_LABEL_H
#define bool _Bool
struct static_key { int enabled; };
struct static_key_true { struct static_key key; };
struct static_key_false { struct static_key key; };
int static_key_count(struct static_key *key);
static inline __attribute__((always_inline)) bool arch_static_branch(struct static_key *const key, const bool branch) {
  asm goto("1: nop\n .pushsection __jump_table,\"aw\"\n .long 1b - ., %l[yes] - .\n .quad %c0 + %c1 - .\n .popsection"
           : : "i"(key), "i"(branch) : : yes);
  return 0;
yes:
  return 1;
}
static inline __attribute__((always_inline)) bool arch_static_branch_jump(struct static_key *const key, const bool branch) {
  asm goto("1: jmp %l[yes]\n .pushsection __jump_table,\"aw\"\n .long 1b - ., %l[yes] - .\n .quad %c0 + %c1 - .\n"
           " .popsection" : : "i"(key), "i"(branch) : : yes);
  return 0;
yes:
  return 1;
}
#define static_branch_likely(x) (__builtin_types_compatible_p(typeof(*x), struct static_key_true) ? \
  !arch_static_branch(&(x)->key, 1) : !arch_static_branch_jump(&(x)->key, 1))
#define static_branch_unlikely(x) (__builtin_types_compatible_p(typeof(*x), struct static_key_true) ? \
  arch_static_branch_jump(&(x)->key, 0) : arch_static_branch(&(x)->key, 0))
static inline __attribute__((always_inline)) bool static_key_false(struct static_key *key) { return arch_static_branch(key, 0); }
static inline __attribute__((always_inline)) bool static_key_true(struct static_key *key) { return !arch_static_branch(key, 1); }
#endif
)");
    write_key_header(path("keys"), {"on", "off", "old", "point", "slow"});
  }

  // The symbols that the object of `code` refers to from __jump_table, or calls.
  std::string uses(const std::string& code, const std::string& flags = "-DCONFIG_JUMP_LABEL") const {
    compile(
        "#include <linux/jump_label.h>\n"
        "extern struct static_key_true on, on_too; extern struct static_key_false off, off_too;\n"
        "extern struct static_key old, old_too; extern struct { char c; struct static_key key; } point, point_too;\n"
        "extern struct { struct static_key_false key; } slow, slow_too; extern struct static_key_true keys[2];\n" +
            code,
        "a.o", "-fno-pie -Ikeys -Iinclude " + flags);
    std::string result;
    const Object object = Object::read(path("a.o"));
    for (const Symbol& s : object.symbols())
      if (s.section == no_section && s.global() && s.name != "__fentry__")
        result += (result.empty() ? "" : " ") + std::string{s.name};
    const bool branches =
        std::ranges::any_of(object.sections(), [](const Section& s) { return s.name == "__jump_table"; });
    return result + (branches ? " branches" : "");
  }
};

TEST_F(KeyHeader, BranchesOnTheseKeysAreTests) {
  for (const char* condition : {"static_branch_likely(&on)", "static_branch_unlikely(&on)"})
    EXPECT_EQ(uses(std::string{"int f(void) { return "} + condition + " ? 3 : 4; }"), "on static_key_count")
        << condition;
  for (const char* condition : {"static_branch_likely(&off)", "static_branch_unlikely( &off )"})
    EXPECT_EQ(uses(std::string{"int f(void) { return "} + condition + " ? 3 : 4; }"), "off static_key_count")
        << condition;
  EXPECT_EQ(uses("int f(void) { return static_branch_unlikely(&slow.key) ? 3 : 4; }"), "slow static_key_count");
  EXPECT_EQ(uses("int f(void) { return static_key_false(&old) ? 3 : 4; }"), "old static_key_count");
  EXPECT_EQ(uses("int f(void) { return static_key_true(&point.key) ? 3 : 4; }"), "point static_key_count");
}

TEST_F(KeyHeader, BranchesOnOthersStay) {
  for (const char* condition :
       {"static_branch_likely(&on_too)", "static_branch_unlikely(&on_too)", "static_branch_likely(&off_too)",
        "static_branch_unlikely(&off_too)", "static_branch_unlikely(&slow_too.key)", "static_key_false(&old_too)",
        "static_key_true(&point_too.key)", "static_branch_likely(&keys[1])"})
    EXPECT_TRUE(uses(std::string{"int f(void) { return "} + condition + " ? 3 : 4; }").ends_with(" branches"))
        << condition;
  EXPECT_EQ(uses("int f(void) { return static_branch_likely(&keys[1]) ? 3 : 4; }"), "keys branches");
}

// A kernel without jump labels has nothing to be replaced.
TEST_F(KeyHeader, NothingIsDoneWhereTheConfigHasNoBranches) {
  EXPECT_EQ(uses("int f(void) { return static_branch_likely(&on) ? 3 : 4; }", ""), "on branches");
}

// What a branch says of its key, whose kind and place it knows, the test says too.
TEST_F(KeyHeader, ATestSaysWhatTheBranchWouldSay) {
  folder_.write("run.c", R"(#include <linux/jump_label.h>
int static_key_count(struct static_key *key) { return key->enabled; }
struct static_key_true on; struct static_key_false off; struct static_key old;
int main(void) {
  for (int state = 0; state < 2; ++state) {
    on.key.enabled = off.key.enabled = old.enabled = state;
    if (static_branch_likely(&on) != state || static_branch_unlikely(&on) != state || static_branch_likely(&off) != state ||
        static_branch_unlikely(&off) != state || static_key_false(&old) != state || static_key_true(&old) != state)
      return 1 + state;
  }
  return 0;
}
)");
  run_in(folder_.path(), "gcc -O2 -fno-pie -no-pie -DCONFIG_JUMP_LABEL -Ikeys -Iinclude -o run run.c && ./run");
}

}  // namespace
}  // namespace kpatch
