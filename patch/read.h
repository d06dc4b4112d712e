// Reading patches: unified diffs as git, diff -u and mail programs write them.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace kpatch {

struct Hunk {
  unsigned old_start = 0;  // 1-based line in the old file; 0 when old_count is 0 and the file is new
  unsigned old_count = 0;
  unsigned new_start = 0;
  unsigned new_count = 0;
  unsigned line = 0;               // where its @@ stands in the patch, 1-based
  std::string heading{};           // the function that stands behind the second @@, as the patch has it; may be empty
  std::vector<std::string> lines;  // each begins with ' ', '-' or '+'; without the newline
  bool old_ends_open = false;      // "\ No newline at end of file" stood behind the last old line
  bool new_ends_open = false;

  std::vector<std::string_view> old_side() const;  // context and removed lines
  std::vector<std::string_view> new_side() const;  // context and added lines
};

enum class FileChange { modify, create, remove, rename, copy };

struct FilePatch {
  FileChange change = FileChange::modify;
  std::string old_path;  // as the patch has them, unquoted, time stamp and prefix still to be stripped
  std::string new_path;
  bool git = false;
  bool no_prefix = false;  // git's header has one name twice: diff.noprefix
  bool bare = false;       // the paths carry no prefix: of "rename from" and the like
  unsigned line = 0;       // where it begins in the patch, 1-based
  unsigned commit = 0;     // which of several in one text it is a part of: those of a mailbox, of git log -p
  std::vector<Hunk> hunks;
};

struct PatchFile {
  std::filesystem::path path;
  std::vector<FilePatch> files;
  std::vector<std::string> notes;  // what was mended on reading: carriage returns, indentation
};

// A patch as it was given. It is read once: a pipe (`<(git show)`, /dev/stdin) gives its text only once.
struct PatchText {
  std::filesystem::path path;  // "-": standard input
  std::string text;
};
// Throws Error when it can't be read.
PatchText read_patch(const std::filesystem::path& path);

// `path` is for messages. Throws Error, naming file and line, when the text holds no change, is cut off in a hunk, changes what is
// no text (a symbolic link, a binary file), or is no unified diff (context diffs, combined diffs).
PatchFile parse_patch(const std::filesystem::path& path, std::string_view text);

// Strips the leading folder ("a/") where the paths carry one, decided against the source tree, and settles what each
// file patch is. Throws Error for an absolute path, one with "..", or a file that is missing in the tree.
// `exists` tells whether a file (path relative to the source) exists before this patch applies, is_folder, where it is given,
// whether a folder does.
using InTree = std::function<bool(const std::string&)>;
void resolve_paths(PatchFile& patch, const InTree& exists, const InTree& is_folder = {});

// True when a path may be used below the source tree: relative, not empty, without "..".
bool safe_path(std::string_view path);
// The path without its first folder; empty when it has none.
std::string strip_first(std::string_view path);

}  // namespace kpatch
