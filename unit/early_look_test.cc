// Which types a change of a header is about.
#include "kpatch-build/early-look.h"

#include <gtest/gtest.h>

namespace kpatch {
namespace {

using Names = std::vector<std::string>;

TEST(EarlyLook, NamesTheTypesWhoseDefinitionChanges) {
  const std::string header =
      "struct one {\n\tint a;\n};\n\nunion two {\n\tint b;\n};\n\nstatic inline int f(void)\n{\n\treturn 1;\n}\n"
      "struct three;\nenum four { A, B };\n";
  const auto with = [&](const std::string& what, const std::string& by) {
    std::string patched = header;
    patched.replace(patched.find(what), what.size(), by);
    return types_that_change(header, patched);
  };
  EXPECT_EQ(with("\tint a;\n", "\tint a;\n\tint more;\n"), Names{"one"});
  EXPECT_EQ(with("\tint a;\n", ""), Names{"one"});
  EXPECT_EQ(with("int b;", "long b;"), Names{"two"});
  EXPECT_EQ(with("A, B", "A, C, B"), Names{"four"});
  EXPECT_EQ(with("return 1", "return 2"), Names{});
  EXPECT_EQ(with("struct three;", "struct five;"), Names{});
  EXPECT_EQ(types_that_change(header, header), Names{});
}

}  // namespace
}  // namespace kpatch
