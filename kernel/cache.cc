// The cache: folders that are slow to make, found by what they are of.
//
// A base takes 26 s of CPU to prepare (an own kernel: minutes), 300 MB of packages take as long to fetch; the next
// patch wants all of it at once. Two builds may want the same entry at the same moment, and any of them may be killed.
//
//     base/5f0c….lock       flock-ed while the entry is being made or added to
//     base/5f0c….users.lock flock-ed, shared, by each run that uses it; its time is when it was used last
//     base/5f0c…/key.txt    what it is of, for people
//     base/5f0c…/kbuild/…
//     base/5f0c…/complete   written last
//
// The usual trick, making a folder under a temporary name and renaming it, doesn't work: kbuild writes absolute paths
// into its .cmd files and Makefiles, and a moved O= folder rebuilds everything (or breaks). So an entry is made in
// place, and the marker file tells whole ones from torn ones. Who sees no marker takes the lock first; who then holds
// the lock and still sees none knows that whoever began is gone: locks of killed processes are freed by the kernel.
// Children inherit the lock's descriptor, so that the lock of a driver killed with SIGKILL stays taken until the last
// of its compilers has ended, too, and nobody wipes a folder that is still being written.
#include "kernel/cache.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "kernel/cache-root.h"
#include "support/digest.h"
#include "support/error.h"
#include "support/files.h"
#include "support/signals.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view marker = "complete";

std::string escaped(std::string_view text) {
  std::string result;
  for (char c : text) {
    if (c == '\\')
      result += "\\\\";
    else if (c == '\n')
      result += "\\n";
    else
      result += c;
  }
  return result;
}

bool is_complete(const fs::path& directory) {
  std::error_code ignored;
  return fs::is_regular_file(fs::symlink_status(directory / marker, ignored));
}

void make_directories(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error)
    throw Error(fmt::format("can't make the cache folder {}: {} (KPATCH_CACHE names another place)", path.string(),
                            error.message()));
}

}  // namespace

CacheKey& CacheKey::add(std::string_view name, std::string_view value) {
  KPATCH_ASSERT(name.find_first_of(":\n\\") == std::string_view::npos);
  text_ += fmt::format("{}: {}\n", name, escaped(value));
  return *this;
}

std::string CacheKey::digest() const { return digest_of(text_); }

std::optional<std::string> CacheKey::field(std::string_view text, std::string_view name) {
  for (std::string_view line : lines_of(text)) {
    if (!line.starts_with(name) || !line.substr(name.size()).starts_with(": ")) continue;
    std::string value;
    std::string_view rest = line.substr(name.size() + 2);
    for (size_t i = 0; i < rest.size(); i++) {
      if (rest[i] == '\\' && i + 1 < rest.size())
        value += rest[++i] == 'n' ? '\n' : rest[i];
      else
        value += rest[i];
    }
    return value;
  }
  return std::nullopt;
}

ScratchDirectory::ScratchDirectory(ScratchDirectory&& other) noexcept
    : path_(std::exchange(other.path_, {})), lock_(std::move(other.lock_)), keep_(other.keep_) {}

ScratchDirectory::~ScratchDirectory() {
  if (path_.empty() || keep_) return;
  remove_tree(path_);
  std::error_code ignored;
  fs::remove(path_.string() + ".lock", ignored);
}

fs::path Cache::default_root() {
  auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return fs::path(value ? value : "");
  };
  if (auto given = variable("KPATCH_CACHE"); !given.empty()) return fs::absolute(given);
  if (auto base = variable("XDG_CACHE_HOME"); base.is_absolute()) return base / "kpatch";
  if (auto home = variable("HOME"); home.is_absolute()) return home / ".cache/kpatch";
  throw Error("no place for the cache: set HOME or KPATCH_CACHE");
}

Cache::Cache(const fs::path& root, Console& console) : root_(prepare_cache_root(root)), console_(console) {
  wipe_leftovers();
}

// Only names of our own making, and folders, never what a link leads to.
void Cache::wipe_leftovers() {
  std::vector<fs::path> torn;
  for (auto& kind : entries_of(root_)) {
    const std::string name = kind.path().filename().string();
    if (!is_entry_kind(name) && name != "scratch") continue;
    for (auto& entry : entries_if_any(kind.path())) {
      const std::string own = entry.path().filename().string();
      const bool ours = name == "scratch" ? is_scratch_name(own) : is_entry_name(own);
      const bool folder = !entry.is_symlink() && entry.is_directory();
      if (ours && folder && !is_complete(entry.path())) torn.push_back(entry.path());
    }
  }
  // A run that was killed between its lock and its folder.
  for (auto& entry : entries_if_any(root_ / "scratch")) {
    const fs::path folder = entry.path().parent_path() / entry.path().stem();
    std::error_code error;
    if (entry.path().extension() != ".lock" || !is_scratch_name(folder.filename().string())) continue;
    if (fs::exists(folder, error)) continue;
    if (auto held = FileLock::try_lock(entry.path()); held && !fs::exists(folder, error))
      fs::remove(entry.path(), error);
  }
  for (auto& directory : torn) {
    auto held = FileLock::try_lock(directory.string() + ".lock");
    if (!held || is_complete(directory)) continue;
    console_.debug(fmt::format("removing what an interrupted run left: {}", directory.string()));
    remove_tree(directory);
    std::error_code error;
    if (directory.parent_path().filename() == "scratch") fs::remove(directory.string() + ".lock", error);
  }
}

void Cache::tidy() noexcept {
  try {
    wipe_leftovers();
  } catch (const std::exception& problem) {
    console_.debug(problem.what());
  }
}

bool Cache::hold(const fs::path& directory) const {
  if (held_.contains(directory)) return true;
  if (!is_complete(directory)) return false;
  require_our_own(directory);
  auto users = FileLock::try_share(directory.string() + ".users.lock");
  // Whoever removes it holds that lock exclusively, and may just have done so.
  if (!users || !is_complete(directory)) return false;
  users->touch();
  held_.emplace(directory, std::move(*users));
  return true;
}

FileLock Cache::lock(const fs::path& path, std::string_view what) {
  bool said = false;
  for (;;) {
    if (auto held = FileLock::try_lock(path)) return std::move(*held);
    if (!std::exchange(said, true)) console_.info(fmt::format("waiting for another run that makes {}", what));
    check_interrupted();
    usleep(100'000);
  }
}

bool Cache::fetch(std::string_view kind, const CacheKey& key, const fs::path& directory,
                  const std::function<bool(const fs::path&)>& whole) {
  if (!store_.fetch) return false;
  const ScratchDirectory scratch = this->scratch();
  if (store_.fetch(kind, key, directory, scratch.path())) {
    if (!whole || whole(directory)) return true;
    console_.warning(fmt::format("what was fetched isn't what it was when it was kept; the {} is made here", kind));
  }
  for (const auto& entry : entries_of(directory))
    if (entry.path().filename() != "key.txt") remove_tree(entry.path());
  return false;
}

fs::path Cache::entry(std::string_view kind, const CacheKey& key, std::string_view what,
                      const std::function<void(const fs::path&)>& fill,
                      const std::function<bool(const fs::path&)>& whole) {
  make_directories(root_ / kind);
  fs::path directory = fs::canonical(root_ / kind) / key.digest();
  if (hold(directory)) return directory;
  std::optional<FileLock> making = lock(directory.string() + ".lock", what);
  if (hold(directory)) return directory;
  remove_tree(directory);
  bool fetched = false;
  make_directories(directory);
  constexpr uint64_t nothing_left = 16 << 20;  // less than this and compilers fail in odd ways
  try {
    write_file(directory / "key.txt", key.text());
    fetched = fetch(kind, key, directory, whole);
    if (!fetched) fill(directory);
    write_file(directory / marker, "");
  } catch (const Error& problem) {
    bool full = std::strstr(problem.what(), "No space left on device") || free_bytes(directory) < nothing_left;
    uint64_t left = free_bytes(directory);
    remove_tree(directory);
    if (!full) throw;
    throw Error(
        fmt::format("the disk is full: {} MB were left on the file system of {} while making {}; make room, or "
                    "let KPATCH_CACHE name another place",
                    left >> 20, root_.string(), what));
  } catch (...) {
    remove_tree(directory);
    throw;
  }
  // No run removes an entry without the lock that we still have, but people do.
  if (!hold(directory))
    throw Error(fmt::format("{} is gone, or locked, right after it was made; what else works in the cache {}?",
                            directory.string(), root_.string()));
  making.reset();
  if (!fetched && store_.keep) {
    const ScratchDirectory scratch = this->scratch();
    store_.keep(kind, key, directory, scratch.path());
  }
  return directory;
}

std::optional<fs::path> Cache::find(std::string_view kind, const CacheKey& key) const {
  std::error_code absent;
  fs::path directory = fs::canonical(root_ / kind, absent) / key.digest();
  if (absent || !hold(directory)) return std::nullopt;
  return directory;
}

std::vector<std::string> Cache::why_missing(std::string_view kind, const CacheKey& key) const {
  const auto name_of = [](std::string_view line) { return std::string(line.substr(0, line.find(": "))); };
  const std::vector<std::string_view> wanted = lines_of(key.text());
  std::vector<std::string> nearest;
  for (bool first = true; const Entry& entry : entries(kind)) {
    const std::vector<std::string_view> there = lines_of(entry.key);
    std::vector<std::string> names;
    for (std::string_view line : wanted)
      if (std::ranges::find(there, line) == there.end()) names.push_back(name_of(line));
    for (std::string_view line : there)
      if (!CacheKey::field(key.text(), name_of(line))) names.push_back(name_of(line));
    if (first || names.size() < nearest.size()) nearest = std::move(names);
    first = false;
  }
  return nearest;
}

std::vector<Cache::Entry> Cache::entries(std::string_view kind) const {
  std::vector<Entry> result;
  std::error_code error;
  for (auto& item : entries_if_any(root_ / kind))
    if (is_entry_name(item.path().filename().string()) && item.is_directory(error) && is_complete(item.path()))
      result.push_back({fs::canonical(item.path()), read_file(item.path() / "key.txt")});
  return result;
}

ScratchDirectory Cache::scratch() {
  make_directories(root_ / "scratch");
  for (uint64_t number = 0;; ++number) {
    fs::path path = root_ / "scratch" / fmt::format("{:016x}", number);
    auto held = FileLock::try_lock(path.string() + ".lock");
    if (!held || fs::exists(path)) continue;
    make_directories(path);
    return ScratchDirectory(path, std::move(*held));
  }
}

std::string Cache::file_digest(const fs::path& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0)
    throw Error(fmt::format("can't read {}: {}", path.string(), std::strerror(errno)));
  std::string canonical = fs::canonical(path).string();
  CacheKey seen;
  seen.add("path", canonical)
      .add("size", fmt::to_string(info.st_size))
      .add("mtime", fmt::format("{}.{}", info.st_mtim.tv_sec, info.st_mtim.tv_nsec))
      .add("ctime", fmt::format("{}.{}", info.st_ctim.tv_sec, info.st_ctim.tv_nsec))
      .add("inode", fmt::to_string(info.st_ino));
  fs::path memo = root_ / "digests" / digest_of(canonical);
  std::error_code ignored;
  if (fs::exists(memo, ignored)) {
    std::string text = read_file(memo);
    if (text.starts_with(seen.text()))
      if (auto digest = CacheKey::field(std::string_view(text).substr(seen.text().size()), "digest")) return *digest;
  }
  std::string digest = digest_of_file(path);
  make_directories(root_ / "digests");
  write_file(memo, seen.text() + fmt::format("digest: {}\n", digest));
  return digest;
}

}  // namespace kpatch
