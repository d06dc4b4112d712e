// `patch -R`, as a text: a tree to which the reversed patch applies has what the patch does.
#include "patch/reverse.h"

#include <fmt/format.h>

namespace kpatch {
namespace {

// Which of the forms of a path it is, parse_patch() leaves open; here it is told anew, with the prefix that git writes.
std::string bare_path(const FilePatch& file, const std::string& path) {
  if (path == "/dev/null" || file.bare || file.no_prefix) return path;
  const bool prefixed = file.git || path.starts_with("a/") || path.starts_with("b/");
  return prefixed ? strip_first(path) : path;
}

std::string with_prefix(char prefix, const std::string& path) {
  return path == "/dev/null" ? path : fmt::format("{}/{}", prefix, path);
}

std::string reversed(const Hunk& hunk) {
  std::string text = fmt::format("@@ -{},{} +{},{} @@{}{}\n", hunk.new_start, hunk.new_count, hunk.old_start,
                                 hunk.old_count, hunk.heading.empty() ? "" : " ", hunk.heading);
  size_t last_old = 0, last_new = 0;  // behind which "\ No newline" may stand
  for (size_t i = 0; i < hunk.lines.size(); ++i) {
    if (hunk.lines[i][0] != '+') last_old = i;
    if (hunk.lines[i][0] != '-') last_new = i;
  }
  for (size_t i = 0; i < hunk.lines.size(); ++i) {
    const char sign = hunk.lines[i][0];
    text += sign == '+' ? '-' : sign == '-' ? '+' : sign;
    text.append(hunk.lines[i], 1) += '\n';
    if ((i == last_old && sign != '+' && hunk.old_ends_open) || (i == last_new && sign != '-' && hunk.new_ends_open))
      text += "\\ No newline at end of file\n";
  }
  return text;
}

}  // namespace

PatchText reversed(const PatchText& patch) {
  const PatchFile parsed = parse_patch(patch.path, patch.text);
  PatchText back{patch.path, {}};
  for (auto file = parsed.files.rbegin(); file != parsed.files.rend(); ++file) {
    const bool made = file->change == FileChange::create || file->change == FileChange::copy;
    const std::string before = bare_path(*file, file->old_path), after = bare_path(*file, file->new_path);
    const bool removed = file->change == FileChange::remove;
    if (file->hunks.empty() && file->change != FileChange::rename) continue;
    // Each file has a header, so that a renaming without a hunk ends before the next one.
    back.text += fmt::format("diff --git a/{} b/{}\n", removed ? before : after, made ? after : before);
    if (file->change == FileChange::rename) back.text += fmt::format("rename from {}\nrename to {}\n", after, before);
    if (file->hunks.empty()) continue;
    back.text += fmt::format("--- {}\n+++ {}\n", with_prefix('a', removed ? "/dev/null" : after),
                             with_prefix('b', made ? "/dev/null" : before));
    for (const Hunk& hunk : file->hunks) back.text += reversed(hunk);
  }
  return back;
}

}  // namespace kpatch
