// The bytes of a file: mapped, or unpacked when the file is a compressed module (.ko.xz, .ko.gz, .ko.zst).
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <vector>

namespace kpatch {

class FileBytes {
 public:
  FileBytes() = default;
  // Throws Error naming the file when it cannot be read, is empty, is damaged, or unpacks to more than 4 GiB.
  static FileBytes read(const std::filesystem::path& path);

  FileBytes(FileBytes&& other) noexcept;
  FileBytes& operator=(FileBytes&& other) noexcept;
  ~FileBytes();

  // Stays where it is when the FileBytes is moved.
  std::span<const std::byte> bytes() const { return bytes_; }
  // Gives back the memory that reading the file has taken. The bytes stay readable: what is needed comes back by
  // itself.
  void leave_memory() const;

 private:
  std::span<const std::byte> bytes_;
  std::vector<std::byte> unpacked_;
  void* mapping_ = nullptr;
  size_t mapping_size_ = 0;
};

}  // namespace kpatch
