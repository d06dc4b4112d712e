// Distributions ship modules compressed ("xt_comment.ko.xz"), vmlinux is 300 MB and more. The first must be
// unpacked, the second must not be copied: of vmlinux only the symbol table and a few tables are ever looked at.
// So a file is mapped read-only, and what is compressed is unpacked into memory, the mapping then being dropped. Either way
// the caller sees one span that stays valid, and at the same address, for as long as the FileBytes lives.
#include "elf/file-bytes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "support/archive.h"
#include "support/error.h"

namespace kpatch {

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

  if (is_compressed(result.bytes_)) {
    FileBytes unpacked;
    unpacked.unpacked_ = decompressed(result.bytes_, path.string());
    unpacked.bytes_ = unpacked.unpacked_;
    return unpacked;
  }
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
