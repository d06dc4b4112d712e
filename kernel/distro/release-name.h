// Names of kernel releases and of their series.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kpatch {

// A release taken apart: "6.1.0-56-cloud-amd64" -> "6.1", "cloud-amd64"; "6.12-cloud" -> "6.12", "cloud", series.
struct ReleaseName {
  std::string series;   // "6.12"
  std::string flavour;  // "cloud-amd64"; of a series as given, may be empty
  bool is_series = false;
};
std::optional<ReleaseName> parse_release(std::string_view text);

// Is `release` one of the series? architecture: how the flavours of this machine end, "amd64".
bool in_series(const ReleaseName& series, std::string_view release, std::string_view architecture);

// "6.4.0-150600.21-default" taken apart: X.Y.Z, then numbers, then a name; nothing when it is none such. Views into it.
struct ReleaseParts {
  std::string_view build, flavour;  // "150600.21", "default"
};
std::optional<ReleaseParts> release_parts(std::string_view release);

}  // namespace kpatch
