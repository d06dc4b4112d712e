// A manifest: which packages hold which patches, for which kernels.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace kpatch {

struct ManifestPatch {
  std::filesystem::path file;  // relative to the manifest's folder, as all in it
  std::vector<std::string> kernels;
  int line = 0;
};

struct ManifestPackage {
  std::string name, version;
  std::vector<ManifestPatch> patches;
  int line = 0;
};

// Throws Error "FILE:LINE: what is wrong".
std::vector<ManifestPackage> read_manifest(const std::filesystem::path& file);

}  // namespace kpatch
