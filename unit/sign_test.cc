// Signatures of modules in memory, and what a hostile file may hold in their place.
#include "sign/sign.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/error.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

class Sign : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    generate_keys({.folder = folder_->path(), .kind = KeyKind::p384});
  }
  static void TearDownTestSuite() { delete folder_; }

  Signer signer() const {
    const KeyFiles files = key_files(folder_->path());
    return Signer::open(files.key.string(), files.der);
  }
  Verdict verdict(const std::string& file) const {
    const std::vector<Certificate> trusted = read_certificates(key_files(folder_->path()).pem);
    return verify_module(file, trusted);
  }

  const std::string content_ = std::string("module\0with\xff bytes", 18);

 private:
  static TemporaryFolder* folder_;
};
TemporaryFolder* Sign::folder_ = nullptr;

TEST_F(Sign, WhatIsSignedIsGoodAndComesBack) {
  const std::string made = sign_module(content_, "a.ko", signer());
  EXPECT_EQ(verdict(made).state, SignatureState::good);
  EXPECT_EQ(split_signature(made, "a.ko").content, content_);
  EXPECT_EQ(without_signatures(sign_module(made, "a.ko", signer()), "a.ko"), content_);
}

// But for the versions of the message and of its signer, which the kernel alone looks at.
TEST_F(Sign, NoChangedByteIsGoodAnywhere) {
  const std::string made = sign_module(content_, "a.ko", signer());
  size_t versions = 0;
  for (size_t i = 0; i < made.size(); ++i) {
    for (const int bit : {1, 0x80}) {
      std::string changed = made;
      changed[i] = static_cast<char>(changed[i] ^ bit);
      if (verdict(changed).state != SignatureState::good) continue;
      EXPECT_EQ(made.substr(i - 2, 3), std::string("\2\1\1")) << i;
      ++versions;
    }
  }
  EXPECT_EQ(versions, 4U);
}

TEST_F(Sign, NoCutFileIsGood) {
  const std::string made = sign_module(content_, "a.ko", signer());
  for (size_t size = 0; size < made.size(); ++size) {
    EXPECT_NE(verdict(made.substr(0, size)).state, SignatureState::good) << size;
    EXPECT_NE(verdict(made.substr(made.size() - size)).state, SignatureState::good) << size;
  }
}

TEST_F(Sign, NobodyIsTrustedWithoutCertificates) {
  EXPECT_EQ(verify_module(sign_module(content_, "a.ko", signer()), {}).state, SignatureState::unknown_key);
  EXPECT_EQ(verify_module(content_, {}).state, SignatureState::none);
}

TEST_F(Sign, ADamagedDescriptionIsAnErrorForWhoSigns) {
  const std::string magic = "~Module signature appended~\n";
  const std::string description("\0\0\2\0\0\0\0\0", 8);
  for (const std::string& front :
       {std::string(), std::string(11, 'x'), description + std::string(4, '\xff'),
        "content" + description + std::string(4, '\0'), "content" + description + std::string("\0\0\0\7", 4)})
    EXPECT_THROW(without_signatures(front + magic, "a.ko"), Error) << front.size();
  EXPECT_EQ(split_signature("content" + description + std::string("\0\0\0\6", 4) + magic, "a.ko").content, "c");
}

TEST(Guids, AreReadAsFirmwareWritesThem) {
  EXPECT_EQ(guid_of("a5c059a1-94e4-4aa7-87b5-ab155c2bf072"),
            (Guid{0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72}));
  EXPECT_TRUE(guid_of("A5C059A1-94E4-4AA7-87B5-AB155C2BF072"));
  for (const char* bad :
       {"", "a5c059a1", "a5c059a1-94e4-4aa7-87b5-ab155c2bf07", "a5c059a1-94e4-4aa7-87b5-ab155c2bf0722",
        "g5c059a1-94e4-4aa7-87b5-ab155c2bf072", "a5c059a1+94e4-4aa7-87b5-ab155c2bf072",
        "a5c059a1-94e4-4aa7-87b5-ab155c2bf07-", "+5c059a1-94e4-4aa7-87b5-ab155c2bf072"})
    EXPECT_FALSE(guid_of(bad)) << bad;
}

}  // namespace
}  // namespace kpatch
