// The fuzzer's bytes as a file, because the readers open files by name.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace kpatch {

class InputFile {
 public:
  InputFile(const uint8_t* data, size_t size) : fd_(memfd_create("input", 0)) {
    for (size_t done = 0; fd_ >= 0 && done < size;) {
      ssize_t count = write(fd_, data + done, size - done);
      if (count <= 0) break;
      done += static_cast<size_t>(count);
    }
  }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  ~InputFile() { close(fd_); }

  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

}  // namespace kpatch
