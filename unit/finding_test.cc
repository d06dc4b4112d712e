// Findings: one form for a person, the same for programs, each said once.
#include "support/finding.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/error.h"

namespace kpatch {
namespace {

TEST(Finding, ReadsLikeACompilersMessage) {
  Finding f{"data-init",
            Severity::refusal,
            {.source = "fs/a.c", .line = 12, .function = "table", .section = ".data.table"},
            "is in use",
            "use a callback"};
  EXPECT_EQ(text_of(f), "fs/a.c:12: error: table: is in use [data-init]\n>>> use a callback");
  f.location.line = 0;
  EXPECT_EQ(text_of(f), "fs/a.c: error: table: is in use [data-init]\n>>> use a callback");
  f.severity = Severity::warning;
  f.advice.clear();
  EXPECT_EQ(text_of(f), "fs/a.c: warning: table: is in use [data-init]");
  EXPECT_EQ(text_of({"", Severity::notice, {}, "all is well", {}}), "note: all is well");
  EXPECT_EQ(text_of({"x", Severity::error, {.function = "show"}, "", {}}), "error: show [x]");
}

TEST(Finding, PlacesInCodeAreNamedUntilTheLineIsKnown) {
  Location l{.function = "show", .section = ".text.show", .offset = 0x1a};
  EXPECT_EQ(subject_of(l), ".text.show+0x1a, in function show");
  l.line = 3;
  EXPECT_EQ(subject_of(l), "show");
  EXPECT_EQ(subject_of({.section = "__versions", .offset = 0}), "__versions+0x0");
  EXPECT_EQ(subject_of({.section = ".modinfo"}), ".modinfo");
  EXPECT_EQ(subject_of({.source = "fs/a.c"}), "");
}

TEST(Finding, NamesTheFirstOfItsLists) {
  EXPECT_EQ(text_of({"x", Severity::error, {}, "moves", {}, {{"held by", {"a", "b", "c", "d", "e"}}, {"in", {"f"}}}}),
            "error: moves (held by a, b, c and 2 more; in f) [x]");
}

TEST(Finding, ComesBackFromJson) {
  const Finding all{
      "r", Severity::error, {"fs/a.c", 7, "show", ".text.show", 0}, "m", "a", {{"held by", {"b", "a"}}, {"in", {"c"}}}};
  const Finding bare{"r", Severity::notice, {}, "m", {}};
  for (const Finding& f : {all, bare}) EXPECT_EQ(finding_of(to_json(f)), f);
  EXPECT_EQ(to_json(bare).dump(), R"({"location":{},"message":"m","rule":"r","severity":"notice"})");
  EXPECT_EQ(to_json(all)["location"]["offset"], 0);
  EXPECT_THROW(finding_of(nlohmann::json::parse(R"({"rule":"r","severity":"doom","location":{},"message":""})")),
               Error);
  EXPECT_THROW(finding_of(nlohmann::json::parse(R"({"rule":"r"})")), Error);
  EXPECT_THROW(finding_of(nlohmann::json(3)), Error);
}

TEST(Finding, WhatIsSaidTwiceOfOneThingIsSaidOnce) {
  const auto at = [](int line, const char* function) {
    return Finding{"r", Severity::refusal, {.source = "a.c", .line = line, .function = function}, "m", {}};
  };
  EXPECT_EQ(sorted({at(9, "f"), at(3, "f"), at(5, "g")}), (std::vector<Finding>{at(3, "f"), at(5, "g")}));
  // The worst is the last.
  EXPECT_EQ(sorted({at(1, "a"), {"r", Severity::warning, {.function = "z"}, "m", {}}}).front().location.function, "z");
}

}  // namespace
}  // namespace kpatch
