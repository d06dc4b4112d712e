// The patched view
//
// A patch touches a few of 86,000 files. The view is a tree of symlinks that has real folders only where a touched
// file lies; everything else is one link a folder:
//
//     view/fs            real folder
//     view/fs/ext4       -> source/fs/ext4
//     view/fs/proc       real folder
//     view/fs/proc/fd.c  -> source/fs/proc/fd.c
//     view/fs/proc/meminfo.c   the patched file
//
// That costs a millisecond, and works on every file system. One thing can go wrong: ".." behind a symlink to a folder
// leaves the view. A file in view/drivers/gpu (a link) that includes "../../include/linux/mm.h" reads the source's
// mm.h, patched or not. So the compiler tells which files it read, and when one of them is the original of a touched
// file, the view is made again with real folders everywhere, where ".." can't lead out, and the object is compiled
// again. A header that the patch adds can't be looked for that way (the original does not exist, a search would go on
// in silence), hence such patches get real folders everywhere at once.
#include "patch/view.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "support/files.h"
#include "support/signals.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

bool is_header(std::string_view path) { return !path.ends_with(".c") && !path.ends_with(".S"); }

// Whether a file below the folder has one of the names.
bool has_one_of(const fs::path& top, const std::set<std::string>& names) {
  if (names.empty()) return false;
  std::vector<fs::path> pending{top};
  while (!pending.empty()) {
    const fs::path folder = std::move(pending.back());
    pending.pop_back();
    check_interrupted();
    std::error_code unreadable;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, unreadable)) {
      if (names.contains(entry.path().filename().string())) return true;
      if (!entry.is_symlink(unreadable) && entry.is_directory(unreadable)) pending.push_back(entry.path());
    }
  }
  return false;
}

}  // namespace

PatchedView::PatchedView(fs::path source, fs::path root, const AppliedPatches& patches)
    : source_(std::move(source)), root_(std::move(root)) {
  fs::create_directories(root_);
  open_folder("");
  for (const std::string& path : patches.touched()) {
    make_folder_chain(fs::path(path).parent_path());
    fs::remove(root_ / path);
    std::error_code missing;
    const fs::path original = fs::canonical(source_ / path, missing);
    if (!missing) originals_.insert(original.string());
  }
  for (const auto* list : {&patches.modified, &patches.added}) {
    for (const std::string& path : *list) {
      fs::copy_file(patches.directory / path, root_ / path);
      touched_.emplace(fs::canonical(root_ / path).string(), path);
    }
  }
  lacks_files_ = !patches.removed.empty();
  // What doesn't find a new header fails, and is run again with all folders real; but where another file has its name, that
  // one may be found in its place.
  std::set<std::string> new_headers;
  for (const std::string& path : patches.added)
    if (is_header(path)) new_headers.insert(fs::path(path).filename().string());
  if (has_one_of(source_, new_headers)) make_full();
}

// Fills a real folder with links to the entries of its original.
void PatchedView::open_folder(const fs::path& relative) {
  if (!real_.insert(relative.string()).second) return;
  for (const fs::directory_entry& entry : entries_if_any(source_ / relative)) {
    fs::create_symlink(fs::absolute(entry.path()), root_ / relative / entry.path().filename());
  }
}

void PatchedView::make_folder_chain(const fs::path& relative) {
  fs::path done;
  for (const fs::path& part : relative) {
    done /= part;
    if (real_.contains(done.string())) continue;
    fs::remove(root_ / done);
    fs::create_directory(root_ / done);
    open_folder(done);
  }
}

void PatchedView::make_real(std::string_view path) {
  if (full_) return;
  fs::path done;
  const fs::path whole(path);
  for (const fs::path& part : whole) {
    if (part == "..") {
      done = done.parent_path();
      continue;
    }
    if (part.empty() || part == ".") continue;
    const fs::path next = done / part;
    std::error_code missing;
    if (!fs::is_directory(source_ / next, missing)) break;
    // A folder that is a symlink in the source itself has its ".." where the link points: as in the original.
    if (fs::is_symlink(source_ / next, missing)) break;
    make_folder_chain(next);
    done = next;
  }
}

void PatchedView::make_full() {
  if (std::exchange(full_, true)) return;
  std::vector<fs::path> pending{""};
  while (!pending.empty()) {
    const fs::path folder = std::move(pending.back());
    pending.pop_back();
    check_interrupted();
    if (folder == ".git") continue;
    for (const fs::directory_entry& entry : entries_if_any(source_ / folder)) {
      if (entry.is_symlink() || !entry.is_directory()) continue;
      pending.push_back(folder / entry.path().filename());
      make_folder_chain(pending.back());
    }
  }
}

std::string PatchedView::translate(std::string_view argument) const {
  const std::string from = source_.string();
  const std::string to = root_.string();
  std::string result;
  size_t at = 0;
  for (size_t hit = argument.find(from); hit != std::string_view::npos; hit = argument.find(from, hit + 1)) {
    const size_t end = hit + from.size();
    const bool whole = end == argument.size() || argument[end] == '/' || argument[end] == '=';
    if (!whole || hit < at) continue;
    result.append(argument, at, hit - at);
    result += to;
    at = end;
  }
  return result.append(argument, at);
}

std::optional<std::string> PatchedView::leak(std::span<const std::string> dependencies,
                                             const fs::path& directory) const {
  for (const std::string& dependency : dependencies) {
    std::error_code missing;
    const fs::path real = fs::canonical(directory / dependency, missing);
    if (!missing && originals_.contains(real.string())) return dependency;
  }
  return std::nullopt;
}

std::vector<std::string> PatchedView::touched_among(std::span<const std::string> dependencies,
                                                    const fs::path& directory) const {
  std::set<std::string> found;
  for (const std::string& dependency : dependencies) {
    std::error_code missing;
    const auto file = touched_.find(fs::canonical(directory / dependency, missing).string());
    if (!missing && file != touched_.end()) found.insert(file->second);
  }
  return {found.begin(), found.end()};
}

}  // namespace kpatch
