// Which units may read a header: never too few.
#include "kbuild/includes.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "kbuild/affected.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

class Includes : public testing::Test {
 protected:
  Includes() : root_(fs::path(testing::TempDir()) / ("includes-test-" + std::to_string(getpid()))) {
    fs::remove_all(root_);
    fs::create_directories(root_ / "kbuild");
  }
  ~Includes() override { fs::remove_all(root_); }

  void write(const std::string& name, std::string_view text) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }

  // Writes a unit; more: further arguments.
  void unit(const std::string& source, std::string_view text, const std::vector<std::string>& more = {}) {
    write("source/" + source, text);
    CompileCommand command{
        source + ".o", source, "", {"gcc", "-I" + (root_ / "source/include").string(), "-I./include"}};
    command.arguments.insert(command.arguments.end(), more.begin(), more.end());
    units_.push_back(std::move(command));
  }

  std::vector<std::string> reach(const std::vector<std::string>& touched) {
    std::vector<std::string> names;
    const IncludeGraph graph(root_ / "source", root_ / "kbuild", units_, touched);
    for (const size_t unit : graph.units_that_may_include(touched)) names.push_back(units_[unit].source);
    return names;
  }

  using Names = std::vector<std::string>;
  fs::path root_;
  std::vector<CompileCommand> units_;
};

TEST(ScanIncludes, ReadsDirectives) {
  const IncludeDirectives d = scan_includes(
      "#include <linux/mm.h>\n  #  include \"a.h\" // x\n#include_next <n.h>\n#include FILE_MACRO\n"
      "#define FILE_MACRO <linux/x.h>\n#define TRACE_SYSTEM block\n#define TRACE_INCLUDE_PATH ../../fs\n"
      "#include TRACE_INCLUDE(TRACE_INCLUDE_FILE)\nint include;");
  ASSERT_EQ(d.named.size(), 3U);
  EXPECT_EQ(d.named[1].name, "a.h");
  EXPECT_TRUE(d.named[1].quoted);
  EXPECT_EQ(d.computed, std::vector<std::string>{"FILE_MACRO"});
  ASSERT_EQ(d.include_macros.size(), 1U);
  EXPECT_EQ(d.trace_file, "block");
  EXPECT_EQ(d.trace_path, "../../fs");
  EXPECT_FALSE(d.opaque);
  EXPECT_TRUE(scan_includes("#include I(BEGIN)\n").opaque);
}

TEST_F(Includes, FollowsChains) {
  write("source/include/linux/a.h", "#include <linux/b.h>\n");
  write("source/include/linux/b.h", "");
  unit("x.c", "#include <linux/a.h>\n");
  unit("y.c", "int y;\n");
  unit("z.c", "#if 0\n#include <linux/b.h>\n#endif\n");
  EXPECT_EQ(reach({"include/linux/b.h"}), (Names{"x.c", "z.c"}));
}

TEST_F(Includes, SearchesTheIncludersFolderFirst) {
  write("source/fs/internal.h", "");
  write("source/mm/internal.h", "");
  unit("fs/a.c", "#include \"internal.h\"\n");
  unit("mm/a.c", "#include \"internal.h\"\n");
  EXPECT_EQ(reach({"mm/internal.h"}), Names{"mm/a.c"});
}

TEST_F(Includes, FollowsParentFoldersGeneratedFilesAndForcedIncludes) {
  write("source/drivers/common.h", "");
  write("kbuild/include/generated.h", "#include <linux/deep.h>\n");
  write("source/include/linux/deep.h", "");
  write("source/include/linux/forced.h", "");
  unit("drivers/a/a.c", "#include \"../common.h\"\n");
  unit("b.c", "#include <generated.h>\n");
  unit("c.c", "", {"-include", (root_ / "source/include/linux/forced.h").string()});
  EXPECT_EQ(reach({"drivers/common.h"}), Names{"drivers/a/a.c"});
  EXPECT_EQ(reach({"include/linux/deep.h"}), Names{"b.c"});
  EXPECT_EQ(reach({"include/linux/forced.h"}), Names{"c.c"});
}

TEST_F(Includes, FollowsMacrosAndTracepoints) {
  write("source/include/linux/magic.h", "#include MAGIC_FILE\n");
  write("source/include/linux/drbd.h", "#define MAGIC_FILE <linux/drbd_genl.h>\n#include <linux/magic.h>\n");
  write("source/include/linux/drbd_genl.h", "#include <linux/inner.h>\n");
  write("source/include/linux/inner.h", "");
  unit("drbd.c", "#include <linux/drbd.h>\n");
  write("source/include/trace/define_trace.h", "#include TRACE_INCLUDE(TRACE_INCLUDE_FILE)\n");
  write("source/fs/xfs/events.h",
        "#define TRACE_SYSTEM xfs\n#define TRACE_INCLUDE_FILE impl\n#define TRACE_INCLUDE_PATH ../../fs/xfs\n"
        "#include <trace/define_trace.h>\n");
  write("source/fs/xfs/impl.h", "");
  unit("fs/xfs/x.c", "#include \"events.h\"\n");
  EXPECT_EQ(reach({"include/linux/inner.h"}), Names{"drbd.c"});
  EXPECT_EQ(reach({"fs/xfs/impl.h"}), Names{"fs/xfs/x.c"});
}

TEST_F(Includes, CountsAnIncludeThatNobodyCanTell) {
  write("source/include/linux/t.h", "");
  unit("opaque.c", "#include I(BEGIN)\n");
  unit("undefined.c", "#include SOME_FILE\n");
  unit("unset.c", "#ifdef CONFIG_SOME_FILE\n#include CONFIG_SOME_FILE\n#endif\n");
  unit("other.c", "");
  EXPECT_EQ(reach({"include/linux/t.h"}), (Names{"opaque.c", "undefined.c"}));
}

TEST_F(Includes, OneReadingAnswersForEachFile) {
  write("source/include/linux/a.h", "");
  write("source/include/linux/b.h", "");
  write("source/lib/part.c", "");
  write("source/lib/alone.c", "");
  unit("a.c", "#include <linux/a.h>\n");
  unit("b.c", "#include <linux/b.h>\n");
  unit("lib/whole.c", "#include \"part.c\"\n");
  unit("opaque.c", "#include I(BEGIN)\n");
  const std::vector<std::string> asked = {"include/linux/a.h", "include/linux/b.h", "lib/part.c", "lib/alone.c"};
  const IncludeGraph graph(root_ / "source", root_ / "kbuild", units_, asked);
  EXPECT_EQ(graph.units_that_may_include(std::span{asked}.first(1)), (std::vector<size_t>{0, 3}));
  EXPECT_EQ(graph.units_that_may_include(std::span{asked}.first(2)), (std::vector<size_t>{0, 1, 3}));
  EXPECT_TRUE(graph.is_included("lib/part.c"));
  EXPECT_FALSE(graph.is_included("lib/alone.c"));  // opaque.c is no evidence
}

TEST_F(Includes, TellsTheShortestWay) {
  write("source/include/linux/deep.h", "");
  write("source/include/linux/b.h", "#include <linux/deep.h>\n");
  write("source/include/linux/a.h", "#include <linux/b.h>\n");
  unit("direct.c", "#include <linux/a.h>\n#include <linux/deep.h>\n");
  unit("far.c", "#include <linux/a.h>\n");
  unit("command.c", "", {"-include", (root_ / "source/include/linux/b.h").string()});
  unit("opaque.c", "#include I(BEGIN)\n");
  unit("include/linux/self.c", "");
  const std::vector<std::string> asked = {"include/linux/deep.h", "include/linux/self.c"};
  const IncludeGraph graph(root_ / "source", root_ / "kbuild", units_, asked);
  const std::vector<size_t> readers = graph.units_that_may_include(asked);
  ASSERT_EQ(readers, (std::vector<size_t>{0, 1, 2, 3, 4}));
  Names reasons;
  for (const auto& chain : graph.chains(readers, asked)) reasons.push_back(include_reason(chain));
  EXPECT_EQ(reasons, (Names{"includes include/linux/deep.h",
                            "includes include/linux/deep.h through include/linux/a.h, include/linux/b.h",
                            "includes include/linux/deep.h through include/linux/b.h",
                            "includes a file whose name only the compiler knows", "the patch touches it"}));
}

TEST_F(Includes, FindsHeadersThatThePatchAdds) {
  unit("fs/a.c", "#include \"new.h\"\n");
  unit("fs/b.c", "#include <sub/new2.h>\n");
  EXPECT_EQ(reach({"fs/new.h"}), Names{"fs/a.c"});
  EXPECT_EQ(reach({"include/sub/new2.h"}), Names{"fs/b.c"});
}

TEST_F(Includes, TreatsAnIncludedSourceAsAHeader) {
  write("source/kernel/sched/rt.c", "");
  unit("kernel/sched/build_policy.c", "#include \"rt.c\"\n");
  unit("kernel/sched/core.c", "");
  EXPECT_EQ(reach({"kernel/sched/rt.c"}), Names{"kernel/sched/build_policy.c"});
}

TEST_F(Includes, FindsNeighboursThatIncludeASource) {
  unit("fs/binfmt_elf.c", "int x;\n");
  unit("fs/compat_binfmt_elf.c", "#include \"binfmt_elf.c\"\n");
  unit("fs/other.c", "// see binfmt_elf.c\n");
  unit("lib/xz/xz_dec.c", "");
  unit("lib/decompress_unxz.c", "#include \"xz/xz_dec.c\"\n");
  unit("lib/xz/sub/s.c", "#include \"../xz_dec.c\"\n");
  EXPECT_EQ(neighbours_that_include(root_ / "source", "fs/binfmt_elf.c"), Names{"fs/compat_binfmt_elf.c"});
  EXPECT_EQ(neighbours_that_include(root_ / "source", "lib/xz/xz_dec.c"),
            (Names{"lib/decompress_unxz.c", "lib/xz/sub/s.c"}));
  EXPECT_TRUE(neighbours_that_include(root_ / "source", "fs/other.c").empty());
}

}  // namespace
}  // namespace kpatch
