// The spec file of a package of livepatches.
#pragma once

#include <string>
#include <vector>

#include "package/contents.h"

namespace kpatch {

// What rpmbuild takes, without network: its sources are patches and ready modules, by their file names.
std::string spec_of(const Package& package);

// The sources, each once, as SourceN counts them.
std::vector<std::filesystem::path> sources_of(const Package& package);

}  // namespace kpatch
