// A lock between processes.
#pragma once

#include <filesystem>
#include <optional>

namespace kpatch {

// An exclusive lock of a file, given back by the destructor. Children inherit it until they end, so that what orphans
// of a killed run still write is not mistaken for rubbish.
class FileLock {
 public:
  // Empty when another process has it. The file is made if it is missing. Throws Error when it can't be opened.
  static std::optional<FileLock> try_lock(const std::filesystem::path& path);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace kpatch
