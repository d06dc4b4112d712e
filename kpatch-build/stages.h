// The stages of a build, as main() runs them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kernel/kernel.h"
#include "kpatch-build/delivery.h"
#include "kpatch-build/diff-pairs.h"
#include "kpatch-build/options.h"
#include "patch/patch.h"
#include "support/console.h"
#include "support/executor.h"

namespace kpatch {

// Ends a build that found no error, but has no module either: everything was said on the console already.
struct Ended {
  int status;  // ExitCode
};

// What all stages share.
struct Build {
  const Options& options;
  Console& console;
  Executor& executor;
  Cache& cache;
  std::filesystem::path scratch;
  std::string module;  // its name
};

// Fails early on patches that can't be read, or do not apply to a source that was named: a base may take minutes.
void try_patches(const Build& build);

Base prepare_base(const Build& build);

AppliedPatches apply(const Build& build, const Base& base);

// The objects that the patch changes, each compiled twice (three times with the proof). Throws Ended when the patch
// touches nothing that can be patched.
std::vector<ObjectPair> compile(const Build& build, const Base& base, const AppliedPatches& patches, PatchedView& view);
// The same from two full builds.
std::vector<ObjectPair> compile_full(const Build& build, const Base& base, const AppliedPatches& patches,
                                     PatchedView& view);

// Throws Ended when a change can't be patched, or nothing changed; what was found has been printed.
std::vector<PairReport> compare(const Build& build, const Base& base, const std::vector<ObjectPair>& pairs);

// The code that is replaced is the code that runs. Throws Error.
void prove(const Build& build, const Base& base, PatchedView& view, std::vector<PairReport>& reports);

// Links and finishes the module. Returns its file. Throws Error.
std::filesystem::path make_module(const Build& build, const Base& base, const std::vector<PairReport>& reports);

// The kernel would load it, and do what was meant. Throws Error.
void audit(const Build& build, const Base& base, const std::filesystem::path& module);

}  // namespace kpatch
