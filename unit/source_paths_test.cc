// Objects that a compiler made of a path of this machine.
#include "kpatch-build/source-paths.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "support/executor.h"
#include "support/files.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

class SourcePaths : public testing::Test {
 protected:
  fs::path compile(const std::string& name, const std::string& source) {
    const fs::path file = folder_.write(name, source), object = file.string() + ".o";
    Executor executor(folder_.path() / "log");
    EXPECT_TRUE(
        executor.run({{"gcc", "-O2", "-fsanitize=bounds", "-c", "-o", object.string(), file.string()}, {}, {}}).ok())
        << read_file(folder_.path() / "log");
    return object;
  }
  bool holds(const fs::path& object, const std::string& text) {
    return read_file(object).find(text) != std::string::npos;
  }
  TemporaryFolder folder_;
  std::array<fs::path, 2> trees_ = {folder_.path() / "tree", folder_.path() / "view"};
  const std::string source_ = "int a[4]; int f(int i) { return a[i]; }\n";
};

TEST_F(SourcePaths, AreThoseOfTheKernelsOwn) {
  const fs::path one = compile("tree/fs/one.c", source_), two = compile("view/fs/one.c", source_);
  ASSERT_TRUE(holds(one, (folder_.path() / "tree/fs/one.c").string() + '\0'));
  for (const fs::path& object : {one, two}) {
    const auto size = fs::file_size(object);
    shorten_source_paths(object, trees_);
    EXPECT_EQ(fs::file_size(object), size);
    EXPECT_FALSE(holds(object, "tree/fs/one.c") && holds(object, (folder_.path() / "tree/fs/one.c").string() + '\0'));
    EXPECT_FALSE(holds(object, (folder_.path() / "view/fs/one.c").string() + '\0'));
    EXPECT_TRUE(holds(object, std::string("\0fs/one.c\0", 10)) || holds(object, std::string("fs/one.c\0", 9)));
  }
}

TEST_F(SourcePaths, OtherStringsStay) {
  const std::string tree = trees_[0].string();
  const fs::path object =
      compile("else/two.c", "const char *f(int i) { return i ? \"" + tree + "less\" : \"in " + tree + "/x\"; }\n");
  const std::string before = read_file(object);
  shorten_source_paths(object, trees_);
  EXPECT_EQ(read_file(object), before);
  const fs::path text = folder_.write("text.i", tree + "/x\n");
  shorten_source_paths(text, trees_);
  EXPECT_EQ(read_file(text), tree + "/x\n");
}

}  // namespace
}  // namespace kpatch
