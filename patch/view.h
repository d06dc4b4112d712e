// A patched look at the source tree; the tree itself is never written to.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "patch/apply.h"

namespace kpatch {

class PatchedView {
 public:
  // Makes the view at `root` (made here), which the caller removes. `source` as compile commands spell it.
  // Throws std::filesystem::filesystem_error when the disk is full or unwritable.
  PatchedView(std::filesystem::path source, std::filesystem::path root, const AppliedPatches& patches);

  const std::filesystem::path& root() const { return root_; }

  // Has real folders along `path` (relative to the source, ".." allowed), so that ".." behind any of its parts stays
  // inside the view. Call it for source files and include folders before compiling with them.
  void make_real(std::string_view path);

  // Real folders everywhere: nothing can lead out any more.
  void make_full();
  bool full() const { return full_; }

  // The argument of a compile command with the source tree's path replaced by the view's.
  std::string translate(std::string_view argument) const;

  // The first of the files that a compiler read (paths as it wrote them, relative ones to `directory`) that is the
  // original of a touched file. The compile then saw the unpatched text.
  std::optional<std::string> leak(std::span<const std::string> dependencies,
                                  const std::filesystem::path& directory) const;

  // Those of the files that a compiler read (as above) which the patch touches, relative to the source; sorted.
  std::vector<std::string> touched_among(std::span<const std::string> dependencies,
                                         const std::filesystem::path& directory) const;
  // Whether the patch takes files away.
  bool lacks_files() const { return lacks_files_; }

 private:
  void open_folder(const std::filesystem::path& relative);
  void make_folder_chain(const std::filesystem::path& relative);

  std::filesystem::path source_;
  std::filesystem::path root_;
  std::set<std::string> real_;                  // folders that are real ones, relative, "" for the root
  std::set<std::string> originals_;             // real paths of touched files
  std::map<std::string, std::string> touched_;  // by their real path in the view
  bool lacks_files_ = false;
  bool full_ = false;
};

}  // namespace kpatch
