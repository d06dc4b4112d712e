// Only what libarchive does as fast as the tools: bytes, and the small archive that an .rpm of source is. Not .deb and
// .tar.xz: dpkg-deb unpacks the 74 xz blocks of a debug package (1.8 GB) by as many threads, and tar has its xz in a
// process of its own. libarchive takes the same CPU time, 17.5 to 17.9 s and 9.5 to 8.2 s, in one thread, which on two
// (busy) cores took 1.8 to 3.4 times as long.
#include "support/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <string_view>

#include "support/error.h"
#include "support/signals.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

struct FreeArchive {
  void operator()(archive* a) const { archive_free(a); }  // of either kind; also closes it
};
using ArchiveHandle = std::unique_ptr<archive, FreeArchive>;

[[noreturn]] void fail(archive* from, const std::string& name) {
  const char* why = archive_error_string(from);
  throw Error(fmt::format("can't unpack {}: {}", name, why != nullptr ? why : "it is damaged or cut off"));
}

bool starts_with(std::span<const std::byte> bytes, std::initializer_list<uint8_t> magic) {
  return std::ranges::equal(bytes.first(std::min(bytes.size(), magic.size())), magic,
                            [](std::byte a, uint8_t b) { return a == std::byte{b}; });
}

[[noreturn]] void fail_too_large(const std::string& name, uint64_t compressed, uint64_t limit) {
  throw Error(fmt::format(
      "can't unpack {}: its {} bytes stand for more than {} MB (taken are {} times the size, or {} MB where "
      "that is more)",
      name, compressed, limit >> 20, times_its_size, always_allowed >> 20));
}

void support_compression(archive* a) {
  archive_read_support_filter_gzip(a);
  archive_read_support_filter_xz(a);
  archive_read_support_filter_zstd(a);
}

class Extraction {
 public:
  Extraction(const fs::path& archive, const fs::path& folder, uint64_t most)
      : name_(archive.string()), folder_(fs::canonical(folder)), writer_(archive_write_disk_new()) {
    std::error_code unreadable;
    size_ = fs::file_size(archive, unreadable);
    if (unreadable) throw Error(fmt::format("can't read {}: {}", name_, unreadable.message()));
    limit_ = unpacked_limit(size_, most);
    archive_write_disk_set_options(writer_.get(),
                                   ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_SECURE_SYMLINKS);
  }

  void run(const std::function<bool(std::string_view)>& wanted) {
    ArchiveHandle reader(archive_read_new());
    support_compression(reader.get());
    archive_read_support_filter_rpm(reader.get());
    archive_read_support_format_cpio(reader.get());
    archive_read_support_format_tar(reader.get());
    constexpr size_t block = 1 << 20;
    if (archive_read_open_filename(reader.get(), name_.c_str(), block) != ARCHIVE_OK) fail(reader.get(), name_);
    archive_entry* entry = nullptr;
    while (next(reader.get(), &entry))
      if (!wanted || wanted(archive_entry_pathname(entry))) write(reader.get(), entry);
    // Time stamps and modes of folders come last.
    if (archive_write_close(writer_.get()) != ARCHIVE_OK) fail(writer_.get(), name_);
  }

 private:
  // A warning (a name that the locale can't show) is none of ours.
  bool next(archive* reader, archive_entry** entry) const {
    const int status = archive_read_next_header(reader, entry);
    if (status == ARCHIVE_EOF) return false;
    if (status < ARCHIVE_WARN) fail(reader, name_);
    return true;
  }

  fs::path place(std::string_view path) const {
    for (const fs::path& part : fs::path(path))
      if (part == ".." || part == "/")
        throw Error(fmt::format("can't unpack {}: it wants to write to {}", name_, path));
    return folder_ / path;
  }

  void write(archive* reader, archive_entry* entry) {
    check_interrupted();
    const auto type = archive_entry_filetype(entry);
    const bool linked = archive_entry_hardlink(entry) != nullptr;  // its type needn't be told
    if (!linked && type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK)
      throw Error(
          fmt::format("can't unpack {}: it holds {}, a device or a pipe", name_, archive_entry_pathname(entry)));
    archive_entry_set_perm(entry, archive_entry_perm(entry) & 0777);
    archive_entry_set_pathname(entry, place(archive_entry_pathname(entry)).c_str());
    if (const char* link = archive_entry_hardlink(entry)) archive_entry_set_hardlink(entry, place(link).c_str());
    if (archive_write_header(writer_.get(), entry) < ARCHIVE_WARN) fail(writer_.get(), name_);
    const void* block = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    for (;;) {
      const int status = archive_read_data_block(reader, &block, &size, &offset);
      if (status == ARCHIVE_EOF) break;
      if (status < ARCHIVE_WARN) fail(reader, name_);
      written_ += size;
      if (written_ > limit_) fail_too_large(name_, size_, limit_);
      if (archive_write_data_block(writer_.get(), block, size, offset) < ARCHIVE_WARN) fail(writer_.get(), name_);
    }
    if (archive_write_finish_entry(writer_.get()) < ARCHIVE_WARN) fail(writer_.get(), name_);
  }

  std::string name_;
  fs::path folder_;
  uint64_t size_ = 0, limit_ = 0, written_ = 0;
  ArchiveHandle writer_;
};

}  // namespace

bool is_compressed(std::span<const std::byte> bytes) {
  return starts_with(bytes, {0xfd, '7', 'z', 'X', 'Z', 0}) || starts_with(bytes, {0x1f, 0x8b}) ||
         starts_with(bytes, {0x28, 0xb5, 0x2f, 0xfd});
}

uint64_t unpacked_limit(uint64_t compressed, uint64_t most) {
  return std::min(most,
                  std::max(always_allowed, compressed > most / times_its_size ? most : compressed * times_its_size));
}

std::vector<std::byte> decompressed(std::span<const std::byte> bytes, const std::string& name, uint64_t most) {
  ArchiveHandle reader(archive_read_new());
  support_compression(reader.get());
  archive_read_support_format_raw(reader.get());
  archive_entry* entry = nullptr;
  if (archive_read_open_memory(reader.get(), bytes.data(), bytes.size()) != ARCHIVE_OK) fail(reader.get(), name);
  const uint64_t limit = unpacked_limit(bytes.size(), most);
  std::vector<std::byte> result;
  int status = archive_read_next_header(reader.get(), &entry);
  while (status == ARCHIVE_OK) {
    const void* block = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    status = archive_read_data_block(reader.get(), &block, &size, &offset);
    if (status != ARCHIVE_OK) break;
    if (size > limit - result.size()) fail_too_large(name, bytes.size(), limit);
    const auto* first = static_cast<const std::byte*>(block);
    result.insert(result.end(), first, first + size);
  }
  // Cut off within its header, it is no compressed data to libarchive.
  if (archive_filter_count(reader.get()) < 2) fail(reader.get(), name);
  if (status != ARCHIVE_EOF) fail(reader.get(), name);
  return result;
}

void extract(const fs::path& archive, const fs::path& folder, const std::function<bool(std::string_view)>& wanted,
             uint64_t most) {
  Extraction(archive, folder, most).run(wanted);
}

}  // namespace kpatch
