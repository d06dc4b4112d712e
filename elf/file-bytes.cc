// Distributions ship modules compressed ("xt_comment.ko.xz"), vmlinux is 300 MB and more. The first must be
// unpacked, the second must not be copied: of vmlinux only the symbol table and a few tables are ever looked at.
// So a file is mapped read-only, and what is xz is unpacked into memory, the mapping then being dropped. Either way
// the caller sees one span that stays valid, and at the same address, for as long as the FileBytes lives.
#include "elf/file-bytes.h"

#include <fcntl.h>
#include <lzma.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <utility>

#include <fmt/format.h>

#include "support/error.h"

namespace kpatch {

namespace {

bool starts_with(std::span<const std::byte> bytes, std::initializer_list<uint8_t> magic) {
  return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin(),
                                                    [](uint8_t a, std::byte b) { return std::byte{a} == b; });
}

std::vector<std::byte> unpack_xz(std::span<const std::byte> packed, const std::filesystem::path& path) {
  lzma_stream stream = LZMA_STREAM_INIT;
  if (lzma_stream_decoder(&stream, UINT64_MAX, LZMA_CONCATENATED) != LZMA_OK)
    throw Error(fmt::format("'{}': cannot start unpacking it", path.string()));
  std::vector<std::byte> result(std::max<size_t>(packed.size() * 4, 4096));
  stream.next_in = reinterpret_cast<const uint8_t*>(packed.data());
  stream.avail_in = packed.size();
  size_t filled = 0;
  lzma_ret status = LZMA_OK;
  while (status == LZMA_OK) {
    if (filled == result.size()) result.resize(result.size() * 2);
    stream.next_out = reinterpret_cast<uint8_t*>(result.data()) + filled;
    stream.avail_out = result.size() - filled;
    status = lzma_code(&stream, LZMA_FINISH);
    filled = result.size() - stream.avail_out;
  }
  lzma_end(&stream);
  if (status != LZMA_STREAM_END) throw Error(fmt::format("'{}': the xz data is damaged or cut off", path.string()));
  result.resize(filled);
  return result;
}

}  // namespace

FileBytes FileBytes::read(const std::filesystem::path& path) {
  int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw Error(fmt::format("cannot open '{}': {}", path.string(), std::strerror(errno)));
  FileBytes result;
  struct stat status;
  void* mapping = MAP_FAILED;
  int problem = 0;
  if (::fstat(file, &status) != 0) {
    problem = errno;
  } else if (S_ISDIR(status.st_mode)) {
    problem = EISDIR;
  } else if (status.st_size > 0) {
    mapping = ::mmap(nullptr, status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (mapping == MAP_FAILED) problem = errno;
  }
  ::close(file);
  if (problem != 0) throw Error(fmt::format("cannot read '{}': {}", path.string(), std::strerror(problem)));
  if (mapping == MAP_FAILED) throw Error(fmt::format("'{}' is empty", path.string()));
  result.mapping_ = mapping;
  result.mapping_size_ = status.st_size;
  result.bytes_ = {static_cast<const std::byte*>(mapping), result.mapping_size_};

  if (starts_with(result.bytes_, {0xfd, '7', 'z', 'X', 'Z', 0})) {
    FileBytes unpacked;
    unpacked.unpacked_ = unpack_xz(result.bytes_, path);
    unpacked.bytes_ = unpacked.unpacked_;
    if (unpacked.bytes_.empty()) throw Error(fmt::format("'{}' is empty once unpacked", path.string()));
    return unpacked;
  }
  if (starts_with(result.bytes_, {0x28, 0xb5, 0x2f, 0xfd}))
    throw Error(fmt::format("'{}' is compressed with zstd; unpack it first (unzstd)", path.string()));
  if (starts_with(result.bytes_, {0x1f, 0x8b}))
    throw Error(fmt::format("'{}' is compressed with gzip; unpack it first (gunzip)", path.string()));
  return result;
}

FileBytes::FileBytes(FileBytes&& other) noexcept { *this = std::move(other); }

FileBytes& FileBytes::operator=(FileBytes&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  std::swap(unpacked_, other.unpacked_);
  std::swap(mapping_, other.mapping_);
  std::swap(mapping_size_, other.mapping_size_);
  return *this;
}

void FileBytes::leave_memory() const {
  if (mapping_ != nullptr) ::madvise(mapping_, mapping_size_, MADV_DONTNEED);
}

FileBytes::~FileBytes() {
  if (mapping_ != nullptr) ::munmap(mapping_, mapping_size_);
}

}  // namespace kpatch
