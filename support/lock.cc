#include "support/lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "support/error.h"

namespace kpatch {

std::optional<FileLock> FileLock::try_lock(const std::filesystem::path& path) {
  int fd = open(path.c_str(), O_RDWR | O_CREAT, 0666);  // not O_CLOEXEC: children keep the lock
  if (fd < 0) throw Error(fmt::format("can't open the lock {}: {}", path.string(), std::strerror(errno)));
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return FileLock(fd);
  int error = errno;
  close(fd);
  if (error == EWOULDBLOCK || error == EINTR) return std::nullopt;
  throw Error(fmt::format("can't lock {}: {}", path.string(), std::strerror(error)));
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

FileLock::~FileLock() {
  if (fd_ >= 0) {
    flock(fd_, LOCK_UN);  // frees it for the children's copies of the descriptor, too
    close(fd_);
  }
}

}  // namespace kpatch
