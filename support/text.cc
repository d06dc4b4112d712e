#include "support/text.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "support/error.h"

namespace kpatch {
namespace {

// Appends the file to the text; 0, or what went wrong.
int append_file(const std::filesystem::path& path, std::string& text) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  struct stat info {};
  if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) text.reserve(static_cast<size_t>(info.st_size));
  std::array<char, 65536> buffer;
  ssize_t got = 0;
  while ((got = read(fd, buffer.data(), buffer.size())) > 0 || (got < 0 && errno == EINTR))
    if (got > 0) text.append(buffer.data(), static_cast<size_t>(got));
  const int error = got < 0 ? errno : 0;
  close(fd);
  return error;
}

}  // namespace

std::string read_file(const std::filesystem::path& path) {
  std::string text;
  if (const int error = append_file(path, text))
    throw Error(fmt::format("can't read {}: {}", path.string(), std::strerror(error)));
  return text;
}

std::string read_file_if_any(const std::filesystem::path& path) {
  std::string text;
  return append_file(path, text) == 0 ? text : std::string{};
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

}  // namespace kpatch
