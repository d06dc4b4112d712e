#include "kernel/distro/release-name.h"

#include <algorithm>
#include <cctype>

namespace kpatch {

namespace {

bool is_number(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) { return std::isdigit(c); });
}

}  // namespace

std::optional<ReleaseName> parse_release(std::string_view text) {
  // X.Y, then ".Z…" in a release; then "-ABI" where it is a number; the rest is the flavour.
  size_t dot = text.find('.');
  if (dot == std::string_view::npos || !is_number(text.substr(0, dot))) return std::nullopt;
  size_t end = text.find_first_not_of("0123456789", dot + 1);
  if (end == dot + 1 || dot + 1 == text.size()) return std::nullopt;
  ReleaseName name;
  name.series = std::string(text.substr(0, end));
  name.is_series = end == std::string_view::npos || text[end] != '.';
  if (end == std::string_view::npos) return name;
  if (text[end] != '.' && text[end] != '-') return std::nullopt;
  size_t dash = text.find('-', end);
  if (dash == std::string_view::npos) return name;
  std::string_view rest = text.substr(dash + 1);
  if (!name.is_series) {
    size_t next = rest.find('-');
    if (is_number(rest.substr(0, next))) rest = next == std::string_view::npos ? "" : rest.substr(next + 1);
  }
  name.flavour = std::string(rest);
  return name;
}

bool in_series(const ReleaseName& series, std::string_view release, std::string_view architecture) {
  auto name = parse_release(release);
  if (!name || name->is_series || name->series != series.series) return false;
  std::string arch(architecture);
  if (series.flavour.empty()) return name->flavour == arch;
  return name->flavour == series.flavour || name->flavour == series.flavour + "-" + arch;
}

std::optional<ReleaseParts> release_parts(std::string_view release) {
  constexpr std::string_view digits = "0123456789", numbers = "0123456789.";
  const size_t first = release.find('-'), second = release.find('-', first + 1);
  if (first == std::string_view::npos || second == std::string_view::npos) return std::nullopt;
  const std::string_view version = release.substr(0, first), build = release.substr(first + 1, second - first - 1),
                         flavour = release.substr(second + 1);
  const bool whole = std::ranges::count(version, '.') == 2 &&
                     version.find_first_not_of(numbers) == std::string_view::npos && !build.empty() &&
                     build.find_first_not_of(numbers) == std::string_view::npos && !flavour.empty() &&
                     digits.find(flavour[0]) == std::string_view::npos;
  return whole ? std::optional(ReleaseParts{build, flavour}) : std::nullopt;
}

}  // namespace kpatch
