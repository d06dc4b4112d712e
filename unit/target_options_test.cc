// The command line of kpatch.
#include "kpatch/options.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "support/error.h"

namespace kpatch {
namespace {

using namespace std::chrono_literals;
using Names = std::vector<std::string>;

TargetOptions parsed(std::vector<const char*> words) {
  words.insert(words.begin(), "kpatch");
  return parse_target_options(static_cast<int>(words.size()), const_cast<char**>(words.data()));
}

TEST(TargetOptions, PublishersAreUris) {
  EXPECT_EQ(parsed({"vex", "--publisher", "https://example.org/"}).publisher, "https://example.org/");
  EXPECT_THROW(parsed({"vex", "--publisher", "not a uri"}), Error);
}

TEST(TargetOptions, OfTheCommandLine) {
  const TargetOptions load = parsed({"load", "--wait", "5", "a.ko", "--json", "b"});
  EXPECT_EQ(load.command, "load");
  EXPECT_EQ(load.names, (Names{"a.ko", "b"}));
  EXPECT_EQ(load.wait, 5s);
  EXPECT_TRUE(load.json);
  EXPECT_EQ(parsed({"load", "--watch", "15m", "--health", "true", "a"}).watch, 900s);
  EXPECT_EQ(parsed({"uninstall", "-k", "6.1", "a"}).release, "6.1");
  EXPECT_TRUE(parsed({"load", "--boot"}).all);
  EXPECT_EQ(parsed({"vex"}).names, Names{});
  EXPECT_EQ(parsed({"load", "a"}).log, "-");
  EXPECT_EQ(parsed({"load", "--log", "none", "a"}).log, "");
  EXPECT_EQ(parsed({"verify", "--deep", "x"}).names, (Names{"--deep", "x"}));
  for (const std::vector<const char*>& words :
       std::vector<std::vector<const char*>>{{},
                                             {"load"},
                                             {"load", "--all", "a"},
                                             {"load", "--wait", "0", "a"},
                                             {"load", "--wait", "x", "a"},
                                             {"load", "--what"},
                                             {"list", "a"},
                                             {"info"},
                                             {"info", "a", "b"},
                                             {"status", "--all"},
                                             {"load", "--metrics", "x", "a"},
                                             {"vex", "--format", "x"},
                                             {"vex", "--provenance", "x", "a.ko"},
                                             {"status", "--provenance", "x"},
                                             {"support-bundle", "a"},
                                             {"status", "--output", "x"},
                                             {"support-bundle", "-o"},
                                             {"load", "--watch", "15x", "a"},
                                             {"load", "--watch", "25h", "a"},
                                             {"unload", "--watch", "1m", "a"},
                                             {"load", "--boot", "--health", "x"},
                                             {"unload", "--boot"},
                                             {"uninstall", "--force", "a"},
                                             {"status", "--wait", "5"},
                                             {"list", "-k", "6.1"},
                                             {"list", "--author", "a"},
                                             {"--json", "list"},
                                             {"load", "--wait"}})
    EXPECT_THROW(parsed(words), Error);
}

}  // namespace
}  // namespace kpatch
