// The files of a stock kernel: installed ones, or those of Debian's packages, unpacked into the cache.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/cache.h"
#include "support/console.h"
#include "support/runner.h"

namespace kpatch {

struct KernelFiles {
  std::string release;           // "6.12.117+deb12-cloud-amd64"
  std::string version;           // of the packages, "6.12.117-1~deb12u1"; empty when not known
  std::filesystem::path source;  // a clean tree
  std::string source_identity;   // what tells this source from another
  std::filesystem::path config;
  std::filesystem::path vmlinux;  // with symbols and DWARF
  std::filesystem::path symvers;
  std::filesystem::path modules;        // modules / "net/ipv4/x.ko", or .ko.xz
  std::filesystem::path debug_modules;  // the same, uncompressed and with DWARF, where there are
  std::filesystem::path image;          // bzImage, where it is known
};

// A release taken apart: "6.1.0-56-cloud-amd64" -> "6.1", "cloud-amd64"; "6.12-cloud" -> "6.12", "cloud", series.
struct ReleaseName {
  std::string series;   // "6.12"
  std::string flavour;  // "cloud-amd64"; of a series as given, may be empty
  bool is_series = false;
};
std::optional<ReleaseName> parse_release(std::string_view text);

// Is `release` one of the series? architecture: dpkg's, "amd64".
bool in_series(const ReleaseName& series, std::string_view release, std::string_view architecture);

// The files of a release, or of the newest release of a series in the archive. Fields of `given` that aren't empty
// are taken as they are and not looked for. Progress is shown. Throws Error: unknown release (with the ones
// there are), a package missing, apt not usable.
KernelFiles find_release(std::string_view release, const KernelFiles& given, Cache& cache, Runner& runner,
                         Console& console);

// The kernel source in a .dsc or .src.rpm: path and identity are set. Throws Error, naming a missing tool.
KernelFiles unpack_source_package(const std::filesystem::path& package, Cache& cache, Runner& runner, Console& console);

}  // namespace kpatch
