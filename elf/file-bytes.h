// The bytes of a file: mapped, read when it is small, or unpacked when it is compressed (.ko.xz, .ko.gz, .ko.zst).
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <filesystem>
#include <span>
#include <vector>

#include "elf/mapped-file.h"

namespace kpatch {

class FileBytes {
 public:
  FileBytes() = default;
  // Throws Error naming the file when it cannot be read, is empty, is damaged, or unpacks to more than decompressed()
  // (support/archive.h) allows.
  static FileBytes read(const std::filesystem::path& path);

  FileBytes(FileBytes&& other) noexcept;
  FileBytes& operator=(FileBytes&& other) noexcept;

  // Stays where it is when the FileBytes is moved.
  std::span<const std::byte> bytes() const { return bytes_; }
  // Gives back the memory that reading the file has taken. The bytes stay readable: what is needed comes back by
  // itself.
  void leave_memory() const { mapping_.leave_memory(); }
  // Throws Error when the file isn't as it was when it was opened: whoever has read the bytes, and before anything is
  // said of them, asks. (That it was cut off shows at once, see MappedFile.)
  void require_unchanged() const;

 private:
  std::span<const std::byte> bytes_;
  std::vector<std::byte> memory_;
  MappedFile mapping_;
  std::filesystem::path path_;
  struct stat opened_ {};
};

}  // namespace kpatch
