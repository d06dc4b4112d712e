#include "kpatch-build/cache-command.h"

#include <fmt/core.h>

#include <ctime>
#include <string>

#include "support/error.h"

namespace kpatch {
namespace {

constexpr auto default_age = std::chrono::hours(24 * 30);

std::string shown(uint64_t bytes) {
  return bytes >= uint64_t{10} << 30 ? fmt::format("{} GB", bytes >> 30) : fmt::format("{} MB", bytes >> 20);
}

std::string day(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm local{};
  localtime_r(&seconds, &local);
  char text[16] = "";
  std::strftime(text, sizeof text, "%Y-%m-%d", &local);
  return text;
}

void tell(const Cache::Pruned& pruned, Console& console) {
  console.info(
      fmt::format("removed {} {}, {}", pruned.removed, pruned.removed == 1 ? "entry" : "entries", shown(pruned.size)));
  if (pruned.held > 0) console.info(fmt::format("{} would have gone, but are in use", pruned.held));
}

}  // namespace

void tend_cache(const Options& options, Console& console) {
  Cache cache(Cache::default_root(), console);
  switch (options.cache) {
    case CacheAction::list:
      for (const Cache::Item& item : cache.items())
        console.info(fmt::format("{:9} {}  {:>8}  used {}{}  {}", item.kind, item.directory.filename().string(),
                                 shown(item.size), day(item.used), item.held ? ", in use" : "", item.what));
      break;
    case CacheAction::size:
      console.info(fmt::format("{}: {}", cache.root().string(), shown(cache.size())));
      break;
    case CacheAction::prune: {
      CacheLimits limits = options.limits;
      if (!limits.age && !limits.size) limits.age = default_age;
      tell(cache.prune(limits), console);
      break;
    }
    case CacheAction::drop:
      tell(cache.drop(), console);
      break;
    case CacheAction::none:
      break;
  }
}

void keep_within_limits(const Options& options, Cache& cache, Console& console) {
  if (!options.limits.age && !options.limits.size) return;
  try {
    if (const auto pruned = cache.prune(options.limits); pruned.removed > 0) tell(pruned, console);
  } catch (const Error& error) {
    console.warning(error.what());
  }
}

}  // namespace kpatch
