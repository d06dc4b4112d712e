// Static locals of one name: each is told from the others by what is known for sure, or by nothing.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "create-diff-object/correlate.h"
#include "unit/skip.h"
#include "unit/toolchains.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

// Each variable `n` starts with a number of its own. Facts: "111" for one that has its twin, "111?" for one that may
// be several, "111 new" for one that has none; a wrong twin is "111=222". Sorted. clang puts the function into the name
// (show.n, helper.n), so that DWARF is not needed; that of LoongArch, which clang compiles, libdw can't read.
struct Case {
  const char* name;
  const char* orig;
  const char* patched;
  const char* flags;
  std::vector<std::string> facts, facts_of_clang;
};

constexpr const char* prelude = "#define inlined static inline __attribute__((always_inline))\n";

constexpr const char* inlined_with_one_of_its_own =
    "inlined int helper(int x) { static int n = 111; return n += x; }\n"
    "int show(int x) { static int n = 222; n += 3 * x; return helper(x) + n; }\n";
// Another order in the file, other code.
constexpr const char* other_order =
    "inlined int helper(int x);\n"
    "int show(int x) { static int n = 222; n += 5 * x; return helper(x + n) + n * 7; }\n"
    "inlined int helper(int x) { static int n = 111; return n += x; }\n";

const Case cases[] = {
    {"inlined_with_one_of_its_own", inlined_with_one_of_its_own, other_order, "-g", {"111", "222"}, {"111", "222"}},
    {"without_dwarf", inlined_with_one_of_its_own, other_order, "-g0", {"111?", "222?"}, {"111", "222"}},
    {"a_new_one_beside_the_inlined",
     "inlined int helper(int x) { static int n = 111; return n += x; }\n"
     "int show(int x) { return helper(x); }\n",
     inlined_with_one_of_its_own,
     "-g",
     {"111", "222 new"},
     {"111", "222 new"}},
    {"several_of_one_function",
     "int show(int x) { if (x) { static int n = 111; return n += x; } static int n = 222; return n -= x; }\n",
     "int show(int x) { if (x > 1) { static int n = 111; return n += 3 * x; } static int n = 222; return n -= x; }\n",
     "-g",
     {"111?", "222?"},
     {"111?", "222?"}},
};

class StaticLocalsTest : public testing::TestWithParam<std::tuple<TestToolchain, Case>> {};

TEST_P(StaticLocalsTest, FindTheirTwins) {
  const auto& [toolchain, item] = GetParam();
  if (!toolchain.installed()) SKIP_PACKAGE(toolchain.compiler << " is not installed");
  const bool clang = std::string_view{toolchain.compiler}.starts_with("clang");
  const fs::path directory =
      fs::temp_directory_path() / fmt::format("statics-{}-{}-{}", getpid(), toolchain.name, item.name);
  fs::create_directories(directory);
  const std::string flags = std::string{"-O2 -ffunction-sections -fdata-sections "} + item.flags;
  toolchain.compile(directory, std::string{prelude} + item.orig, "orig.o", flags);
  toolchain.compile(directory, std::string{prelude} + item.patched, "patched.o", flags);
  const Object orig = Object::read(directory / "orig.o"), patched = Object::read(directory / "patched.o");
  const Correlation twins = correlate(orig, patched);
  auto value = [](const Object& object, const Symbol& s) {
    return object.number(object.section(s.section).contents.subspan(s.value, 4));
  };
  std::vector<std::string> facts;
  for (uint32_t i = 1; i < patched.symbols().size(); ++i) {
    const Symbol& s = patched.symbols()[i];
    if (s.type != SymbolType::object || s.section == no_section) continue;
    const uint64_t own = value(patched, s);
    const SymbolId twin = twins.orig(SymbolId{i});
    std::string fact = fmt::to_string(own);
    if (twins.ambiguous[i])
      fact += "?";
    else if (twin == no_symbol)
      fact += " new";
    else if (const uint64_t other = value(orig, orig.symbol(twin)); other != own)
      fact += fmt::format("={}", other);
    facts.push_back(fact);
  }
  fs::remove_all(directory);
  std::sort(facts.begin(), facts.end());
  EXPECT_EQ(facts, clang ? item.facts_of_clang : item.facts);
}

INSTANTIATE_TEST_SUITE_P(Cases, StaticLocalsTest,
                         testing::Combine(testing::ValuesIn(toolchains()), testing::ValuesIn(cases)),
                         [](const auto& param) {
                           return std::string{std::get<0>(param.param).name} + "_" + std::get<1>(param.param).name;
                         });

}  // namespace
}  // namespace kpatch
