// Compiling the original and the patched object of each affected unit.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kbuild/kbuild.h"
#include "kernel/kernel.h"
#include "patch/patch.h"
#include "support/executor.h"
#include "support/result.h"

namespace kpatch {

// How a unit is compiled for us.
enum class Variant {
  original,        // function and data sections, the source tree
  patched,         // the same, the patched view
  as_shipped,      // the kernel's own flags, the source tree: what the proof compares with the shipped code
  text_before,     // preprocessed only, the source tree
  text_after,      // preprocessed only, the patched view
  exports_before,  // preprocessed as genksyms reads it, the source tree
  exports_after,   // the same, the patched view
};

struct CompileSettings {
  const Base& base;
  PatchedView& view;
  std::filesystem::path directory;       // objects go here
  std::filesystem::path author_headers;  // kpatch-macros.h
  unsigned jobs = 1;
  std::vector<std::string> launcher{};  // words in front of each compile; they run outside of the sandbox
};

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

// The compiler's argv for one variant: the kernel's own, but for the output, the dependency record (a Makefile
// fragment at `dependencies`), and what the variant asks for. Runs in base.kbuild.
std::vector<std::string> compile_arguments(const CompileCommand& command, Variant variant,
                                           const CompileSettings& settings, const std::filesystem::path& output,
                                           const std::filesystem::path& dependencies, bool plain_runtime_constants);

// The files in a Makefile fragment as compilers write it ("x.o: a.c b.h \"); blanks and $ unescaped.
std::vector<std::string> read_dependencies(std::string_view text);

// True when loads of runtime constants may replace the placeholders that only vmlinux's boot fills in.
bool has_runtime_constants(const Base& base);

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

// Compiles the plain variant of each pair that has an original and no plain object yet, and enters it there.
void compile_plain(std::span<ObjectPair*> pairs, const CompileSettings& settings, Executor& executor);

}  // namespace kpatch
