// What a livepatch has no more of the one before it: each kind of thing, missing and there, told and not told.
#include "kpatch-build/previous.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/error.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

constexpr const char* first =
    "--- a/fs/a.c\n+++ b/fs/a.c\n"
    "@@ -10,6 +10,8 @@ int show(void)\n"
    " {\n \tint lru;\n \n+\tif (!capable(CAP_SYS_ADMIN))\n+\t\treturn -EPERM;\n \tsi_meminfo(&i);\n "
    "\tsi_swapinfo(&i);\n"
    " \tdone();\n"
    "@@ -40,4 +42,4 @@ int other(void)\n"
    " {\n \tint x;\n-\tlength = given;\n+\tlength = min(given, size);\n }\n";
constexpr const char* second =
    "--- a/net/b.c\n+++ b/net/b.c\n"
    "@@ -1,3 +1,4 @@\n"
    " {\n+\tstate = klp_shadow_get_or_alloc(get(x, y), MY_ID, sizeof(*state), GFP_KERNEL, NULL, NULL);\n \tint x;\n "
    "}\n";

bool always(const std::string&) { return true; }

LivepatchContent content(std::initializer_list<const char*> patches) {
  std::vector<PatchText> texts;
  for (const char* patch : patches) texts.push_back({"a.patch", patch});
  return content_of_patches(texts, always);
}

// "RULE SUBJECT", sorted, of what isn't a notice.
std::vector<std::string> missing(const LivepatchContent& before, const LivepatchContent& now,
                                 std::vector<std::string> acknowledged = {}, Severity severity = Severity::refusal) {
  std::vector<std::string> list;
  for (const Finding& f : compare_with_previous(before, "old.ko", now, acknowledged)) {
    if (f.severity != severity) continue;
    const std::string place = f.location.line == 0 ? "" : ":" + std::to_string(f.location.line);
    list.push_back(f.rule + " " + (f.location.source.empty() ? f.location.function : f.location.source + place));
  }
  std::ranges::sort(list);
  return list;
}
std::string notices(const LivepatchContent& before, const LivepatchContent& now) {
  std::string text;
  for (const Finding& f : compare_with_previous(before, "old.ko", now, {}))
    if (f.severity == Severity::notice) text += f.message + "\n";
  return text;
}
using Names = std::vector<std::string>;

TEST(Previous, PlacesOfAPatch) {
  const LivepatchContent of = content({first, second});
  ASSERT_EQ(of.places.size(), 3U);
  EXPECT_EQ(of.places[0].file, "fs/a.c");
  EXPECT_EQ(of.places[0].line, 13U);
  EXPECT_EQ(of.places[0].lines.size(), 2U);
  EXPECT_EQ(of.places[1].lines.size(), 2U);
  EXPECT_EQ(of.places[2].file, "net/b.c");
  EXPECT_EQ(of.shadow_ids, std::set<std::string>{"MY_ID"});
}

TEST(Previous, NothingIsMissingOfTheSamePatches) {
  EXPECT_EQ(missing(content({first, second}), content({second, first})), Names());
  EXPECT_EQ(missing(content({first}), content({first, second})), Names());
  EXPECT_NE(notices(content({first}), content({first, second})).find("new since old.ko: places net/b.c:2"),
            std::string::npos);
}

TEST(Previous, AFileAndAHunkThatAreGone) {
  EXPECT_EQ(missing(content({first, second}), content({second})), Names{"dropped-hunk fs/a.c"});
  const std::string one_hunk = std::string(first).substr(0, std::string(first).find("@@ -40"));
  EXPECT_EQ(missing(content({first}), content({one_hunk.c_str()})), Names{"dropped-hunk fs/a.c:44"});
  EXPECT_EQ(missing(content({first}), content({one_hunk.c_str()}), {"dropped-hunk"}), Names());
  EXPECT_EQ(missing(content({first}), content({one_hunk.c_str()}), {"dropped-hunk"}, Severity::warning),
            Names{"dropped-hunk fs/a.c:44"});
  EXPECT_EQ(missing(content({first}), content({one_hunk.c_str()}), {"dropped-fix"}), Names{"dropped-hunk fs/a.c:44"});
}

TEST(Previous, APlaceThatIsWorkedOverIsNotGone) {
  std::string other = first;
  other.replace(other.find("return -EPERM"), 13, "return -EACCES");
  EXPECT_EQ(missing(content({first}), content({other.c_str()})), Names());
  EXPECT_NE(
      notices(content({first}), content({other.c_str()})).find("changed in another way than by old.ko: fs/a.c:13"),
      std::string::npos);
}

// One check that was added to two functions is two.
TEST(Previous, TheSameLinesElsewhereAreOthers) {
  const auto hunk = [](int line, const std::string& heading, const std::string& context) {
    return fmt::format("@@ -{0},1 +{0},3 @@{1}\n{2}\n+\tif (!capable(CAP_SYS_ADMIN))\n+\t\treturn -EPERM;\n", line,
                       heading.empty() ? "" : " " + heading, context);
  };
  const std::string head = "--- a/fs/a.c\n+++ b/fs/a.c\n";
  const std::string one = hunk(10, "static int one(struct file *f,", " \tint x;"),
                    two = hunk(20, "int two(void)", " \tint x;");
  const std::string in_one = head + one, in_two = head + two, in_both = head + one + two;
  EXPECT_EQ(missing(content({in_both.c_str()}), content({in_one.c_str()})), Names{"dropped-hunk fs/a.c:21"});
  EXPECT_EQ(missing(content({in_one.c_str()}), content({in_two.c_str()})), Names{"dropped-hunk fs/a.c:11"});
  EXPECT_EQ(missing(content({in_one.c_str()}), content({in_both.c_str()})), Names());
  // A hunk may begin in the function before, and not every diff has headings.
  const std::string wide = head + hunk(8, "int before(void)", " static int one(struct file *f, int y)"),
                    bare = head + hunk(9, "", " \tint x;");
  EXPECT_EQ(missing(content({in_one.c_str()}), content({wide.c_str()})), Names());
  EXPECT_EQ(missing(content({in_one.c_str()}), content({bare.c_str()})), Names());
  EXPECT_EQ(missing(content({bare.c_str()}), content({in_two.c_str()})), Names());
  for (const char* between : {"EXPORT_SYMBOL(two);", "out:"}) {
    const std::string behind = head + hunk(10, between, " \tint x;"),
                      in_context = head + hunk(10, "int two(void)", std::string(" ") + between);
    EXPECT_EQ(missing(content({in_one.c_str()}), content({behind.c_str()})), Names()) << between;
    EXPECT_EQ(missing(content({in_one.c_str()}), content({in_context.c_str()})), Names()) << between;
  }
  const PatchPlace place = content({in_one.c_str()}).places.at(0);
  EXPECT_EQ(place.function.size(), 9U);
  EXPECT_EQ(PatchPlace::of(place.text()).value_or(PatchPlace{}).function, place.function);
}

TEST(Previous, AnIdOfShadowVariablesThatIsGone) {
  std::string other = second;
  other.replace(other.find("MY_ID"), 5, "AN_ID");
  EXPECT_EQ(missing(content({second}), content({other.c_str()})),
            (Names{"dropped-hunk net/b.c:2", "dropped-shadow MY_ID"}));
}

LivepatchContent module_content() {
  LivepatchContent of = content({first});
  of.knows_functions = true;
  of.release = "6.12.1";
  of.functions = {{"vmlinux", "show", 0, "1"}, {"vmlinux", "twin", 2, "2"}, {"xt_a", "match", 0, "3"}};
  of.callbacks = {{"xt_a", "pre_patch"}};
  of.has_shadow_variables = true;
  of.fixes = {"CVE-2026-1"};
  return of;
}

TEST(Previous, FunctionsCallbacksAndFixes) {
  const LivepatchContent before = module_content();
  LivepatchContent now = before;
  EXPECT_EQ(missing(before, now), Names());
  now.functions.erase(now.functions.begin());
  now.callbacks.clear();
  now.has_shadow_variables = false;
  now.fixes = {"CVE-2026-2"};
  EXPECT_EQ(missing(before, now), (Names{"dropped-callback pre_patch", "dropped-fix CVE-2026-1",
                                         "dropped-function show", "dropped-shadow "}));
  EXPECT_EQ(missing(before, now, {"dropped-callback", "dropped-fix", "dropped-function", "dropped-shadow"}), Names());
  now.functions[0].sympos = 1;
  EXPECT_EQ(missing(before, now, {"dropped-callback", "dropped-fix", "dropped-shadow"}),
            (Names{"dropped-function show", "dropped-function twin"}));
}

TEST(Previous, StatesThatTheKernelAsksFor) {
  LivepatchContent before = module_content();
  before.has_states = true;
  EXPECT_EQ(missing(before, module_content()), Names{"dropped-state "});
  EXPECT_EQ(missing(before, module_content(), {"dropped-state"}), Names());
  EXPECT_EQ(missing(before, before), Names());
}

TEST(Previous, WhatIsNewAndWhatIsAnother) {
  const LivepatchContent before = module_content();
  LivepatchContent now = before;
  now.functions[0].code = "9";
  now.functions.push_back({"vmlinux", "more", 0, "4"});
  now.fixes.insert("CVE-2026-3");
  now.callbacks.emplace("vmlinux", "post_patch");
  const std::string text = notices(before, now);
  for (const char* sentence :
       {"new since old.ko: patched functions vmlinux:more\n", "of other code than in old.ko: vmlinux:show\n",
        "as in old.ko: 2 functions\n", "new since old.ko: fixes CVE-2026-3\n",
        "new since old.ko: callbacks vmlinux:post_patch\n"})
    EXPECT_NE(text.find(sentence), std::string::npos) << sentence << text;
}

TEST(Previous, WhatTheEarlierOneDoesNotTellIsSaid) {
  LivepatchContent before = module_content();
  before.knows_patches = false;
  before.places.clear();
  EXPECT_NE(notices(before, module_content()).find("old.ko doesn't tell its hunks and ids of shadow variables: they"),
            std::string::npos);
  before.fixes.clear();
  EXPECT_NE(notices(before, module_content()).find("old.ko doesn't tell its hunks, ids of shadow variables and fixes"),
            std::string::npos);
  EXPECT_NE(notices(content({first}), module_content()).find("old.ko doesn't tell its functions"), std::string::npos);
}

TEST(Previous, Files) {
  const TemporaryFolder folder;
  const auto write = [&](const char* name, std::string_view text) {
    std::ofstream(folder.path() / name) << text;
    return folder.path() / name;
  };
  EXPECT_EQ(read_previous(write("a.patch", first), always).places.size(), 2U);
  EXPECT_EQ(read_previous(write("a.json", "{\"livepatch\":" + to_json(module_content()).dump() + "}"), always)
                .functions.size(),
            3U);
  for (const char* text : {"", "{}", "[]", "{\"livepatch\": 1}", "{\"livepatch\": {\"release\": 1}}"})
    EXPECT_THROW(read_previous(write("a.json", text), always), Error) << text;
  EXPECT_THROW(read_previous(write("a.ko", "\177ELF cut"), always), Error);
  EXPECT_THROW(read_previous(write("a.ko.xz", "no xz"), always), Error);
  EXPECT_THROW(read_previous(write("b.patch", "no patch"), always), Error);
  EXPECT_THROW(read_previous(folder.path() / "absent", always), Error);
}

}  // namespace
}  // namespace kpatch
