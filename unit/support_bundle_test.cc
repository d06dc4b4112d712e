// What is sent to strangers: which files, and no secrets.
#include "kpatch-build/support-bundle.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "support/archive.h"
#include "support/error.h"
#include "support/files.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

TEST(PlainAddress, HasNoSecrets) {
  EXPECT_EQ(plain_address("https://user:secret@example.org/debian?token=secret#x"), "https://example.org/debian");
  EXPECT_EQ(plain_address("https://example.org/a@b"), "https://example.org/a@b");
  EXPECT_EQ(plain_address("https://a@b@example.org"), "https://example.org");
  EXPECT_EQ(plain_address("not an address"), "not an address");
  EXPECT_EQ(plain_address(""), "");
  EXPECT_EQ(with_plain_addresses("curl 'https://u:p@example.org/x?t=p' file:///srv\nhttp://p@h\n"),
            "curl 'https://example.org/x' file:///srv\nhttp://h\n");
  EXPECT_EQ(with_plain_addresses("a :// b"), "a :// b");
}

class Support : public testing::Test {
 protected:
  Support() {
    folder_.write("scratch/objects/0/orig.o", "orig");
    folder_.write("scratch/objects/0/patched.o", "patched");
    folder_.write("scratch/objects/0/notes.txt", "secret");
    folder_.write("scratch/module/livepatch-fix.ko", std::string(2000, 'k'));
    folder_.write("scratch/view/x.o", "secret");
    folder_.write("keys/signing_key.o", "secret");
    fs::create_directory_symlink(folder_.path() / "keys", folder_.path() / "scratch/base");
    options_.patches = {folder_.path() / "fix.patch"};
    options_.archive = "https://user:secret@example.org/debian?token=secret";
    options_.sign_key = "pkcs11:object=x?pin-value=secret";
    options_.source = "/home/secret/linux";
    facts_.patch_texts = {"a patch"};
    facts_.release = "6.12.1-test";
    facts_.status = 1;
  }

  // The files in the archive, unpacked below "out".
  std::set<std::string> written(const SupportBundle& bundle) {
    const fs::path target = folder_.path() / "support.tar.zst", out = folder_.path() / "out";
    bundle.write(target, facts_, options_, console_);
    fs::remove_all(out);
    fs::create_directories(out);
    extract(target, out);
    std::set<std::string> files;
    walk(out, [&](const fs::directory_entry& entry) {
      if (entry.is_regular_file()) files.insert(entry.path().lexically_relative(out).string());
      return true;
    });
    for (const std::string& file : files)
      EXPECT_EQ(read_file(out / file).find("secret"), std::string::npos) << file << "\n" << read_file(out / file);
    return files;
  }

  void gather(SupportBundle& bundle) {
    Cache cache(folder_.path() / "cache", console_);
    Executor executor(folder_.path() / "log");
    executor.run({.argv = {"echo", "https://user:secret@example.org/x"}, .directory = {}, .environment = {}});
    bundle.gather({options_, console_, executor, cache, folder_.path() / "scratch", {}});
  }

  TemporaryFolder folder_;
  Console console_{0};
  Options options_;
  BuildFacts facts_;
};

TEST_F(Support, HasWhatAReportNeeds) {
  SupportBundle bundle;
  gather(bundle);
  EXPECT_EQ(written(bundle),
            (std::set<std::string>{"support.json", "report.json", "log", "host/os-release", "host/uname", "host/tools",
                                   "patches/0/fix.patch", "build/objects/0/orig.o", "build/objects/0/patched.o",
                                   "build/module/livepatch-fix.ko"}));
  const auto told = nlohmann::json::parse(read_file(folder_.path() / "out/support.json"));
  EXPECT_EQ(told["options"]["archive"], "https://example.org/debian");
  EXPECT_EQ(told["options"]["signed"], true);
  EXPECT_EQ(told["options"]["given"], nlohmann::json::parse(R"(["--sourcedir"])"));
  EXPECT_EQ(told["status"], 1);
  EXPECT_NE(read_file(folder_.path() / "out/log").find("https://example.org/x"), std::string::npos);
  const std::string once = read_file(folder_.path() / "support.tar.zst");
  written(bundle);
  EXPECT_EQ(read_file(folder_.path() / "support.tar.zst"), once);
}

TEST_F(Support, IsWrittenOfABuildThatEndedEarly) {
  facts_.patch_texts.clear();
  EXPECT_EQ(written(SupportBundle()),
            (std::set<std::string>{"support.json", "report.json", "host/os-release", "host/uname"}));
}

TEST_F(Support, LeavesOutWhatIsTooLarge) {
  SupportBundle bundle(SupportLimits{.file = 1000, .all = 1000});
  gather(bundle);
  EXPECT_FALSE(written(bundle).contains("build/module/livepatch-fix.ko"));
  const auto told = nlohmann::json::parse(read_file(folder_.path() / "out/support.json"));
  EXPECT_EQ(told["left_out"], nlohmann::json::parse(R"x(["build/module/livepatch-fix.ko (2000 bytes)"])x"));
  EXPECT_THROW(bundle.write(folder_.path() / "none/x.tar.zst", facts_, options_, console_), Error);
}

}  // namespace
}  // namespace kpatch
