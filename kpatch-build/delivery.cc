// Delivering whole or not at all
//
// The module is copied beside its final name, flushed, and renamed over it: whoever looks sees the old file or the new
// one. A full disk shows while copying or flushing, before the rename. The folder is tried before the work starts.
#include "kpatch-build/delivery.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <vector>

#include "support/error.h"
#include "support/files.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

constexpr size_t logs_kept = 20;

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
  return deliver_text(read_file(file), name);
}

fs::path Delivery::deliver_text(const std::string& text, const std::string& name) {
  fs::path target = directory_ / name;
  write_file(target, text);
  delivered_ = true;
  return target;
}

fs::path new_log(const fs::path& folder) {
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (failure) throw Error(fmt::format("{}: no log can be kept: {}", folder.string(), failure.message()));
  std::vector<fs::path> logs;  // sorted: names begin with the time
  for (const auto& entry : entries_of(folder)) {
    if (entry.path().extension() == ".log") logs.push_back(entry.path());
  }
  for (size_t i = 0; i + logs_kept <= logs.size(); ++i) fs::remove(logs[i], failure);
  char time[32] = "";
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  std::strftime(time, sizeof time, "%Y-%m-%d-%H%M%S", &local);
  return folder / fmt::format("{}-{}.log", time, random_name().substr(0, 8));
}

}  // namespace kpatch
