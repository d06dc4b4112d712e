// Signatures of modules in memory, and what a hostile file may hold in their place.
#include "sign/sign.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "support/error.h"
#include "support/files.h"
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

class SignKeys : public Sign {
 protected:
  // key.pem and cert.pem of a kind that openssl(1) makes.
  void make(const std::string& key) {
    const std::string commands = "cd '" + keys_.path().string() + "' && { " + key +
                                 "; } >openssl.log 2>&1 && openssl req -new -x509 -sha256 -key key.pem -subj /CN=other "
                                 "-out cert.pem >>openssl.log 2>&1";
    ASSERT_EQ(std::system(commands.c_str()), 0) << commands;
  }
  std::string refusal() const {
    try {
      Signer::open((keys_.path() / "key.pem").string(), keys_.path() / "cert.pem");
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  }
  TemporaryFolder keys_;
};

TEST_F(SignKeys, OnlyThoseThatKernelsKnowSign) {
  make("openssl dsaparam -out dsa.pem 1024 && openssl gendsa -out key.pem dsa.pem");
  EXPECT_NE(refusal().find("it is of DSA, and kernels know RSA and ECDSA"), std::string::npos) << refusal();
  make("openssl genpkey -algorithm ed25519 -out key.pem");
  EXPECT_NE(refusal().find("it is of ED25519, and kernels know RSA and ECDSA"), std::string::npos) << refusal();
  make("openssl ecparam -name secp256k1 -genkey -noout -out key.pem");
  EXPECT_NE(refusal().find("it is of the curve secp256k1"), std::string::npos) << refusal();
  make("openssl genpkey -algorithm RSA-PSS -out key.pem");
  EXPECT_NE(refusal().find("it is of RSA-PSS, and kernels know RSA and ECDSA"), std::string::npos) << refusal();
  for (const char* curve : {"prime256v1", "secp384r1", "secp521r1"}) {
    make(std::string("openssl ecparam -genkey -noout -out key.pem -name ") + curve);
    EXPECT_EQ(refusal(), "") << curve;
  }
  make("openssl genrsa -out key.pem 2048");
  EXPECT_EQ(refusal(), "");
}

// Signed by another program.
TEST_F(SignKeys, OnlyThoseThatKernelsKnowVerify) {
  const auto signed_by_openssl = [&] {
    std::ofstream(keys_.path() / "a.ko", std::ios::binary) << content_;
    const std::string command = "cd '" + keys_.path().string() +
                                "' && openssl cms -sign -binary -noattr -nocerts -md sha256 -in a.ko -outform DER "
                                "-signer cert.pem -inkey key.pem -out a.cms >openssl.log 2>&1";
    EXPECT_EQ(std::system(command.c_str()), 0);
    const std::string cms = read_file(keys_.path() / "a.cms");
    std::string description("\0\0\2\0\0\0\0\0\0\0", 10);
    for (const unsigned shift : {8U, 0U}) description.push_back(static_cast<char>(cms.size() >> shift & 0xff));
    return content_ + cms + description + "~Module signature appended~\n";
  };
  const auto judged = [&](const std::string& file) {
    return verify_module(file, read_certificates(keys_.path() / "cert.pem"));
  };
  make("openssl dsaparam -out dsa.pem 1024 && openssl gendsa -out key.pem dsa.pem");
  EXPECT_EQ(judged(signed_by_openssl()).state, SignatureState::bad);
  make("openssl ecparam -name secp256k1 -genkey -noout -out key.pem");
  EXPECT_EQ(judged(signed_by_openssl()).state, SignatureState::bad);
  EXPECT_NE(judged(signed_by_openssl()).message.find("a key that no kernel verifies"), std::string::npos);
  make("openssl ecparam -name prime256v1 -genkey -noout -out key.pem");
  EXPECT_EQ(judged(signed_by_openssl()).state, SignatureState::good);
  make("openssl genrsa -out key.pem 2048");
  std::string rsa = signed_by_openssl();
  EXPECT_EQ(judged(rsa).state, SignatureState::good);
  // sha256WithRSAEncryption in place of rsaEncryption: OpenSSL takes both.
  const std::string oid("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", 9);
  const size_t at = rsa.rfind(oid);
  ASSERT_NE(at, std::string::npos);
  rsa[at + 8] = '\x0b';
  EXPECT_EQ(judged(rsa).state, SignatureState::bad);
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
