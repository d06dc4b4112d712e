// Logs that are replayed, and quotes that are taken apart. A real TPM's quote is tested in integration/attest.bats.
#include "attest/attest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "support/error.h"
#include "support/sha256.h"

namespace kpatch {
namespace {

const std::string one(64, '1'), two(64, '2');
const std::string one_bytes(32, '\x11');

std::string event(const std::string& sha256, const std::string& boot, const std::string& what = "measured") {
  return R"({"event": ")" + what + R"(", "boot_id": ")" + boot + R"(", "sha256": ")" + sha256 +
         "\", \"name\": \"a\"}\n";
}

std::string bytes_of(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

TEST(Hex, ThereAndBack) {
  for (const std::string& bytes : {std::string{}, std::string("\0\x7f\xff", 3)})
    EXPECT_EQ(bytes_of_hex(hex_of(bytes)), bytes);
  EXPECT_EQ(bytes_of_hex("0aFf"), "\x0a\xff");
  for (const char* bad : {"0", "0g", "0a ", " 0a", "0a 0b", "0x0a", "0a\n"}) EXPECT_EQ(bytes_of_hex(bad), "") << bad;
}

TEST(AttestEvents, OfOneBootAndOnlyWhatWasMeasured) {
  const std::string log = event(one, "b1") + event(two, "b2") + event(two, "b2", "loaded");
  EXPECT_EQ(read_events(log, "").size(), 1U);
  EXPECT_EQ(read_events(log, "")[0].sha256, two);
  EXPECT_EQ(read_events(log, "b1")[0].sha256, one);
  EXPECT_TRUE(read_events(log, "b3").empty());
  EXPECT_TRUE(read_events("", "").empty());
  EXPECT_THROW(read_events(log + "{\n", ""), Error);
  EXPECT_THROW(read_events(event("12", "b"), ""), Error);
}

TEST(AttestEvents, TheRegisterIsAChain) {
  const PcrValue first = bytes_of(sha256_of(std::string(32, '\0') + one_bytes));
  EXPECT_EQ(replayed(read_events(event(one, "b"), "")), first);
  EXPECT_EQ(replayed({}), std::string(32, '\0'));
  const std::string both = event(one, "b") + event(two, "b"), other = event(two, "b") + event(one, "b");
  EXPECT_NE(replayed(read_events(both, "")), replayed(read_events(other, "")));
}

std::string number(uint32_t value) {
  std::string bytes;
  for (unsigned i = 0; i < 4; ++i) bytes.push_back(static_cast<char>(value >> 8 * i));
  return bytes;
}
std::string sized(const std::string& text) { return number(static_cast<uint32_t>(text.size())) + text; }
std::string ima_fields(const std::string& path) {
  return sized(std::string("sha256:\0", 8) + one_bytes) + sized(path + '\0') + sized("");
}
std::string ima_entry(const std::string& fields, const std::string& digest, uint32_t pcr = 10) {
  return number(pcr) + digest + sized("ima-sig") + sized(fields);
}

TEST(AttestIma, BothLists) {
  const std::string fields = ima_fields("/a.ko"), digest = bytes_of(sha256_of(fields));
  for (const std::string& written : {std::string(20, 'x'), digest}) {
    const auto log = read_ima_log(ima_entry(fields, written), 10);
    ASSERT_EQ(log.size(), 1U);
    EXPECT_EQ(log[0].sha256, one);
    EXPECT_EQ(log[0].name, "/a.ko");
    EXPECT_EQ(log[0].extends, digest);
    EXPECT_EQ(log[0].extends, ima_template_digest(one, "/a.ko"));
    EXPECT_TRUE(read_ima_log(ima_entry(fields, written, 11), 10).empty());
  }
}

TEST(AttestIma, DamageAndViolations) {
  const std::string fields = ima_fields("/a.ko"), entry = ima_entry(fields, bytes_of(sha256_of(fields)));
  EXPECT_THROW(read_ima_log(ima_entry(ima_fields("/b.ko"), bytes_of(sha256_of(fields))), 10), Error);
  for (size_t size = 1; size < entry.size(); ++size)
    EXPECT_THROW(read_ima_log(entry.substr(0, size), 10), Error) << size;
  EXPECT_EQ(read_ima_log(ima_entry(fields, std::string(20, '\0')), 10)[0].extends, std::string(32, '\xff'));
  EXPECT_THROW(read_ima_log(number(10) + std::string(20, 'x') + sized("ima") + sized(fields), 10), Error);
}

TEST(AttestAllowList, OfSha256sum) {
  EXPECT_EQ(read_allow_list(one + "  a.ko\n# more\n\n" + two + " *b.ko # new\n"), (std::set<std::string>{one, two}));
  EXPECT_THROW(read_allow_list("a.ko\n"), Error);
  EXPECT_THROW(read_allow_list(one.substr(1) + "\n"), Error);
}

class AttestVerdict : public testing::Test {
 protected:
  std::vector<std::string> said(bool all = true) const { return against(quote_, "n", measured_, allowed_, all); }
  std::vector<Measured> measured_ = {{one, "a", one_bytes}};
  std::set<std::string> allowed_ = {one};
  Quote quote_{"n", 0, 0, 0, 14, bytes_of(sha256_of(replayed(measured_)))};
};

TEST_F(AttestVerdict, WhatIsRightIsRight) { EXPECT_TRUE(said().empty()); }

TEST_F(AttestVerdict, EachFaultIsNamed) {
  quote_.nonce = "m";
  ASSERT_EQ(said().size(), 1U);
  EXPECT_NE(said()[0].find("another nonce"), std::string::npos);
  quote_.nonce = "n";
  allowed_.clear();
  ASSERT_EQ(said().size(), 1U);
  EXPECT_NE(said()[0].find("isn't on the allow list"), std::string::npos);
  EXPECT_TRUE(said(false).empty());  // no module by its name
  measured_[0].name = "a.ko.xz";
  EXPECT_EQ(said(false).size(), 1U);
  measured_.clear();
  ASSERT_EQ(said().size(), 1U);
  EXPECT_NE(said()[0].find("isn't what PCR 14 was extended by"), std::string::npos);
}

TEST(AttestQuote, WhatIsNoneIsRefused) {
  EXPECT_THROW(read_quote("", "", ""), Error);
  EXPECT_THROW(read_quote("x", std::string("\0\x14\0\x0b\0\0", 6), "no key"), Error);
  EXPECT_THROW(read_quote("x", std::string("\0\x14\0\x04\0\0", 6), "no key"), Error);
}

}  // namespace
}  // namespace kpatch
