// Writing and listing without halves.
//
// Two runs may write the same file at once, also from two containers that share a folder and hand out the same process
// ids; so the temporary file's name is random, and O_EXCL settles who has it. It doesn't hold the target's name, which
// may be as long as a name can be.
#include "support/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <random>
#include <system_error>
#include <utility>

#include "support/error.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

// Appends the file to the text; 0, or what went wrong.
int append_file(const fs::path& path, std::string& text) {
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

// Follows links: /dev/stdout is one, and leads to a pipe or a terminal.
bool is_no_file(const fs::path& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
}

std::vector<fs::directory_entry> list(const fs::path& folder, bool may_be_missing) {
  std::vector<fs::directory_entry> entries;
  std::error_code error;
  fs::directory_iterator it(folder, error);
  const bool missing = error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory;
  if (may_be_missing && missing) return entries;
  for (; !error && it != fs::directory_iterator(); it.increment(error)) entries.push_back(*it);
  if (error) throw Error(fmt::format("can't read the folder {}: {}", folder.string(), error.message()));
  std::ranges::sort(
      entries, {}, [](const fs::directory_entry& entry) -> auto& { return entry.path().native(); });
  return entries;
}

void open_to_owner(const fs::path& folder) {
  std::error_code ignored;
  if (fs::is_symlink(folder, ignored)) return;
  fs::permissions(folder, fs::perms::owner_all, fs::perm_options::add, ignored);
  for (fs::directory_iterator it(folder, ignored), end; !ignored && it != end; it.increment(ignored)) {
    std::error_code unknown;
    if (it->is_directory(unknown) && !it->is_symlink(unknown)) open_to_owner(it->path());
  }
}

}  // namespace

std::string read_file(const fs::path& path) {
  std::string text;
  if (const int error = append_file(path, text))
    throw Error(fmt::format("can't read {}: {}", path.string(), std::strerror(error)));
  return text;
}

std::string read_file_if_any(const fs::path& path) {
  std::string text;
  return append_file(path, text) == 0 ? text : std::string{};
}

std::string random_name() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

AtomicFile::AtomicFile(fs::path target, Flush flush) : target_(std::move(target)), flush_(flush) {
  if (is_no_file(target_)) {
    fd_ = open(target_.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd_ < 0) fail(errno);
    return;
  }
  for (;;) {
    fs::path name = target_.parent_path() / fmt::format(".kpatch-{}.tmp", random_name());
    fd_ = open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd_ >= 0) {
      temporary_ = std::move(name);
      return;
    }
    if (errno != EEXIST && errno != EINTR) fail(errno);
  }
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) close(fd_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void AtomicFile::write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd_, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail(written < 0 ? errno : EIO);
    text.remove_prefix(static_cast<size_t>(written));
  }
}

void AtomicFile::commit() {
  // Some file systems tell only at fsync or close that they are full.
  if (flush_ == Flush::yes && !temporary_.empty() && fsync(fd_) != 0) fail(errno);
  if (close(std::exchange(fd_, -1)) != 0) fail(errno);
  if (temporary_.empty()) return;
  if (rename(temporary_.c_str(), target_.c_str()) != 0) fail(errno);
  temporary_.clear();
}

void AtomicFile::fail(int error) const {
  throw Error(fmt::format("can't write {}: {}", target_.string(), std::strerror(error)));
}

void write_file(const fs::path& path, std::string_view contents, Flush flush) {
  AtomicFile file(path, flush);
  file.write(contents);
  file.commit();
}

std::vector<fs::directory_entry> entries_of(const fs::path& folder) { return list(folder, false); }

std::vector<fs::directory_entry> entries_if_any(const fs::path& folder) { return list(folder, true); }

void walk(const fs::path& top, const std::function<bool(const fs::directory_entry&)>& visit) {
  for (const fs::directory_entry& entry : entries_of(top)) {
    const bool folder = !entry.is_symlink() && entry.is_directory();
    if (visit(entry) && folder) walk(entry.path(), visit);
  }
}

uint64_t free_bytes(const fs::path& path) {
  struct statvfs info {};
  if (statvfs(path.c_str(), &info) != 0) return UINT64_MAX;
  return uint64_t{info.f_bavail} * info.f_frsize;
}

void remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (!error) return;
  open_to_owner(path);
  fs::remove_all(path, error);
}

}  // namespace kpatch
