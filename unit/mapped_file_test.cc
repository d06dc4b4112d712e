// Files that others write to while they are read: one message, and never a signal.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <archive.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "elf/elf.h"
#include "lookup/binary.h"
#include "support/error.h"
#include "unit/packer.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

constexpr size_t size = 1 << 20;

class MappedFileTest : public testing::Test {
 protected:
  // Each byte is read, though nobody may need the sum.
  static size_t sum(std::span<const std::byte> bytes) {
    size_t sum = 0;
    for (const volatile std::byte& b : bytes) sum += std::to_integer<size_t>(std::byte{b});
    return sum;
  }
  std::string changed(const fs::path& path) const {
    return "'" + path.string() + "' changed while it was read; start again when nothing writes to it";
  }

  const TemporaryFolder folder_;
  const fs::path file_ = folder_.write("vmlinux", std::string(size, '\1'));
};

using MappedFileDeathTest = MappedFileTest;

TEST_F(MappedFileDeathTest, BytesThatAreGoneEndTheProgramWithAMessage) {
  const FileBytes other = FileBytes::read(folder_.write("other", std::string(size, '\2')));
  const FileBytes bytes = FileBytes::read(file_);
  EXPECT_EQ(sum(bytes.bytes()), size);
  fs::resize_file(file_, 4096);
  EXPECT_EXIT(sum(bytes.bytes()), testing::ExitedWithCode(exit_error), "unit-tests: " + changed(file_));
  EXPECT_EQ(sum(other.bytes()), 2 * size);
  EXPECT_EQ(message_of<Error>([&] { bytes.require_unchanged(); }), changed(file_));
}

// Also not when a mapping of ours was at that address before.
TEST_F(MappedFileDeathTest, AnotherSignalGoesItsWay) {
  const void* before = FileBytes::read(file_).bytes().data();
  const int file = ::open(file_.c_str(), O_RDONLY | O_CLOEXEC);
  void* start = ::mmap(const_cast<void*>(before), size, PROT_READ, MAP_PRIVATE, file, 0);
  ::close(file);
  ASSERT_NE(start, MAP_FAILED);
  const std::span<const std::byte> bytes(static_cast<const std::byte*>(start), size);
  fs::resize_file(file_, 4096);
#ifdef __SANITIZE_ADDRESS__  // has a handler of its own for it
  EXPECT_EXIT(sum(bytes), testing::ExitedWithCode(1), "AddressSanitizer: BUS");
#else
  EXPECT_EXIT(sum(bytes), testing::KilledBySignal(SIGBUS), "");
#endif
  ::munmap(start, size);
}

TEST_F(MappedFileTest, ManyFilesAtATime) {
  std::vector<FileBytes> all;
  for (int i = 0; i < 1100; ++i) all.push_back(FileBytes::read(file_));
  for (const FileBytes& bytes : all) ASSERT_EQ(bytes.bytes().size(), size);
  EXPECT_EQ(sum(all.back().bytes()), size);
}

TEST_F(MappedFileTest, WhatIsWrittenMeanwhileIsNoticed) {
  for (const fs::path& path : {file_, folder_.write("small", "text")}) {
    SCOPED_TRACE(path);
    const auto hour = std::chrono::hours(1);
    const auto problem = [&](auto change) {
      const FileBytes bytes = FileBytes::read(path);
      EXPECT_EQ(message_of<Error>([&] { bytes.require_unchanged(); }), "");
      change();
      return message_of<Error>([&] { bytes.require_unchanged(); });
    };
    EXPECT_EQ(problem([] {}), "");
    EXPECT_EQ(problem([&] { fs::permissions(path, fs::perms::owner_read); }), "");
    EXPECT_EQ(problem([&] { fs::last_write_time(path, fs::last_write_time(path) + hour); }), changed(path));
    EXPECT_EQ(problem([&] {
                fs::copy_file(path, folder_.path() / "copy", fs::copy_options::overwrite_existing);
                fs::last_write_time(folder_.path() / "copy", fs::last_write_time(path));
                fs::rename(folder_.path() / "copy", path);
              }),
              changed(path));
    EXPECT_EQ(problem([&] {
                const auto time = fs::last_write_time(path);
                fs::resize_file(path, fs::file_size(path) + 1);
                fs::last_write_time(path, time);
              }),
              changed(path));
    EXPECT_EQ(problem([&] { fs::remove(path); }), changed(path));
  }
}

TEST_F(MappedFileTest, WhatWasMovedIsCheckedToo) {
  FileBytes moved;
  moved = FileBytes::read(file_);
  moved.require_unchanged();
  fs::remove(file_);
  EXPECT_EQ(message_of<Error>([&] { moved.require_unchanged(); }), changed(file_));
  EXPECT_EQ(message_of<Error>([&] { FileBytes().require_unchanged(); }), "");
}

TEST_F(MappedFileTest, ABinaryKnowsItsFile) {
  const fs::path copy = folder_.path() / "copy";
  fs::copy_file("/proc/self/exe", copy);
  const Binary binary = Binary::open(copy);
  binary.require_unchanged();
  fs::last_write_time(copy, fs::last_write_time(copy) + std::chrono::hours(1));
  EXPECT_EQ(message_of<Error>([&] { binary.require_unchanged(); }), changed(copy));
  EXPECT_EQ(message_of<Error>([&] { binary.write_index(folder_.path() / "index"); }), changed(copy));
  EXPECT_FALSE(fs::exists(folder_.path() / "index"));
}

}  // namespace
}  // namespace kpatch
