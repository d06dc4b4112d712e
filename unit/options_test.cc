// The command line.
#include "kpatch-build/options.h"

#include <gtest/gtest.h>

#include "support/error.h"

namespace kpatch {
namespace {

std::optional<Options> parse(std::vector<const char*> words) {
  words.insert(words.begin(), "kpatch-build");
  return parse_options(static_cast<int>(words.size()), words.data());
}

TEST(Options, ReadsTheGuidesCommandLine) {
  const auto o = parse({"-s", "src", "-c", "config", "-j10", "-o", "out/", "fix.patch"});
  ASSERT_TRUE(o);
  EXPECT_EQ(o->source, "src");
  EXPECT_EQ(o->config, "config");
  EXPECT_EQ(o->jobs, 10U);
  EXPECT_EQ(o->output, "out/");
  EXPECT_TRUE(o->replace);
  ASSERT_EQ(o->patches.size(), 1U);
}

TEST(Options, RepeatsAndSwitches) {
  const auto o = parse({"-d", "-d", "-d", "-R", "a.patch", "--ack", "objtool", "--ack=data-layout", "-t", "vmlinux",
                        "-t", "modules", "--skip-proof", "b.patch"});
  ASSERT_TRUE(o);
  EXPECT_EQ(o->debug, 3U);
  EXPECT_FALSE(o->replace);
  EXPECT_EQ(o->acknowledged, (std::vector<std::string>{"objtool", "data-layout"}));
  EXPECT_EQ(o->targets.size(), 2U);
  EXPECT_EQ(o->patches.size(), 2U);
  EXPECT_EQ(options_summary(*o),
            "--non-replace --target=vmlinux --target=modules --ack=objtool --ack=data-layout --skip-proof");
}

TEST(Options, TheLastOneCounts) {
  const auto o = parse({"-o", "a", "-R", "x.patch", "--output=b", "-R", "-j2", "-j3"});
  ASSERT_TRUE(o);
  EXPECT_EQ(o->output, "b");
  EXPECT_EQ(o->jobs, 3U);
}

TEST(Options, SingleDebug) { EXPECT_EQ(parse({"-d", "a.patch"})->debug, 1U); }

TEST(Options, Refuses) {
  EXPECT_THROW(parse({}), Error);
  EXPECT_THROW(parse({"--no-such-option", "a.patch"}), Error);
  EXPECT_THROW(parse({"-o"}), Error);
  EXPECT_THROW(parse({"-j", "x", "a.patch"}), Error);
  EXPECT_THROW(parse({"-j0", "a.patch"}), Error);
  EXPECT_THROW(parse({"-j-1", "a.patch"}), Error);
  EXPECT_THROW(parse({"--report", "x.html", "a.patch"}), Error);
  EXPECT_THROW(parse({"--verb", "a.patch"}), Error);
}

TEST(Options, NothingElseCanBeAcknowledged) { EXPECT_THROW(parse({"a.patch", "--ack", "no-ftrace"}), Error); }

TEST(Options, NamesTheModule) {
  EXPECT_EQ(module_name("", {"dir/fix.patch"}), "livepatch-fix");
  EXPECT_EQ(module_name("", {"fix me!.diff"}), "livepatch-fix-me-");
  EXPECT_EQ(module_name("", {"0001-x.y.mbox"}), "livepatch-0001-x-y-mbox");
  EXPECT_EQ(module_name("", {"a.patch", "b.patch"}), "livepatch-patch");
  EXPECT_EQ(module_name("my_name", {"a.patch"}), "my_name");
  EXPECT_EQ(module_name(std::string(80, 'x'), {"a.patch"}).size(), 55U);
  EXPECT_THROW(module_name("!!!", {"a.patch"}), Error);
}

}  // namespace
}  // namespace kpatch
