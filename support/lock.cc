#include "support/lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "support/error.h"

namespace kpatch {

namespace {

// Is the open file the one that goes by that name? Between open and flock somebody may have removed it, and a third have
// made another: two processes would then hold "the" lock.
bool is_still(int fd, const std::filesystem::path& path) {
  struct stat ours {
  }, there{};
  return fstat(fd, &ours) == 0 && stat(path.c_str(), &there) == 0 && ours.st_ino == there.st_ino &&
         ours.st_dev == there.st_dev;
}

}  // namespace

std::optional<FileLock> FileLock::take(const std::filesystem::path& path, int how) {
  for (;;) {
    int fd = open(path.c_str(), O_RDWR | O_CREAT, 0666);  // not O_CLOEXEC: children keep the lock
    if (fd < 0) throw Error(fmt::format("can't open the lock {}: {}", path.string(), std::strerror(errno)));
    if (flock(fd, how | LOCK_NB) == 0) {
      if (is_still(fd, path)) return FileLock(fd);
      close(fd);
      continue;
    }
    int error = errno;
    close(fd);
    if (error == EWOULDBLOCK || error == EINTR) return std::nullopt;
    throw Error(fmt::format("can't lock {}: {}", path.string(), std::strerror(error)));
  }
}

std::optional<FileLock> FileLock::try_lock(const std::filesystem::path& path) { return take(path, LOCK_EX); }
std::optional<FileLock> FileLock::try_share(const std::filesystem::path& path) { return take(path, LOCK_SH); }

void FileLock::touch() const { futimens(fd_, nullptr); }

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
