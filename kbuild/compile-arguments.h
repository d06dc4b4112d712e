// The command that compiles a unit for us.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "kbuild/kbuild.h"
#include "kernel/kernel.h"
#include "patch/patch.h"

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
  std::filesystem::path key_headers{};  // of write_key_header(); empty: static branches are what they are
};

// One compile to run.
struct CompileJob {
  size_t unit = 0;  // which of the objects that are compiled
  Variant variant = Variant::original;
  std::filesystem::path output;
  std::filesystem::path dependencies;
};

bool of_patched_tree(Variant variant);
bool preprocessed(Variant variant);  // no object comes out

// The compiler's argv for one variant: the kernel's own, but for the output, the dependency record (a Makefile
// fragment at `dependencies`), and what the variant asks for. Runs in base.kbuild.
std::vector<std::string> compile_arguments(const CompileCommand& command, Variant variant,
                                           const CompileSettings& settings, const std::filesystem::path& output,
                                           const std::filesystem::path& dependencies, bool plain_runtime_constants);

// The files in a Makefile fragment as compilers write it ("x.o: a.c b.h \"); blanks and $ unescaped.
std::vector<std::string> read_dependencies(std::string_view text);

// True when loads of runtime constants may replace the placeholders that only vmlinux's boot fills in.
bool has_runtime_constants(const Base& base);

}  // namespace kpatch
