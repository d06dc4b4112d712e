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

// A finding of an object, about a type of a header.
PairReport changing(const std::string& source, const std::string& header, int line, std::vector<NameList> lists) {
  PairReport made = report("vmlinux", {}, {}, exit_unpatchable);
  made.pair.command.source = source;
  made.findings = {{"other", Severity::warning, {.source = source}, "is told by each", {}},
                   {"data-layout",
                    Severity::refusal,
                    {.source = header, .line = line, .function = "struct s"},
                    "grows",
                    "keep it",
                    std::move(lists)}};
  return made;
}

// "SOURCE: MESSAGE" of what is said of layouts, and how many findings the reports have.
Said layouts_of(std::vector<PairReport> reports, size_t findings) {
  join_layout_findings(reports);
  Said said;
  for (const PairReport& r : reports) {
    findings -= r.findings.size();
    for (const Finding& f : r.findings)
      if (f.rule == "data-layout") said.push_back(r.pair.command.source + ": " + message_of(f));
  }
  EXPECT_EQ(findings, 0U);
  return said;
}

TEST(Together, ALayoutIsToldOnce) {
  EXPECT_EQ(layouts_of({changing("a.c", "h.h", 3, {{"held by", {"struct h"}}})}, 2),
            Said{"a.c: grows (held by struct h)"});
  EXPECT_EQ(layouts_of({changing("a.c", "h.h", 3, {{"held by", {"struct h", "struct g"}}}),
                        changing("b.c", "h.h", 3, {{"in variable", {"v"}}, {"held by", {"struct f", "struct h"}}}),
                        changing("c.c", "h.h", 3, {}), changing("d.c", "h.h", 3, {})},
                       5),
            Said{"a.c: grows (held by struct h, struct g, struct f; in variable v; seen in a.c, b.c, c.c and 1 more)"});
  // Without a place in a header the objects' own files stand there.
  EXPECT_EQ(layouts_of({changing("a.c", "a.c", 0, {}), changing("b.c", "b.c", 0, {})}, 3),
            Said{"a.c: grows (seen in a.c, b.c)"});
}

TEST(Together, TwoTypesOfOneNameAreToldBoth) {
  EXPECT_EQ(layouts_of({changing("a.c", "a.c", 3, {}), changing("b.c", "b.c", 3, {})}, 4),
            (Said{"a.c: grows", "b.c: grows"}));
}

}  // namespace
}  // namespace kpatch
