// Delivering whole or not at all
//
// The module is copied beside its final name, flushed, and renamed over it: whoever looks sees the old file or the new
// one. A full disk shows while copying or flushing, before the rename. The folder is tried before the work starts.
#include "kpatch-build/delivery.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <string_view>
#include <vector>

#include "kernel/kernel.h"
#include "support/error.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

constexpr size_t logs_kept = 20;

// Writes and flushes: some file systems tell only then that they are full. Returns errno, 0 when all is well.
int write_whole(const fs::path& path, std::string_view contents) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return errno;
  int reason = 0;
  while (!contents.empty() && reason == 0) {
    const ssize_t written = write(fd, contents.data(), contents.size());
    if (written < 0 && errno != EINTR) reason = errno;
    if (written > 0) contents.remove_prefix(static_cast<size_t>(written));
  }
  if (reason == 0 && fsync(fd) != 0) reason = errno;
  if (close(fd) != 0 && reason == 0) reason = errno;
  return reason;
}

}  // namespace

Delivery::Delivery(fs::path directory) : directory_(std::move(directory)) {
  std::error_code failure;
  fs::path topmost = fs::absolute(directory_).lexically_normal();
  if (!topmost.has_filename()) topmost = topmost.parent_path();
  for (fs::path up = topmost; !fs::exists(up, failure) && up.has_relative_path(); up = up.parent_path()) made_ = up;
  if (fs::exists(directory_, failure) && !fs::is_directory(directory_, failure)) {
    throw Error(fmt::format("{}: the output directory is a file", directory_.string()));
  }
  fs::create_directories(directory_, failure);
  if (failure) {
    made_.clear();
    throw Error(fmt::format("{}: the output directory can't be made: {}", directory_.string(), failure.message()));
  }
  if (access(directory_.c_str(), W_OK | X_OK) != 0) {
    throw Error(fmt::format("{}: the output directory is not writable: {}", directory_.string(), std::strerror(errno)));
  }
}

Delivery::~Delivery() {
  if (delivered_ || made_.empty()) return;
  std::error_code ignored;
  fs::path folder = fs::absolute(directory_).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();
  // Only empty folders go.
  for (; folder != made_ && fs::remove(folder, ignored); folder = folder.parent_path()) {
  }
  if (folder == made_) fs::remove(folder, ignored);
}

fs::path Delivery::deliver(const fs::path& file, const std::string& name) {
  fs::path target = directory_ / name;
  const fs::path temporary = directory_ / fmt::format(".{}.{}", name, getpid());
  std::error_code failure;
  if (const int reason = write_whole(temporary, read_file(file))) {
    failure = {reason, std::generic_category()};
  } else {
    fs::rename(temporary, target, failure);
  }
  if (failure) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw Error(fmt::format("{}: can't be written: {}", target.string(), failure.message()));
  }
  delivered_ = true;
  return target;
}

fs::path new_log(const fs::path& folder) {
  std::error_code failure;
  fs::create_directories(folder, failure);
  std::vector<fs::path> logs;
  for (const auto& entry : fs::directory_iterator(folder, failure)) {
    if (entry.path().extension() == ".log") logs.push_back(entry.path());
  }
  if (failure) throw Error(fmt::format("{}: no log can be kept: {}", folder.string(), failure.message()));
  std::sort(logs.begin(), logs.end());  // names begin with the time
  for (size_t i = 0; i + logs_kept <= logs.size(); ++i) fs::remove(logs[i], failure);
  char time[32] = "";
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  std::strftime(time, sizeof time, "%Y-%m-%d-%H%M%S", &local);
  return folder / fmt::format("{}-{}.log", time, getpid());
}

}  // namespace kpatch
