#include "arch/loader.h"

#include <charconv>

namespace kpatch {

std::optional<KernelSeries> series_of(std::string_view release) {
  KernelSeries series;
  const char* end = release.data() + release.size();
  const auto version = std::from_chars(release.data(), end, series.version);
  if (version.ec != std::errc() || version.ptr == end || *version.ptr != '.') return std::nullopt;
  const auto patchlevel = std::from_chars(version.ptr + 1, end, series.patchlevel);
  return patchlevel.ec == std::errc() ? std::optional{series} : std::nullopt;
}

std::span<const std::string_view> loader_structs() {
  static constexpr auto structs = std::to_array<std::string_view>({"_ddebug", "kernel_param", "module"});
  return structs;
}

}  // namespace kpatch
