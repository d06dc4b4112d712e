// Module.symvers: both forms of a line, and every way in which a file can be damaged.
#include "lookup/symvers.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "support/error.h"

namespace kpatch {
namespace {

class SymversTest : public testing::Test {
 protected:
  SymversTest() {
    std::string name = (std::filesystem::temp_directory_path() / "symvers-XXXXXX").string();
    directory_ = mkdtemp(name.data());
  }
  ~SymversTest() override { std::filesystem::remove_all(directory_); }

  Symvers read(const std::string& text) {
    std::ofstream(path(), std::ios::binary) << text;
    return Symvers::read(path());
  }
  std::string message(const std::string& text) {
    try {
      read(text);
    } catch (const Error& problem) {
      return problem.what();
    }
    return "no error";
  }
  std::string path() const { return (directory_ / "Module.symvers").string(); }

  std::filesystem::path directory_;
};

TEST_F(SymversTest, ReadsBothForms) {
  Symvers symvers = read(
      "0x2a7e01c3\txt_register_match\tnet/netfilter/x_tables\tEXPORT_SYMBOL\n"
      "0x8f9c2a11\tdma_buf_get\tvmlinux\tEXPORT_SYMBOL_GPL\tDMA_BUF\n"
      "0x00000000\tno_crc\tvmlinux\tEXPORT_SYMBOL_GPL\t\n");
  EXPECT_EQ(symvers.size(), 3u);
  const Export* match = symvers.find("xt_register_match");
  ASSERT_NE(match, nullptr);
  EXPECT_EQ(match->name, "xt_register_match");
  EXPECT_EQ(match->owner, "net/netfilter/x_tables");
  EXPECT_EQ(match->crc, 0x2a7e01c3u);
  EXPECT_FALSE(match->gpl);
  EXPECT_EQ(match->name_space, "");
  const Export* get = symvers.find("dma_buf_get");
  ASSERT_NE(get, nullptr);
  EXPECT_TRUE(get->gpl);
  EXPECT_EQ(get->name_space, "DMA_BUF");
  EXPECT_EQ(symvers.find("no_crc")->crc, 0u);
  EXPECT_EQ(symvers.find("xt_register"), nullptr);
}

TEST_F(SymversTest, AnEmptyFileHasNoExports) { EXPECT_EQ(read("").size(), 0u); }

TEST_F(SymversTest, NamesTheLineThatIsCutOff) {
  const std::string whole = "0x00000001\tf\tvmlinux\tEXPORT_SYMBOL\t\n0x00000002\tg\tvmlinux\tEXPORT_SYMBOL\t\n";
  const size_t second = whole.find('\n') + 1;
  size_t cases = 0;
  for (size_t length = 1; length < whole.size(); ++length) {
    if (length == second) continue;  // the cut falls between two lines: nothing can tell
    ++cases;
    EXPECT_EQ(message(whole.substr(0, length)),
              "'" + path() + "', line " + (length < second ? "1" : "2") + ": the last line is cut off");
  }
  EXPECT_EQ(cases, whole.size() - 2);
}

TEST_F(SymversTest, RefusesWhatIsNoSymversLine) {
  const std::string good = "0x00000001\tf\tvmlinux\tEXPORT_SYMBOL\n";
  for (const char* bad :
       {"f\n", "0x1\tg\tvmlinux\n", "0x1\tg\tvmlinux\tEXPORT_SYMBOL\tNS\tmore\n", "zz\tg\tvmlinux\tEXPORT_SYMBOL\n",
        "0x123456789\tg\tvmlinux\tEXPORT_SYMBOL\n", "0x1\t\tvmlinux\tEXPORT_SYMBOL\n", "0x1\tg\t\tEXPORT_SYMBOL\n",
        "0x1 g vmlinux EXPORT_SYMBOL\n", "0x1\tg\tvmlinux\tEXP\n"}) {
    std::string text = message(good + bad);
    EXPECT_NE(text.find(path() + "', line 2: not a line of Module.symvers"), text.npos) << text;
  }
}

TEST_F(SymversTest, NamesAMissingFile) {
  try {
    Symvers::read(directory_ / "none");
    FAIL();
  } catch (const Error& problem) {
    EXPECT_EQ(problem.what(), "cannot open '" + (directory_ / "none").string() + "': No such file or directory");
  }
}

}  // namespace
}  // namespace kpatch
