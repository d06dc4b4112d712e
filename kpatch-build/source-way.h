// --from-source and --both: the livepatch as extracted C, beside that of diff objects.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "kpatch-build/diff-pairs.h"
#include "kpatch-build/stages.h"
#include "support/result.h"

namespace kpatch {

// What stands in one of the livepatch's sources.
struct ExtractedFile {
  std::string name;  // "meminfo.c"
  std::string text;
  std::vector<std::string> copied;  // other functions and variables whose text is in it, sorted
};

struct SourceWay {
  // As the differ's, but of what the sources replace: `changed` has each function with its reason, pair.patched and output
  // are the compiled source.
  std::vector<PairReport> reports;
  std::vector<ExtractedFile> files;            // in the order of the reports
  std::vector<std::filesystem::path> further;  // objects to link besides: the tables
};

// Throws Error when this program was built without libclang.
void require_source_way();

// Extracts and compiles what `reports` say is changed. Findings name what can't be taken, and each function that one way
// replaces and the other doesn't. Throws Error when a source can't be preprocessed or compiled.
Result<SourceWay> take_source(const Build& build, const Base& base, PatchedView& view,
                              const std::vector<PairReport>& reports);

// The functions of both modules, their code, and what of the kernel they are bound to: a notice for each difference, with
// what it comes from, and one with the figures; a warning ("ways") where that can't be told.
std::vector<Finding> compare_ways(const std::filesystem::path& by_objects, const std::filesystem::path& by_source,
                                  const SourceWay& way);

}  // namespace kpatch
