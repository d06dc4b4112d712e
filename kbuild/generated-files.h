// Files that kbuild generates beside an object when it compiles it, and that a prepared base doesn't have yet.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/kernel.h"
#include "support/executor.h"

namespace kpatch {

// A file that the compiler did not find.
struct MissingFile {
  std::string name;  // as the source has it: "net_names.h", "../lib/inat-tables.c"
  std::string from;  // the file that asks for it, as the compiler names it; empty when it does not say
  bool operator==(const MissingFile&) const = default;
};

// What a compiler's or assembler's messages say is not there, in their order.
std::vector<MissingFile> missing_files(std::string_view messages);

// A file that a folder's Makefile may know how to make; both relative to the base's kbuild folder, normalised.
struct KbuildTarget {
  std::string folder;  // "security/apparmor"
  std::string file;    // "security/apparmor/net_names.h"
  auto operator<=>(const KbuildTarget&) const = default;
};

// Where the file may belong: beside the object, beside the file that asks, in the folders of -I. Likeliest first, each
// once. Folders without a Makefile give their nearest parent that has one. roots: the source tree first, and other
// trees of the same layout (the patched view).
std::vector<KbuildTarget> possible_targets(const MissingFile& missing, const CompileCommand& command,
                                           const std::vector<std::filesystem::path>& roots);

// Makes what compiles found missing. One object for a run: what could not be made is asked for once.
class GeneratedFiles {
 public:
  GeneratedFiles(const Base& base, Executor& executor) : base_(base), executor_(executor) {}

  // True when a file that was missing is there now, and compiling again is worth it; false, with nothing changed, when
  // the messages are about something else or kbuild can't make it. view: the patched tree.
  // Throws Error when the base's lock can't be used.
  bool mend(std::string_view messages, const CompileCommand& command, const std::filesystem::path& view);

 private:
  bool make(const KbuildTarget& target);

  const Base& base_;
  Executor& executor_;
  std::set<KbuildTarget> tried_;
};

}  // namespace kpatch
