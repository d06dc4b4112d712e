// The program that gives the exports of a kernel their versions, and how kbuild calls it.
#pragma once

#include <filesystem>
#include <optional>

#include "kernel/kernel.h"
#include "support/executor.h"

namespace kpatch {

struct VersionGenerator {
  std::filesystem::path program;
  bool reads_objects = false;  // objects with their DWARF; else preprocessed source, made with -D__GENKSYMS__
};

// By the base's config; nothing without CONFIG_MODVERSIONS. The program may be missing.
std::optional<VersionGenerator> version_generator(const Base& base);

// Reads input, writes the CRCs to output and the types that they are of to types (lookup/export-versions.h reads both).
// names: a file with a line for each export; only those who read objects look at it.
Command version_command(const VersionGenerator& generator, const std::filesystem::path& input,
                        const std::filesystem::path& names, const std::filesystem::path& output,
                        const std::filesystem::path& types);

}  // namespace kpatch
