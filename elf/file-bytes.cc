// Distributions ship modules compressed ("xt_comment.ko.xz"), vmlinux is 300 MB and more. The first must be
// unpacked, the second must not be copied: of vmlinux only the symbol table and a few tables are ever looked at.
// So a file is mapped read-only, and what is compressed is unpacked into memory, the mapping then being dropped. Either way
// the caller sees one span that stays valid, and at the same address, for as long as the FileBytes lives.
//
// A mapping shows what others write to the file, page by page: half of it may be of the old vmlinux and half of the new
// one. Size and time of the last change tell (inode and device, when another file has taken the name).
#include "elf/file-bytes.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "support/archive.h"
#include "support/error.h"

namespace kpatch {

namespace {

constexpr size_t small = 1 << 16;  // reading it is as fast as mapping it

// The first `size` bytes; fewer when the file has no more. 0 or errno in problem.
std::vector<std::byte> read_bytes(int file, size_t size, int& problem) {
  std::vector<std::byte> bytes(size);
  size_t done = 0;
  problem = 0;
  while (done < size) {
    const ssize_t got = ::read(file, bytes.data() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) problem = errno;
    if (got <= 0) break;
    done += static_cast<size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

}  // namespace

FileBytes FileBytes::read(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw Error(fmt::format("cannot open '{}': {}", path.string(), std::strerror(errno)));
  FileBytes result;
  result.path_ = path;
  int problem = 0;
  if (::fstat(file, &result.opened_) != 0) {
    problem = errno;
  } else if (S_ISDIR(result.opened_.st_mode)) {
    problem = EISDIR;
  } else if (result.opened_.st_size > 0) {
    const auto size = static_cast<size_t>(result.opened_.st_size);
    if (size > small) result.mapping_ = MappedFile::of(file, size, path);
    if (!result.mapping_.valid()) result.memory_ = read_bytes(file, size, problem);
    result.bytes_ = result.mapping_.valid() ? result.mapping_.bytes() : result.memory_;
  }
  ::close(file);
  if (problem != 0) throw Error(fmt::format("cannot read '{}': {}", path.string(), std::strerror(problem)));
  if (result.opened_.st_size <= 0) throw Error(fmt::format("'{}' is empty", path.string()));
  if (result.bytes_.size() != static_cast<size_t>(result.opened_.st_size)) throw Error(changed_message(path));
  if (!is_compressed(result.bytes_)) return result;
  std::vector<std::byte> unpacked = decompressed(result.bytes_, path.string());
  result.require_unchanged();
  result.mapping_ = {};
  result.memory_ = std::move(unpacked);
  result.bytes_ = result.memory_;
  return result;
}

FileBytes::FileBytes(FileBytes&& other) noexcept { *this = std::move(other); }

FileBytes& FileBytes::operator=(FileBytes&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  std::swap(memory_, other.memory_);
  std::swap(mapping_, other.mapping_);
  std::swap(path_, other.path_);
  std::swap(opened_, other.opened_);
  return *this;
}

void FileBytes::require_unchanged() const {
  if (path_.empty()) return;
  struct stat now {};
  const bool same = ::stat(path_.c_str(), &now) == 0 && now.st_dev == opened_.st_dev && now.st_ino == opened_.st_ino &&
                    now.st_size == opened_.st_size && now.st_mtim.tv_sec == opened_.st_mtim.tv_sec &&
                    now.st_mtim.tv_nsec == opened_.st_mtim.tv_nsec;
  if (!same) throw Error(changed_message(path_));
}

}  // namespace kpatch
