// The command line.
#include "kpatch-build/options.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>

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

// It becomes a link in a page that others read.
TEST(Options, GuidesAreLinksToPages) {
  for (const char* good : {"https://example.org/guide.html", "HTTP://example.org", "file:///usr/share/doc/guide.html",
                           "guide.md", "../doc/my guide.md", "a/b:c", "#here"})
    EXPECT_EQ(parse({"--guide", good, "a.patch"})->guide, good);
  for (const char* bad : {"javascript:alert(1)", "JavaScript:alert(1)", " javascript:alert(1)", "java\tscript:alert(1)",
                          "java\nscript:alert(1)", "data:text/html,x", "vbscript:x"})
    EXPECT_THROW(parse({"--guide", bad, "a.patch"}), Error) << bad;
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

TEST(Options, WhatIsFixed) {
  EXPECT_EQ(parse({"--fixes", "CVE-2026-1, 0123456789ab", "--fixes=DSA-1,CVE-2026-1", "a.patch"})->fixes,
            (std::vector<std::string>{"CVE-2026-1", "0123456789ab", "DSA-1"}));
  for (const char* fixes : {"", "a,,b", "a b", "a\"b", "a\\", "ä"})
    EXPECT_THROW(parse({"--fixes", fixes, "a.patch"}), Error) << fixes;
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
  EXPECT_THROW(parse({"--report", "x.txt", "a.patch"}), Error);
  EXPECT_THROW(parse({"--verb", "a.patch"}), Error);
}

TEST(Options, SeveralReports) {
  const auto options = parse({"--report", "a.html", "--report", "a.sarif", "--report=a.json", "a.patch"});
  EXPECT_EQ(options->reports, (std::vector<std::filesystem::path>{"a.html", "a.sarif", "a.json"}));
}

TEST(Options, TakesOrExplainsWhatOtherBuildersHave) {
  const auto o = parse({"-s",
                        "src",
                        "-v",
                        "vmlinux",
                        "-r",
                        "x.dsc",
                        "-a",
                        "6.1",
                        "-t",
                        "vmlinux",
                        "-n",
                        "x",
                        "-j",
                        "4",
                        "-d",
                        "--skip-cleanup",
                        "--skip-gcc-check",
                        "--skip-compiler-check",
                        "-R",
                        "a.patch"});
  EXPECT_TRUE(o->skip_compiler_check);
  EXPECT_TRUE(parse({"--skip-gcc-check", "a.patch"})->skip_compiler_check);
  EXPECT_FALSE(parse({"a.patch"})->skip_compiler_check);
  for (const std::vector<const char*>& words : {std::vector<const char*>{"-e", "x.ko", "a.patch"},
                                                {"--oot-module", "x.ko", "a.patch"},
                                                {"--oot-module-src", "dir", "a.patch"}}) {
    try {
      parse(words);
      ADD_FAILURE() << words[0];
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("put the module's source into the tree"), std::string::npos)
          << error.what();
    }
  }
}

TEST(Options, OfCommands) {
  EXPECT_TRUE(parse({"a.patch"})->sandbox);
  EXPECT_FALSE(parse({"--no-sandbox", "a.patch"})->sandbox);
  EXPECT_TRUE(parse({"a.patch"})->launcher.empty());
  EXPECT_EQ(parse({"--launcher", "env 'A=b c'", "a.patch"})->launcher, (std::vector<std::string>{"env", "A=b c"}));
  for (const char* wrong : {"", "no-such-program", "/no/such", "env; env", "env 'x"})
    EXPECT_THROW(parse({"--launcher", wrong, "a.patch"}), Error) << wrong;
  EXPECT_EQ(options_summary(*parse({"--launcher=env", "--no-sandbox", "a.patch"})), "");
}

TEST(Options, FromSource) {
  EXPECT_TRUE(parse({"--from-source", "a.patch"})->from_source);
  EXPECT_TRUE(parse({"--both", "a.patch"})->both);
  EXPECT_EQ(options_summary(*parse({"--from-source", "a.patch"})), "--from-source");
  EXPECT_EQ(options_summary(*parse({"--both", "a.patch"})), "--both");
  for (const char* other : {"--both", "--full", "--assess", "--debug-info"})
    EXPECT_THROW(parse({"--from-source", other, "a.patch"}), Error) << other;
  EXPECT_NO_THROW(parse({"--both", "--debug-info", "a.patch"}));
}

TEST(Options, OfTheCache) {
  EXPECT_EQ(parse({"--cache", "list"})->cache, CacheAction::list);
  const auto o = parse({"--cache=prune", "--cache-max-age", "2d", "--cache-max-size=1G"});
  EXPECT_EQ(o->limits.age, std::chrono::hours(48));
  EXPECT_EQ(o->limits.size, uint64_t{1} << 30);
  setenv("KPATCH_CACHE_MAX_AGE", "1h", 1);
  EXPECT_EQ(parse({"a.patch"})->limits.age, std::chrono::hours(1));
  EXPECT_EQ(parse({"a.patch", "--cache-max-age=3h"})->limits.age, std::chrono::hours(3));
  unsetenv("KPATCH_CACHE_MAX_AGE");
  EXPECT_FALSE(parse({"a.patch"})->limits.age);
  EXPECT_THROW(parse({"--cache", "burn"}), Error);
  EXPECT_THROW(parse({"--cache", "list", "a.patch"}), Error);
  EXPECT_THROW(parse({"--cache-max-size", "big", "a.patch"}), Error);
}

TEST(Options, OfReleases) {
  const auto o = parse({"--previous", "a.ko", "--previous=b.patch", "--ack=dropped-fix", "-a", "1", "--assess", "-a2",
                        "--json", "--way-out=out", "a.patch"});
  ASSERT_TRUE(o);
  EXPECT_EQ(o->previous, (std::vector<std::filesystem::path>{"a.ko", "b.patch"}));
  EXPECT_EQ(o->releases, (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(o->archversion, "2");
  EXPECT_TRUE(o->assess && o->json);
  EXPECT_EQ(o->way_out, "out");
  EXPECT_EQ(parse({"--from-bundle", "a"})->from_bundle, "a");
  EXPECT_EQ(parse({"--support-bundle", "a", "a.patch"})->support_bundle, "a");
  const std::vector<std::vector<const char*>> wrong = {{"--previous", "a.ko", "-R", "a.patch"},
                                                       {"--json", "a.patch"},
                                                       {"--way-out=out", "a.patch"},
                                                       {"--assess", "--full", "a.patch"},
                                                       {"--assess", "--bundle=a", "a.patch"},
                                                       {"--assess", "--support-bundle=a", "a.patch"},
                                                       {"--assess", "--from-bundle=a", "a.patch"},
                                                       {"--assess"}};
  for (const auto& words : wrong) EXPECT_THROW(parse(words), Error) << words.front();
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
  EXPECT_THROW(module_name("-x", {"a.patch"}), Error);
  EXPECT_THROW(module_name("/x", {"a.patch"}), Error);
  EXPECT_EQ(module_name("", {"-x.patch"}), "livepatch--x");
  EXPECT_THROW(module_name("vmlinux", {"a.patch"}), Error);
  EXPECT_EQ(module_name("", {"-"}), "livepatch-stdin");
}

}  // namespace
}  // namespace kpatch
