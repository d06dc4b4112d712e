// The stages of a build, as main() runs them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kernel/kernel.h"
#include "kpatch-build/delivery.h"
#include "kpatch-build/diff-pairs.h"
#include "kpatch-build/options.h"
#include "kpatch-build/previous.h"
#include "patch/patch.h"
#include "support/console.h"
#include "support/executor.h"
#include "support/result.h"

namespace kpatch {

// What all stages share.
struct Build {
  const Options& options;
  Console& console;
  Executor& executor;
  Cache& cache;
  std::filesystem::path scratch;
  std::string module;                // its name
  std::vector<PatchText> patches{};  // options.patches, read once
  std::string unconfined{};          // why commands run outside of a sandbox; empty: they don't
};

// Fails early on patches that can't be read, or do not apply to a source that was named: a base may take minutes.
void try_patches(const Build& build);

// Findings say why it had to be made ("base").
Result<Base> prepare_base(const Build& build);

// Throws Error when the kernel has a module of the livepatch's name, loadable or built in: it refuses a second one.
void require_free_name(const Base& base, const std::string& module);

Result<AppliedPatches> apply(const Build& build, const Base& base);

// The objects that the patch changes, each compiled twice (three times with the proof). Findings: what find_affected(),
// drop_equal_texts() and compile_pairs() say. No value when the patch touches nothing that can be patched.
Result<std::vector<ObjectPair>> compile(const Build& build, const Base& base, const AppliedPatches& patches,
                                        PatchedView& view);
// The same from two full builds.
Result<std::vector<ObjectPair>> compile_full(const Build& build, const Base& base, const AppliedPatches& patches,
                                             PatchedView& view);

// Below the scratch folder: there once compare() had some pairs compiled again with tests of keys.
inline constexpr const char* key_header_folder = "keys";

// What the differ says of each pair, refusals included.
std::vector<PairReport> compare(const Build& build, const Base& base, PatchedView& view,
                                const std::vector<ObjectPair>& pairs);
// Those that go into the module. No value when there is nothing to patch.
Result<std::vector<PairReport>> choose(std::vector<PairReport> reports);

// Whether the code that is replaced is the code that runs: what is not ("proof").
std::vector<Finding> prove(const Build& build, const Base& base, PatchedView& view, std::vector<PairReport>& reports);

// Links and finishes the module, in `directory` below the scratch folder. further: objects besides those of the reports.
// Gives its file.
Result<std::filesystem::path> make_module(const Build& build, const Base& base, const std::vector<PairReport>& reports,
                                          const std::vector<std::filesystem::path>& further = {},
                                          const std::string& directory = "module");

// The same module once more with debug information (--debug-info), which a debugger takes for that of `module`.
Result<std::filesystem::path> make_debug_file(const Build& build, const Base& base,
                                              const std::vector<PairReport>& reports,
                                              const std::filesystem::path& module);

// What the module and its patches have, and what they have no more of --previous.
LivepatchContent content_of_module(const Build& build, const Base& base, const std::filesystem::path& module);
std::vector<Finding> compare_with_previous(const Build& build, const Base& base, const LivepatchContent& now);

// Whether the kernel would load it, do what was meant, and run what the compiler wrote: what speaks against it.
std::vector<Finding> audit(const Build& build, const Base& base, const std::vector<PairReport>& reports,
                           const std::filesystem::path& module);
// The same of a module from extracted source: it is compared with the objects of `reports`, which are what was extracted and
// compiled; and with those of `units`, the files whole: what differs there are notices ("ways").
std::vector<Finding> audit_source(const Build& build, const Base& base, const std::vector<PairReport>& reports,
                                  const std::vector<PairReport>& units, const std::filesystem::path& module);

}  // namespace kpatch
