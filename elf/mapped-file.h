// A file in memory, read-only, without a copy.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace kpatch {

// "FILE changed while it was read …", for Error.
std::string changed_message(const std::filesystem::path& path);

class MappedFile {
 public:
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  // Of an open file that has `size` bytes; it may be closed afterwards. path: for the message. Not valid() when there
  // is no room, errno then says why: the file can still be read.
  static MappedFile of(int file, size_t size, const std::filesystem::path& path);

  bool valid() const { return start_ != nullptr; }
  // Whoever touches bytes that the file doesn't have any more ends the program: the message, and exit 1.
  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(start_), size_}; }
  // Gives the memory back; what is needed comes again by itself.
  void leave_memory() const;

 private:
  void* start_ = nullptr;
  size_t size_ = 0;
  size_t slot_ = 0;
};

}  // namespace kpatch
