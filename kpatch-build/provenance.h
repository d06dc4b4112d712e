// --provenance: all that a module was made of, by digest, so that anybody can make it again and compare.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "kpatch-build/stages.h"

namespace kpatch {

// An in-toto statement of the module's bytes (predicate: SLSA provenance 1.0), see doc/formats.md. Reads all of the kernel's source once,
// and keeps what came of it beside the source. Throws Error.
std::string provenance(const Build& build, const Base& base, const std::filesystem::path& module);

// What a statement has for making the module again.
struct RecordedPatch {
  std::string name, text;
};
struct Provenance {
  std::string file, sha256;  // of the module
  std::string version;       // of kpatch-build
  std::string release, name;
  std::vector<std::string> arguments;
  std::vector<std::string>
      given;  // options of the kernel's files, which were given by path: they have to be given again
  std::vector<RecordedPatch> patches;
  std::vector<std::pair<std::string, std::string>> inputs;  // name, SHA-256
};
// Throws Error when it is no such statement, or a patch in it isn't of its digest.
Provenance read_provenance(std::string_view text);

}  // namespace kpatch
