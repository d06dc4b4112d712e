// Compiling the original and the patched object of each affected unit.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <vector>

#include "kbuild/kbuild.h"
#include "support/executor.h"
#include "support/result.h"

namespace kpatch {

struct ObjectPair {
  CompileCommand command;
  std::filesystem::path original;  // /dev/null when the patch adds the object
  std::filesystem::path patched;
  std::filesystem::path plain;      // empty when the patch adds the object
  std::filesystem::path exports{};  // what changes of its exports' versions (lookup/export-versions.h); empty: nothing
};

// What genksyms reads of a unit.
struct ExportTexts {
  std::filesystem::path before, after;
};

// Drops the units that only may be affected and whose text after preprocessing is the same in both trees, or differs in
// what it doesn't use; a notice
// ("dropped") tells of each. Always has a value. Throws Error when the original can't be preprocessed.
Result<std::vector<AffectedObject>> drop_equal_texts(std::vector<AffectedObject> objects,
                                                     const CompileSettings& settings, Executor& executor,
                                                     const std::function<void(size_t, size_t)>& progress);

// Compiles all pairs in parallel; those whose bytes are equal are left out of the value, which is always there, and get
// a notice ("dropped"). with_plain: also the plain
// variant of objects that are certain to be affected (for others it may be needless). Throws Error with the compiler's
// own messages, which name the patch's files and lines.
Result<std::vector<ObjectPair>> compile_pairs(std::span<const AffectedObject> objects, bool with_plain,
                                              const CompileSettings& settings, Executor& executor,
                                              const std::function<void(size_t, size_t)>& progress);

// Both texts of each pair, in the order of the pairs. Throws Error as compile_pairs() does.
std::vector<ExportTexts> preprocess_exports(std::span<const ObjectPair* const> pairs, const CompileSettings& settings,
                                            Executor& executor);

// Compiles the original and the patched object of each pair once more, as `settings` say, and enters them there. Returns
// whether all compile.
bool compile_again(std::span<ObjectPair*> pairs, const CompileSettings& settings, Executor& executor);

// Compiles the plain variant of each pair that has an original and no plain object yet, and enters it there.
void compile_plain(std::span<ObjectPair*> pairs, const CompileSettings& settings, Executor& executor);

}  // namespace kpatch
