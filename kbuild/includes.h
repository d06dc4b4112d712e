// Which compiled units may read a header.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernel/kernel.h"

namespace kpatch {

class IncludeGraph {
 public:
  // Reads whatever the units may include, each file once, in the source and the prepared kbuild folder; runs nothing.
  // `asked`: all files that will be asked about, relative to the source; they may be missing there, a patch adds
  // headers too.
  IncludeGraph(const std::filesystem::path& source, const std::filesystem::path& kbuild,
               std::span<const CompileCommand> units, std::span<const std::string> asked);
  ~IncludeGraph();

  // Indices into the units of those whose text may depend on one of the `touched` files. Never too few; too many where
  // an include is conditional, its folder is ambiguous, or nobody can tell what it includes.
  std::vector<size_t> units_that_may_include(std::span<const std::string> touched) const;
  // For each of those units the shortest way from it to one of the `touched` files: its own file first, paths relative
  // to the source (or the kbuild folder). Empty where it is affected for an include that nobody can tell.
  std::vector<std::vector<std::string>> chains(std::span<const size_t> units,
                                               std::span<const std::string> touched) const;
  // Whether there is evidence that a unit reads the file: one that includes something that nobody can tell is none.
  bool is_included(const std::string& path) const;

  // For whoever reads the texts. All files that something includes, by their whole paths; and a unit's own: its source
  // where it lies, which may not be there.
  std::vector<std::string> headers() const;
  std::vector<std::string> own_files(size_t unit) const;

 private:
  class Graph;
  std::unique_ptr<Graph> graph_;
};

// The .c files near `file` (in its folder, those above it, and those right below it) that include it; paths relative to
// the source, sorted. fs/compat_binfmt_elf.c includes fs/binfmt_elf.c, which is an object of its own as well.
std::vector<std::string> neighbours_that_include(const std::filesystem::path& source, const std::string& file);

// The includes of one file's text, for the scan above and its tests.
struct IncludeDirectives {
  struct Named {
    std::string name;
    bool quoted = false;  // "x": the file's own folder is searched first
  };
  std::vector<Named> named;
  std::vector<std::string> computed;                          // #include MACRO: the macro's name
  bool opaque = false;                                        // #include of something that only a compiler can tell
  std::vector<std::pair<std::string, Named>> include_macros;  // #define MACRO "x" or <x>
  std::string trace_file;                                     // TRACE_INCLUDE_FILE, TRACE_SYSTEM without it
  std::string trace_path;                                     // TRACE_INCLUDE_PATH
};
IncludeDirectives scan_includes(std::string_view text);

}  // namespace kpatch
