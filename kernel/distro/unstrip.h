// Binaries whose symbols were split off into a ".debug".
#pragma once

#include <filesystem>

#include "support/executor.h"

namespace kpatch {

// A copy of a file that may be compressed, uncompressed. Throws Error.
void write_unpacked(const std::filesystem::path& file, const std::filesystem::path& to);

// Joins a binary, which may be compressed, with what was split off. Throws Error when they are none of each other's, or
// eu-unstrip isn't there.
void unstrip(const std::filesystem::path& stripped, const std::filesystem::path& debug, const std::filesystem::path& to,
             Executor& executor);

}  // namespace kpatch
