// Whether the diff objects of a patch make one module.
#include "kpatch-build/together.h"

#include <gtest/gtest.h>

#include "support/error.h"

namespace kpatch {
namespace {

const std::set<std::string> nothing;
const std::set<std::string> the_owner = {"owner"};

const std::set<std::string>& needs(const std::string& module) { return module == "user" ? the_owner : nothing; }

PairReport report(const std::string& object, std::vector<std::string> globals, std::vector<ModuleReference> references,
                  int status = exit_ok) {
  PairReport made;
  made.pair.command.source = object + ".c";
  made.object = object;
  made.status = status;
  made.globals = std::move(globals);
  made.references = std::move(references);
  return made;
}

// "RULE FUNCTION in SOURCE", of all reports.
std::vector<std::string> said_of(std::vector<PairReport> reports) {
  check_together(reports, needs);
  std::vector<std::string> said;
  for (const PairReport& r : reports)
    for (const Finding& f : r.findings) {
      EXPECT_EQ(f.severity, Severity::refusal);
      EXPECT_FALSE(f.advice.empty());
      said.push_back(f.rule + " " + f.location.function + " in " + f.location.source);
    }
  return said;
}

using Said = std::vector<std::string>;

TEST(Together, WhatAnotherObjectDefinesIsThere) {
  EXPECT_EQ(said_of({report("vmlinux", {}, {{"f", "g", ""}}), report("vmlinux", {"g"}, {})}), Said{});
}

TEST(Together, WhatNobodyDefinesIsMissing) {
  EXPECT_EQ(said_of({report("vmlinux", {"h"}, {{"f", "g", ""}})}), Said{"missing f in vmlinux.c"});
  EXPECT_EQ(said_of({report("vmlinux", {}, {{"f", "g", ""}}), report("vmlinux", {"g"}, {}, exit_no_change)}),
            Said{"missing f in vmlinux.c"});
}

TEST(Together, WhatARefusedObjectWouldDefineIsNotMissing) {
  EXPECT_EQ(said_of({report("vmlinux", {}, {{"f", "g", ""}}), report("vmlinux", {}, {}, exit_unpatchable)}), Said{});
}

TEST(Together, TwoOfOneName) {
  EXPECT_EQ(said_of({report("a", {"g", "x"}, {}), report("b", {"g", "y"}, {})}), Said{"duplicate g in b.c"});
}

TEST(Together, TwoCallbacksOfOneKind) {
  const auto with = [](const std::string& source, const std::string& object, std::vector<std::string> callbacks,
                       int status = exit_ok) {
    PairReport made = report(object, {}, {}, status);
    made.pair.command.source = source;
    made.callbacks = std::move(callbacks);
    return made;
  };
  const PairReport a = with("a.c", "vmlinux", {"pre_patch", "post_patch"});
  EXPECT_EQ(said_of({a, with("b.c", "vmlinux", {"pre_unpatch", "post_patch"})}), Said{"callbacks  in b.c"});
  EXPECT_EQ(said_of({a, with("b.c", "vmlinux", {"pre_unpatch"})}), Said{});
  EXPECT_EQ(said_of({a, with("b.c", "xt_comment", {"post_patch"})}), Said{});
  EXPECT_EQ(said_of({a, with("b.c", "vmlinux", {"post_patch"}, exit_no_change)}), Said{});
  std::vector<PairReport> both = {a, with("b.c", "vmlinux", {"post_patch"})};
  check_together(both, needs);
  EXPECT_EQ(both[1].findings.at(0).message,
            "has a post_patch callback of vmlinux, and so has a.c: the kernel knows one of each kind");
}

TEST(Together, NewCodeOfAModuleRunsWhereThatModuleIs) {
  const PairReport owner = report("owner", {"g"}, {{"g", "state", "owner"}});
  EXPECT_EQ(said_of({report("user", {}, {{"f", "g", ""}}), owner}), Said{});
  EXPECT_EQ(said_of({report("owner", {}, {{"f", "g", ""}}), owner}), Said{});
  EXPECT_EQ(said_of({report("other", {}, {{"f", "g", ""}}), owner}), Said{"new-dependency f in other.c"});
  EXPECT_EQ(said_of({report("vmlinux", {}, {{"f", "g", ""}}), owner}), Said{"new-dependency f in vmlinux.c"});
}

TEST(Together, NewCodeThatNeedsNothingOfItsModuleRunsAnywhere) {
  EXPECT_EQ(said_of({report("vmlinux", {}, {{"f", "g", ""}}), report("owner", {"g"}, {})}), Said{});
}

}  // namespace
}  // namespace kpatch
