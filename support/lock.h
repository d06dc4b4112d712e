// A lock between processes.
#pragma once

#include <filesystem>
#include <optional>

namespace kpatch {

// A lock of a file, given back by the destructor. Children inherit it until they end, so that what orphans of a killed
// run still write is not mistaken for rubbish.
//
// Whoever holds the lock exclusively may unlink its file: a lock counts only while its file still goes by that name,
// which is looked at after it is taken.
class FileLock {
 public:
  // Exclusive; empty when another process has it. The file is made if it is missing. Throws Error when it can't be opened.
  static std::optional<FileLock> try_lock(const std::filesystem::path& path);
  // The same, shared with others that take it so; empty when one has it exclusively.
  static std::optional<FileLock> try_share(const std::filesystem::path& path);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

  void touch() const;  // the file's times become now

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  static std::optional<FileLock> take(const std::filesystem::path& path, int how);
  int fd_;
};

}  // namespace kpatch
