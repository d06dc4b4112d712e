// Looking into a cache, and making it smaller.
//
// An entry may go when nobody uses it: a run holds the users' lock of each entry that it was given, shared, until it
// ends. To remove one, its maker's lock and its users' lock are both taken, without waiting. First the file `complete`
// goes, so that a run killed in between leaves a torn entry and no half one, then the rest, then the locks' files, which
// whoever waits for them notices (FileLock).
//
// What hangs together needs no account here: a base whose source is gone finds it again at the same path, since that is
// made of what it holds.
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "kernel/cache-root.h"
#include "kernel/cache.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::chrono::system_clock;

struct Sizes {
  uint64_t bytes = 0;
  std::set<std::pair<dev_t, ino_t>> several_names;

  void add(const fs::path& path) {
    struct stat info {};
    if (lstat(path.c_str(), &info) != 0) return;
    if (info.st_nlink > 1 && !S_ISDIR(info.st_mode) && !several_names.emplace(info.st_dev, info.st_ino).second) return;
    bytes += static_cast<uint64_t>(info.st_blocks) * 512;
  }
  void add_tree(const fs::path& top) {
    add(top);
    try {
      walk(top, [&](const fs::directory_entry& entry) {
        add(entry.path());
        return true;
      });
    } catch (const Error&) {
      // Another run is at work in it: what is gone needs no room.
    }
  }
};

uint64_t size_of(const fs::path& tree) {
  Sizes sizes;
  sizes.add_tree(tree);
  return sizes.bytes;
}

system_clock::time_point last_use(const fs::path& directory) {
  system_clock::time_point latest{};
  for (const char* end : {".users.lock", ".lock", "/complete"}) {
    struct stat info {};
    if (stat((directory.string() + end).c_str(), &info) == 0)
      latest = std::max(latest, system_clock::from_time_t(info.st_mtime));
  }
  return latest;
}

// What of a key says something to a person; digests don't.
std::string what_it_is(std::string_view key) {
  for (std::string_view name :
       {"release", "source package", "source path", "source tree", "base", "suites", "toolchain of", "vmlinux"})
    if (const auto value = CacheKey::field(key, name)) {
      const auto version = CacheKey::field(key, "version");
      return fmt::format("{} {}{}", name, *value, version ? " " + *version : "");
    }
  return {};
}

uint64_t number_with_unit(std::string_view text, std::string_view what, std::string_view units, const uint64_t* factors,
                          std::string_view example) {
  const auto refuse = [&] {
    return Error(fmt::format("{} '{}': a number and one of {} is meant, as in {}", what, text, units, example));
  };
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  if (error != std::errc()) throw refuse();
  if (unit.empty() && number == 0) return 0;
  const size_t at = unit.size() == 1 ? units.find(unit[0]) : std::string_view::npos;
  if (at == std::string_view::npos || number > (uint64_t{1} << 60) / factors[at]) throw refuse();
  return number * factors[at];
}

}  // namespace

std::chrono::seconds parse_age(std::string_view text, std::string_view what) {
  static constexpr uint64_t factors[] = {1, 60, 3600, 86400, 604800};
  return std::chrono::seconds(number_with_unit(text, what, "smhdw", factors, "30d"));
}

uint64_t parse_size(std::string_view text, std::string_view what) {
  static constexpr uint64_t factors[] = {1 << 10, 1 << 20, 1 << 30, uint64_t{1} << 40};
  return number_with_unit(text, what, "KMGT", factors, "20G");
}

std::vector<Cache::Item> Cache::items() const {
  std::vector<Item> items;
  for (const auto& kind : entries_of(root_)) {
    const std::string name = kind.path().filename().string();
    if (!is_entry_kind(name)) continue;
    for (const Entry& entry : entries(name)) {
      Item item{name, entry.directory, what_it_is(entry.key), size_of(entry.directory), last_use(entry.directory),
                false};
      item.held = held_.contains(entry.directory) || !FileLock::try_lock(entry.directory.string() + ".users.lock");
      items.push_back(std::move(item));
    }
  }
  std::ranges::stable_sort(items, std::greater(), &Item::used);
  return items;
}

uint64_t Cache::size() const {
  Sizes sizes;
  sizes.add_tree(root_);
  return sizes.bytes;
}

bool Cache::discard(const fs::path& directory) {
  if (held_.contains(directory)) return false;
  const fs::path lock = directory.string() + ".lock", users_lock = directory.string() + ".users.lock";
  const auto making = FileLock::try_lock(lock);
  if (!making) return false;
  const auto users = FileLock::try_lock(users_lock);
  if (!users) return false;
  std::error_code error;
  fs::remove(directory / "complete", error);
  if (error) throw Error(fmt::format("can't remove {}: {}", directory.string(), error.message()));
  remove_tree(directory);
  for (const fs::path& file : {fs::path(directory.string() + ".use.lock"), users_lock, lock}) fs::remove(file, error);
  return true;
}

Cache::Pruned Cache::prune(const CacheLimits& limits) {
  Pruned pruned;
  std::vector<Item> all = items();
  const auto now = system_clock::now();
  uint64_t left = limits.size ? size() : 0;
  // The one that was used longest ago first.
  for (auto item = all.rbegin(); item != all.rend(); ++item) {
    const bool old = limits.age && now - item->used >= *limits.age;
    const bool too_much = limits.size && left > *limits.size;
    if (!old && !too_much) continue;
    if (!discard(item->directory)) {
      ++pruned.held;
      continue;
    }
    console_.debug(
        fmt::format("removed from the cache: {} {} ({})", item->kind, item->directory.filename().string(), item->what));
    ++pruned.removed;
    pruned.size += item->size;
    left -= std::min(left, item->size);
  }
  if (!limits.age) return pruned;
  for (const auto& memo : entries_if_any(root_ / "digests")) {
    std::error_code gone;
    struct stat info {};
    if (!is_digest_name(memo.path().filename().string()) || stat(memo.path().c_str(), &info) != 0) continue;
    if (now - system_clock::from_time_t(info.st_mtime) >= *limits.age) fs::remove(memo.path(), gone);
  }
  return pruned;
}

// Also what was used in a future that a wrong clock saw.
Cache::Pruned Cache::drop() { return prune({.age = -std::chrono::hours(24 * 365 * 100)}); }

}  // namespace kpatch
