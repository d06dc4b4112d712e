// All that a build needs, in one file for a machine without a network.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kpatch-build/stages.h"

namespace kpatch {

// Of a build whose module is made: what it took from the cache (the kernel's packages, the source, a root with the compiler; not the base, which is
// made anew), the patches, and the options that shape the result. Throws Error where files of the kernel were given by path.
void write_bundle(const Build& build, const Base& base, const std::filesystem::path& target);

struct Bundled {
  Options options;  // as given, with what the bundle says where nothing was given
  std::vector<PatchText> patches;
};
// Puts the bundle's entries into the cache, where they aren't there yet. Throws Error when it is none.
Bundled take_bundle(const Options& given, Console& console);

}  // namespace kpatch
