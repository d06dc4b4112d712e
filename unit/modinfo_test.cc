// What modules need.
#include <gtest/gtest.h>

#include <map>

#include "lookup/lookup.h"
#include "unit/object_files.h"

namespace kpatch {
namespace {

class Modinfo : public ObjectFiles {
 protected:
  Binary module(const std::string& name, const std::string& info) {
    compile(R"(__attribute__((section(".modinfo"), used)) static const char info[] = ")" + info + R"(";)", name + ".o");
    return Binary::open(path(name + ".o"));
  }
};

TEST_F(Modinfo, Values) {
  const Binary m = module("m", "depends=a,b-c\\0alias=x\\0alias=y");
  for (const BinarySection& section : m.sections()) {
    if (section.name != ".modinfo") continue;
    EXPECT_EQ(modinfo_values(section.bytes, "alias"), (std::vector<std::string_view>{"x", "y"}));
  }
  EXPECT_EQ(direct_dependencies(m), (std::set<std::string>{"a", "b_c"}));
}

TEST_F(Modinfo, NoneAndUnknown) {
  EXPECT_EQ(direct_dependencies(module("m", "depends=")), (std::set<std::string>{}));
  compile("int x;", "plain.o");
  EXPECT_EQ(direct_dependencies(Binary::open(path("plain.o"))), std::nullopt);
}

TEST_F(Modinfo, ThroughOthersAndInACircle) {
  std::map<std::string, Binary, std::less<>> modules;
  modules.emplace("b", module("b", "depends=c"));
  modules.emplace("c", module("c", "depends=b,gone"));
  const auto open = [&](std::string_view name) -> const Binary* {
    const auto found = modules.find(name);
    return found == modules.end() ? nullptr : &found->second;
  };
  EXPECT_EQ(dependencies(module("a", "depends=b"), open), (std::set<std::string>{"b", "c", "gone"}));
}

}  // namespace
}  // namespace kpatch
