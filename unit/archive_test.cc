// Compressed bytes and archives: what is told by their first bytes, and what must not be believed.
#include "support/archive.h"

#include <archive.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <span>
#include <string>

#include "support/error.h"
#include "support/files.h"
#include "unit/packer.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

std::span<const std::byte> as_bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

constexpr std::array filters = {archive_write_add_filter_xz, archive_write_add_filter_gzip,
                                archive_write_add_filter_zstd};

TEST(Decompressed, ByTheFirstBytes) {
  std::string text;
  for (int i = 0; i < 30000; ++i) text += std::to_string(i * i);
  for (auto filter : filters) {
    const std::string small = packed(text, filter);
    EXPECT_TRUE(is_compressed(as_bytes(small)));
    EXPECT_LT(small.size(), text.size());
    EXPECT_EQ(text_of(decompressed(as_bytes(small), "x")), text);
  }
  for (const char* other : {"",
                            "\x7f"
                            "ELF",
                            "BZh9",
                            "\xfd"
                            "7zX",
                            "\x1f", "text"})
    EXPECT_FALSE(is_compressed(as_bytes(std::string(other)))) << other;
}

TEST(Decompressed, NothingIsTakenThatIsCutOffOrDamaged) {
  const std::string text(5000, 'x');
  for (auto filter : filters) {
    const std::string whole = packed(text, filter);
    for (size_t length = 6; length < whole.size(); ++length) {
      const std::string cut = whole.substr(0, length);
      EXPECT_NE(message_of<Error>([&] { decompressed(as_bytes(cut), "m.ko.xz"); }).find("can't unpack m.ko.xz: "),
                std::string::npos)
          << length << " of " << whole.size();
    }
  }
}

TEST(Decompressed, RefusesBombs) {
  const std::string text(3 << 20, '\0');
  for (auto filter : filters) {
    const std::string small = packed(text, filter);
    EXPECT_LT(small.size(), 8000U);
    EXPECT_EQ(decompressed(as_bytes(small), "x", 3 << 20).size(), text.size());
    EXPECT_EQ(message_of<Error>([&] { decompressed(as_bytes(small), "bomb", 2 << 20); }),
              "can't unpack bomb: its " + std::to_string(small.size()) +
                  " bytes stand for more than 2 MB (taken are 200 times the size, or 64 MB where that is more)");
  }
}

// A module of this size is unpacked; one that is that much larger than its file isn't.
TEST(Decompressed, TakesOnlySoManyTimesTheSize) {
  EXPECT_EQ(unpacked_limit(0, 1 << 30), always_allowed);
  EXPECT_EQ(unpacked_limit(1 << 20, 1 << 30), 200U << 20);
  EXPECT_EQ(unpacked_limit(UINT64_MAX, 1 << 30), 1U << 30);
  EXPECT_EQ(unpacked_limit(0, 1 << 20), 1U << 20);
  const std::string text(always_allowed + 1, '\0');
  const std::string small = packed(text, archive_write_add_filter_zstd);
  ASSERT_LT(small.size(), 200'000U);
  EXPECT_NE(message_of<Error>([&] {
              decompressed(as_bytes(small), "x.ko.zst");
            }).find(" bytes stand for more than 64 MB (taken"),
            std::string::npos);
}

class Extract : public testing::Test {
 protected:
  Extract() { fs::create_directory(to_); }
  std::string problem(const std::string& bytes) {
    const fs::path file = folder_.write("archive", bytes);
    return message_of<Error>([&] { extract(file, to_); });
  }

  TemporaryFolder folder_;
  fs::path to_ = folder_.path() / "to";
};

void cpio(archive* a) { archive_write_set_format_cpio_newc(a); }
void cpio_gz(archive* a) { cpio(a), archive_write_add_filter_gzip(a); }

// Lead, signature header and header (both without entries) before the archive.
TEST_F(Extract, AnRpm) {
  std::string lead("\xed\xab\xee\xdb\x03\x00\x00\x01", 8), header("\x8e\xad\xe8\x01", 4);
  lead.resize(96);
  header.resize(16);
  EXPECT_EQ(problem(lead + header + header + Packer(cpio_gz).file("linux-6.12.tar.xz", "tar").bytes()), "");
  EXPECT_EQ(read_file(to_ / "linux-6.12.tar.xz"), "tar");
}

TEST_F(Extract, WithModesTimesAndLinks) {
  EXPECT_EQ(problem(Packer(cpio).file("./a/b/script", "text", 0755).symlink("a/link", "b/script").bytes()), "");
  EXPECT_TRUE(fs::is_symlink(to_ / "a/link"));
  EXPECT_EQ(read_file(to_ / "a/link"), "text");
  EXPECT_EQ(fs::status(to_ / "a/b/script").permissions(), fs::perms(0755));
  EXPECT_LT(fs::last_write_time(to_ / "a/b/script"), fs::file_time_type::clock::now() - std::chrono::hours(24 * 365));
}

TEST_F(Extract, NothingIsWrittenOutsideOfTheFolder) {
  for (const char* name : {"../out", "a/../../out", "/tmp/kpatch-test-out"})
    EXPECT_NE(problem(Packer(cpio).file(name, "x").bytes()).find("wants to write to"), std::string::npos) << name;
  EXPECT_NE(problem(Packer(cpio).symlink("link", folder_.path()).file("link/out", "x").bytes()), "");
  EXPECT_FALSE(fs::exists(folder_.path() / "out"));
}

TEST_F(Extract, WithoutRightsThatNobodyAskedFor) {
  EXPECT_EQ(problem(Packer(cpio).file("a", "text", 06755).bytes()), "");
  EXPECT_EQ(fs::status(to_ / "a").permissions(), fs::perms(0755));
}

TEST_F(Extract, RefusesDevicesAndPipes) {
  for (const unsigned type : {AE_IFCHR, AE_IFBLK, AE_IFIFO, AE_IFSOCK}) {
    const std::string bytes = Packer(cpio).special("dev/it", type).bytes();
    EXPECT_NE(problem(bytes).find("it holds dev/it, a device or a pipe"), std::string::npos) << type;
    EXPECT_FALSE(fs::exists(fs::symlink_status(to_ / "dev/it")));
  }
}

TEST_F(Extract, RefusesBombs) {
  const fs::path file = folder_.write("bomb.src.rpm", Packer(cpio_gz).file("a", std::string(3 << 20, '\0')).bytes());
  extract(file, to_);
  EXPECT_NE(message_of<Error>([&] { extract(file, to_, {}, 2 << 20); }).find(" bytes stand for more than 2 MB (taken"),
            std::string::npos);
}

TEST_F(Extract, RefusesWhatIsNoWholeArchive) {
  const std::string whole = Packer(cpio).file("a", std::string(3000, 'a')).file("b", "b").bytes();
  EXPECT_NE(problem(whole.substr(0, 2000)), "");
  EXPECT_NE(problem("no archive at all"), "");
  EXPECT_NE(problem(""), "");
  EXPECT_NE(message_of<Error>([&] { extract(folder_.path() / "missing", to_); }).find("missing"), std::string::npos);
}

}  // namespace
}  // namespace kpatch
