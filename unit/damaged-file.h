// A file that a test cuts off and damages, in place: thousands of cases, and writing the file anew costs more than each
// of them (ext4 flushes a file that was emptied and written again when it is closed).
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

namespace kpatch {

class DamagedFile {
 public:
  // Writes the bytes to the path.
  DamagedFile(std::filesystem::path path, std::string bytes)
      : path_(std::move(path)),
        bytes_(std::move(bytes)),
        file_(::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) {
    put(0, bytes_);
  }
  DamagedFile(const DamagedFile&) = delete;
  DamagedFile& operator=(const DamagedFile&) = delete;
  ~DamagedFile() { ::close(file_); }

  const std::filesystem::path& path() const { return path_; }
  size_t size() const { return bytes_.size(); }

  // Calls use(length) with each beginning of the file, from the longest (one byte is missing) to the empty one. Returns
  // how many these were.
  template <typename Use>
  size_t each_beginning(Use use) {
    for (size_t length = bytes_.size(); length-- > 0;) {
      if (::ftruncate(file_, off_t(length)) != 0) std::abort();
      use(length);
    }
    put(0, bytes_);
    return bytes_.size();
  }

  // Calls use(at) with the file in which the byte there is change(byte), for each byte that this makes another one.
  // Returns how many these were.
  template <typename Change, typename Use>
  size_t each_changed_byte(Change change, Use use) {
    size_t cases = 0;
    for (size_t at = 0; at < bytes_.size(); ++at) {
      const auto byte = static_cast<char>(change(bytes_[at]));
      if (byte == bytes_[at]) continue;
      put(at, {&byte, 1});
      use(at);
      put(at, {&bytes_[at], 1});
      ++cases;
    }
    return cases;
  }

 private:
  void put(size_t at, std::string_view bytes) {
    if (::pwrite(file_, bytes.data(), bytes.size(), off_t(at)) != ssize_t(bytes.size())) std::abort();
  }

  const std::filesystem::path path_;
  const std::string bytes_;
  const int file_;
};

}  // namespace kpatch
