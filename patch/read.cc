// Reading patches
//
// What people call a patch comes from git, from diff -ru, out of a mail or off a web page:
//
//     --- a/fs/proc/meminfo.c	2026-11-21 02:10:56.136872369 +0000
//     +++ b/fs/proc/meminfo.c	2026-11-21 02:10:56.149394853 +0000
//     @@ -41,6 +41,8 @@
//      	unsigned long sreclaimable, sunreclaim;
//
// Which files, which hunks, on which lines: that is read here, and the paths are judged before anything is written
// (apply.cc, place.cc). Only what is certain is mended: carriage returns at every line's end, and one indentation in
// front of the whole text. Hunks are taken by the counts of their @@ line, so prose between files and a mail's
// signature can hold anything; but what looks like a part of the change, and isn't counted, is an error.
#include "patch/read.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <set>

#include "support/base64.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

using std::string_view;

bool is_header(string_view line) { return line.starts_with("diff --git ") || line.starts_with("--- "); }

// A file name behind "--- ": ends at the tab before the time stamp, or before a time stamp whose tab became spaces.
std::string header_path(string_view rest) {
  if (rest.starts_with('"')) {
    std::string path;
    for (size_t i = 1; i < rest.size() && rest[i] != '"'; ++i) {
      if (rest[i] != '\\' || i + 1 >= rest.size()) {
        path += rest[i];
      } else if (rest[i + 1] >= '0' && rest[i + 1] <= '3' && i + 3 < rest.size()) {
        path += static_cast<char>((rest[i + 1] - '0') * 64 + (rest[i + 2] - '0') * 8 + (rest[i + 3] - '0'));
        i += 3;
      } else {
        ++i;
        path += rest[i] == 't' ? '\t' : rest[i] == 'n' ? '\n' : rest[i];
      }
    }
    return path;
  }
  rest = rest.substr(0, rest.find('\t'));
  const auto digits = [&](size_t at, size_t count) {
    return at + count <= rest.size() &&
           std::all_of(rest.begin() + at, rest.begin() + at + count, [](char c) { return c >= '0' && c <= '9'; });
  };
  for (size_t at = rest.find(' '); at != string_view::npos; at = rest.find(' ', at + 1)) {
    if (digits(at + 1, 4) && at + 8 < rest.size() && rest[at + 5] == '-' && digits(at + 6, 2) && rest[at + 8] == '-') {
      rest = rest.substr(0, at);
      break;
    }
  }
  while (!rest.empty() && rest.back() == ' ') rest.remove_suffix(1);
  return std::string(rest);
}

// "12,3" or "12" (a count of 1); advances text behind it.
bool read_range(string_view& text, unsigned& start, unsigned& count) {
  const auto number = [&](unsigned& into) {
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), into);
    if (code != std::errc()) return false;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    return true;
  };
  count = 1;
  if (!number(start)) return false;
  if (!text.starts_with(',')) return true;
  text.remove_prefix(1);
  return number(count);
}

std::optional<Hunk> read_hunk_header(string_view text) {
  Hunk hunk;
  if (!text.starts_with("@@ -")) return std::nullopt;
  text.remove_prefix(4);
  if (!read_range(text, hunk.old_start, hunk.old_count) || !text.starts_with(" +")) return std::nullopt;
  text.remove_prefix(2);
  if (!read_range(text, hunk.new_start, hunk.new_count) || !text.starts_with(" @@")) return std::nullopt;
  hunk.heading = trimmed(text.substr(3));
  return hunk;
}

// "12a13", "4,5c4": diff without -u. "12a", "4,5c": diff -e, a script for ed.
bool is_command(string_view line, bool script) {
  const auto digits = [&] {
    const size_t end = std::min(line.size(), line.find_first_not_of("0123456789"));
    line.remove_prefix(end);
    return end > 0;
  };
  const auto range = [&] {
    if (!digits()) return false;
    if (!line.starts_with(',')) return true;
    line.remove_prefix(1);
    return digits();
  };
  if (!range() || line.empty() || (line[0] != 'a' && line[0] != 'c' && line[0] != 'd')) return false;
  line.remove_prefix(1);
  return (script || range()) && line.empty();
}

bool is_normal_diff_header(string_view line) { return is_command(line, false); }
bool is_script_command(string_view line) { return is_command(line, true); }

string_view without_margin(string_view line) {
  line.remove_prefix(std::min(line.size(), line.find_first_not_of(" \t>")));
  return line;
}

class Parser {
 public:
  Parser(const std::filesystem::path& path, string_view text) {
    patch_.path = path;
    for (const string_view line : lines_of(text)) lines_.emplace_back(line);
  }

  PatchFile run() {
    check_quoted_printable();
    mend();
    while (at_ < lines_.size()) step();
    if (patch_.files.empty()) {
      const bool blank = std::all_of(lines_.begin(), lines_.end(),
                                     [](const auto& l) { return l.find_first_not_of(" \t\r") == l.npos; });
      if (const string_view encoding = text_encoding(); !encoding.empty())
        throw Error(fmt::format("{}: its text is encoded ({}); save it as plain text", patch_.path.string(), encoding));
      throw Error(fmt::format("{}: {}", patch_.path.string(),
                              blank ? "the patch is empty" : "holds no change: no unified diff is in it"));
    }
    for (const FilePatch& file : patch_.files) {
      if (file.hunks.empty() && file.change == FileChange::modify && !mode_only_) {
        fail(file.line, fmt::format("{} has a header, but no hunk", file.new_path));
      }
    }
    std::erase_if(patch_.files, [](const FilePatch& f) { return f.hunks.empty() && f.change == FileChange::modify; });
    if (patch_.files.empty()) throw Error(fmt::format("{}: changes file modes only", patch_.path.string()));
    return std::move(patch_);
  }

 private:
  // How a mail, or an editor, wrote the text; empty: as it is.
  string_view text_encoding() const {
    // What a file begins with, and the program that wrote it.
    constexpr auto beginnings = std::to_array<std::pair<string_view, string_view>>({{"\xff\xfe", "UTF-16"},
                                                                                    {"\xfe\xff", "UTF-16"},
                                                                                    {"\x1f\x8b", "gzip"},
                                                                                    {"\xfd\x37zXZ", "xz"},
                                                                                    {"\x28\xb5\x2f\xfd", "zstd"},
                                                                                    {"BZh", "bzip2"}});
    for (const auto& [beginning, name] : beginnings)
      if (!lines_.empty() && lines_[0].starts_with(beginning)) return name;
    for (const std::string& line : lines_) {
      if (line.starts_with("> diff --git ") || line.starts_with("> @@ -")) return "quoted with \"> \" by a mail";
      if (line.starts_with("Content-Transfer-Encoding:") && line.find("base64") != std::string::npos) return "base64";
    }
    return {};
  }

  // RFC 2045, 6.7: the diff is still one to look at, but "=" is written "=3D" in it, and long lines end in "=".
  void check_quoted_printable() const {
    bool header = false;
    for (const std::string& line : lines_) {
      // Of several mails each has its own.
      if (line.starts_with("Content-Transfer-Encoding:")) header = line.find("quoted-printable") != std::string::npos;
      if (header && (line.find("=3D") != std::string::npos || (line.size() == 76 && line.ends_with('='))))
        throw Error(
            fmt::format("{}: its text is encoded (quoted-printable); save it as plain text (git mailinfo writes "
                        "the message and the patch of a mail)",
                        patch_.path.string()));
    }
  }

  [[noreturn]] void fail(size_t line, string_view what) const {
    throw Error(fmt::format("{}:{}: error: {}", patch_.path.string(), line, what));
  }

  // Undoes what mail and web pages do to a whole text.
  void mend() {
    if (!lines_.empty() && lines_[0].starts_with("\xef\xbb\xbf")) lines_[0].erase(0, 3);  // U+FEFF, of UTF-8
    const auto header = std::find_if(lines_.begin(), lines_.end(), [](const std::string& line) {
      return is_header(string_view(line).substr(std::min(line.size(), line.find_first_not_of(" \t"))));
    });
    if (header == lines_.end()) return;
    const size_t indent = header->find_first_not_of(" \t");
    if (indent > 0 && indent != std::string::npos) {
      const std::string margin = header->substr(0, indent);
      for (std::string& line : lines_) {
        if (line.starts_with(margin)) {
          line.erase(0, indent);
        } else if (line.find_first_not_of(" \t\r") == std::string::npos) {
          line.clear();
        }
      }
      patch_.notes.push_back(fmt::format("the patch is indented by {} characters; read without them", indent));
    }
    if (header->ends_with('\r')) {
      for (std::string& line : lines_) {
        if (line.ends_with('\r')) line.pop_back();
      }
      patch_.notes.push_back("the patch has carriage returns at its line ends; read without them");
    }
  }

  bool next_starts_with(string_view prefix, size_t distance = 1) const {
    return at_ + distance < lines_.size() && string_view(lines_[at_ + distance]).starts_with(prefix);
  }

  // A diff that begins here, with a margin that the rest of the text hasn't: a message may quote one.
  bool is_quoted_diff() const {
    if (at_ + 2 >= lines_.size() || lines_[at_].find_first_of(" \t>") != 0) return false;
    return without_margin(lines_[at_]).starts_with("--- ") && without_margin(lines_[at_ + 1]).starts_with("+++ ") &&
           without_margin(lines_[at_ + 2]).starts_with("@@ -");
  }

  // What a diff of folders, or a mail, says beside the diffs.
  void beside(string_view line) {
    if (line.starts_with("Binary files ") && line.ends_with(" differ"))
      fail(at_ + 1, "changes a binary file, which can't be part of a livepatch");
    if (line.starts_with("Only in "))
      patch_.notes.push_back(
          fmt::format("line {}: {}; the file is no part of the patch (diff -N makes it one)", at_ + 1, line));
    if (line.starts_with("Content-Transfer-Encoding:") && line.find("base64") != string_view::npos && is_encoded_diff())
      fail(at_ + 1, "a part of the mail is encoded (base64), and is a diff; save it as plain text");
  }

  // Of the part of a mail whose headers are here.
  bool is_encoded_diff() const {
    size_t at = at_;
    while (at < lines_.size() && !lines_[at].empty()) ++at;
    std::string text;
    for (; at < lines_.size() && !lines_[at].starts_with("--"); ++at) text += lines_[at];
    const std::optional<std::string> plain = bytes_of_base64(text);
    return plain &&
           (plain->starts_with("--- ") || plain->starts_with("diff ") || plain->find("\n--- ") != std::string::npos) &&
           plain->find("\n@@ -") != std::string::npos;
  }

  // Behind the lines that a hunk counts, up to the next heading or to prose, there is nothing of a change.
  void after_hunk(string_view line) {
    const bool blank = line.empty() || line[0] == ' ' || line[0] == '\t' || line[0] == '\r';
    if (without_margin(line).starts_with("@@ -"))
      fail(at_ + 1, fmt::format("'{}' is no hunk header: something stands in front of it", line.substr(0, 60)));
    if (is_script_command(line)) fail(at_ + 1, "is a script for ed; a unified diff is needed (diff -u, git diff)");
    // A signature, a line across, the boundary of a mail's parts (RFC 2046, 5.1.1).
    const bool dashes = line.find_first_not_of("- \r") == string_view::npos ||
                        (line.starts_with("--") && line.size() > 8 && line.find_first_of(" \t;(") == string_view::npos);
    if (line.starts_with('@')) fail(at_ + 1, fmt::format("'{}' is no hunk header", line.substr(0, 60)));
    if ((line.starts_with('+') || line.starts_with('-')) && !dashes)
      fail(at_ + 1,
           fmt::format(
               "the hunk of line {} has ended here, by the counts of its header, and more of a change follows: {}",
               patch_.files.back().hunks.back().line, line.substr(0, 60)));
    if (!blank) after_hunk_ = false;
  }

  void step() {
    const string_view line = lines_[at_];
    if (line.starts_with("diff --git ")) {
      git_header(line.substr(11));
    } else if (line.starts_with("diff --cc ") || line.starts_with("diff --combined ")) {
      fail(at_ + 1, "is a combined diff of a merge; make an ordinary one (git diff FIRST-PARENT MERGE)");
    } else if (line.starts_with("--- ") && next_starts_with("+++ ")) {
      names();
    } else if (line.starts_with("*** ") && next_starts_with("--- ") && next_starts_with("***************", 2)) {
      fail(at_ + 1, "is a context diff; a unified one is needed (diff -u, git diff)");
    } else if (is_normal_diff_header(line) && (next_starts_with("< ") || next_starts_with("> "))) {
      fail(at_ + 1, "is a diff without names and context; a unified one is needed (diff -u, git diff)");
    } else if (line.starts_with("@@ ")) {
      hunk(line);
    } else {
      if (is_quoted_diff()) {
        patch_.notes.push_back(
            fmt::format("line {}: a diff with something in front of each line is taken for text", at_ + 1));
        after_hunk_ = false;
      }
      if (after_hunk_) after_hunk(line);
      beside(line);
      if (line.starts_with("From ") || line.starts_with("Subject: ") || line.starts_with("commit ")) ++commit_;
      ++at_;
    }
  }

  // "a/x b/x": what a patch without hunks and renames goes by. Both names are equal then, so the middle is known.
  void git_header(string_view rest) {
    FilePatch file;
    file.git = true;
    file.commit = commit_;
    file.line = static_cast<unsigned>(at_ + 1);
    if (!rest.starts_with('"')) {
      const size_t half = rest.size() / 2;
      if (half > 0 && rest[half] == ' ') {
        file.old_path = rest.substr(0, half);
        file.new_path = rest.substr(half + 1);
        file.no_prefix = file.old_path == file.new_path;
      }
    }
    bool has_mode = false;
    for (++at_; at_ < lines_.size(); ++at_) {
      const string_view line = lines_[at_];
      const auto value = [&](string_view key) -> std::optional<std::string> {
        if (!line.starts_with(key)) return std::nullopt;
        return header_path(line.substr(key.size()));
      };
      const auto mode = [&] { return line.substr(std::min(line.size(), line.find_last_of(' ') + 1)); };
      if (line.find(" mode ") != string_view::npos || line.starts_with("index ")) no_special_file(mode());
      if (line.starts_with("new file mode ")) {
        file.change = FileChange::create;
      } else if (line.starts_with("deleted file mode ")) {
        file.change = FileChange::remove;
      } else if (line.starts_with("old mode ") || line.starts_with("new mode ")) {
        has_mode = true;
      } else if (auto from = value("rename from ")) {
        file.change = FileChange::rename;
        file.bare = true;
        file.old_path = *from;
      } else if (auto to = value("rename to ")) {
        file.new_path = *to;
      } else if (auto copied = value("copy from ")) {
        file.change = FileChange::copy;
        file.bare = true;
        file.old_path = *copied;
      } else if (auto copy_to = value("copy to ")) {
        file.new_path = *copy_to;
      } else if (line.starts_with("GIT binary patch") || line.starts_with("Binary files ")) {
        fail(at_ + 1, "changes a binary file, which can't be part of a livepatch");
      } else if (!line.starts_with("similarity index ") && !line.starts_with("dissimilarity index ") &&
                 !line.starts_with("index ")) {
        break;
      }
    }
    mode_only_ |= has_mode;
    patch_.files.push_back(std::move(file));
  }

  void no_special_file(string_view mode) const {
    if (mode == "120000") fail(at_ + 1, "makes or changes a symbolic link, which can't be part of a livepatch");
    if (mode == "160000") fail(at_ + 1, "changes a submodule, which can't be part of a livepatch");
  }

  // Whether the names of --- and +++ are those of the "diff --git" above. Those of a rename there have no prefix.
  static bool goes_by(const FilePatch& file, const std::string& old_path, const std::string& new_path) {
    const auto same = [&](const std::string& known, const std::string& name) {
      return known.empty() || name == "/dev/null" || name == known || (file.bare && name.ends_with("/" + known));
    };
    return same(file.old_path, old_path) && same(file.new_path, new_path);
  }

  void names() {
    const std::string old_path = header_path(string_view(lines_[at_]).substr(4));
    const std::string new_path = header_path(string_view(lines_[at_ + 1]).substr(4));
    const bool continues_git = !patch_.files.empty() && patch_.files.back().git && patch_.files.back().hunks.empty() &&
                               !names_seen_for_last_ && goes_by(patch_.files.back(), old_path, new_path);
    if (!continues_git) {
      patch_.files.emplace_back();
      patch_.files.back().line = static_cast<unsigned>(at_ + 1);
      patch_.files.back().commit = commit_;
    }
    FilePatch& file = patch_.files.back();
    const auto epoch = [](string_view line) {
      return line.find("\t1970-01-01") != string_view::npos || line.find(" 1970-01-01 00:00:00") != string_view::npos;
    };
    if (old_path == "/dev/null" || (!continues_git && epoch(lines_[at_]))) file.change = FileChange::create;
    if (new_path == "/dev/null" || (!continues_git && epoch(lines_[at_ + 1]))) file.change = FileChange::remove;
    if (!file.bare) {
      file.old_path = old_path;
      file.new_path = new_path;
    }
    at_ += 2;
    if (at_ >= lines_.size() || !string_view(lines_[at_]).starts_with("@@ ")) {
      fail(at_, fmt::format("no hunk follows the header of {}", new_path == "/dev/null" ? old_path : new_path));
    }
    names_seen_for_last_ = true;
    while (at_ < lines_.size() && string_view(lines_[at_]).starts_with("@@ ")) hunk(lines_[at_]);
    names_seen_for_last_ = false;
  }

  void hunk(string_view header) {
    std::optional<Hunk> hunk = read_hunk_header(header);
    if (!hunk) fail(at_ + 1, fmt::format("'{}' is no hunk header", header.substr(0, 60)));
    if (patch_.files.empty()) fail(at_ + 1, "a hunk before any file is named (--- and +++ lines)");
    hunk->line = static_cast<unsigned>(at_ + 1);
    unsigned old_left = hunk->old_count;
    unsigned new_left = hunk->new_count;
    for (++at_; old_left > 0 || new_left > 0 || (at_ < lines_.size() && lines_[at_].starts_with('\\')); ++at_) {
      if (at_ >= lines_.size()) fail(hunk->line, "the hunk is cut off at the end of the patch");
      // Editors and web pages take the blank that is all of an empty context line.
      const std::string line = lines_[at_].empty() ? " " : lines_[at_];
      const char kind = line.front();
      if (kind == '\\') {
        open_end(*hunk);
        continue;
      }
      const bool fits = (kind == ' ' && old_left > 0 && new_left > 0) || (kind == '-' && old_left > 0) ||
                        (kind == '+' && new_left > 0);
      if (!fits)
        fail(at_ + 1, fmt::format("the hunk of line {} is malformed here: {}", hunk->line, line.substr(0, 60)));
      if (kind != '+') --old_left;
      if (kind != '-') --new_left;
      hunk->lines.push_back(line);
    }
    patch_.files.back().hunks.push_back(std::move(*hunk));
    after_hunk_ = true;
  }

  static void open_end(Hunk& hunk) {
    if (hunk.lines.empty()) return;
    const char kind = hunk.lines.back().front();
    if (kind != '+') hunk.old_ends_open = true;
    if (kind != '-') hunk.new_ends_open = true;
  }

  std::vector<std::string> lines_;
  size_t at_ = 0;
  unsigned commit_ = 0;
  PatchFile patch_;
  bool after_hunk_ = false;
  bool mode_only_ = false;
  bool names_seen_for_last_ = false;
};

std::vector<string_view> side(const Hunk& hunk, char other) {
  std::vector<string_view> lines;
  for (const std::string& line : hunk.lines) {
    if (line.front() != other) lines.push_back(string_view(line).substr(1));
  }
  return lines;
}

// The number of leading folders to strip, 0 or 1: what finds the patch's files in the tree.
unsigned strip_level(const PatchFile& patch, const InTree& exists, const InTree& is_folder) {
  size_t found_stripped = 0, folders_stripped = 0;
  size_t found_whole = 0, folders_whole = 0;
  bool plain_names = false;
  const auto folder_exists = [&](const std::string& path) {
    const size_t slash = path.rfind('/');
    return is_folder && slash != std::string::npos && is_folder(path.substr(0, slash));
  };
  for (const FilePatch& file : patch.files) {
    if (file.bare) continue;
    plain_names |= file.no_prefix;
    for (const std::string& path : {file.old_path, file.new_path}) {
      if (path == "/dev/null" || !safe_path(path)) continue;
      found_whole += exists(path);
      const std::string stripped = strip_first(path);
      found_stripped += !stripped.empty() && exists(stripped);
      folders_whole += folder_exists(path);
      folders_stripped += folder_exists(stripped);
    }
  }
  // Only new files: their folders tell; else git and diff -r both put a folder in front. `git diff --no-prefix a b` has names
  // of b alone.
  if (found_whole == 0 && found_stripped == 0 && folders_whole != folders_stripped)
    return folders_whole > folders_stripped ? 0 : 1;
  if (found_whole == 0 && found_stripped == 0) return plain_names ? 0 : 1;
  return found_whole > found_stripped ? 0 : 1;
}

std::string stripped(const PatchFile& patch, const FilePatch& file, const std::string& path, unsigned level) {
  if (path == "/dev/null") return {};
  if (!safe_path(path)) {
    throw Error(
        fmt::format("{}:{}: error: the path '{}' leads out of the source tree", patch.path.string(), file.line, path));
  }
  if (level == 0 || file.bare) return path;
  std::string rest = strip_first(path);
  return rest.empty() ? path : rest;
}

}  // namespace

std::vector<string_view> Hunk::old_side() const { return side(*this, '+'); }
std::vector<string_view> Hunk::new_side() const { return side(*this, '-'); }

bool safe_path(string_view path) {
  if (path.empty() || path.front() == '/') return false;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    if (path.substr(0, slash) == "..") return false;
    if (slash == string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return true;
}

std::string strip_first(string_view path) {
  const size_t slash = path.find('/');
  if (slash == string_view::npos) return {};
  const size_t rest = path.find_first_not_of('/', slash);
  return rest == string_view::npos ? std::string() : std::string(path.substr(rest));
}

PatchFile parse_patch(const std::filesystem::path& path, string_view text) { return Parser(path, text).run(); }

PatchText read_patch(const std::filesystem::path& path) {
  if (path == "-") return {path, read_file("/dev/stdin")};
  std::error_code failure;
  const auto status = std::filesystem::status(path, failure);
  if (status.type() == std::filesystem::file_type::not_found) {
    throw Error(fmt::format("{}: no such patch file", path.string()));
  }
  if (status.type() == std::filesystem::file_type::directory) {
    throw Error(fmt::format("{}: is a directory, not a patch", path.string()));
  }
  return {path, read_file(path)};
}

namespace {

// What a file patch does to one file, once its paths are known.
void settle(FilePatch& file, const std::function<bool(const std::string&)>& exists) {
  if (file.change == FileChange::create || file.old_path.empty()) {
    file.change = FileChange::create;
    file.old_path.clear();
  } else if (file.change == FileChange::remove || file.new_path.empty()) {
    file.change = FileChange::remove;
    file.new_path.clear();
  } else if (file.change == FileChange::modify) {
    // diff -u foo.c.orig foo.c: one of them is the file in the tree.
    if (exists(file.new_path)) {
      file.old_path = file.new_path;
    } else if (exists(file.old_path)) {
      file.new_path = file.old_path;
    }
    // diff -N of a missing file, without /dev/null.
    const bool from_nothing =
        file.hunks.size() == 1 && file.hunks.front().old_count == 0 && file.hunks.front().old_start == 0;
    if (from_nothing && !exists(file.old_path)) {
      file.change = FileChange::create;
      file.old_path.clear();
    }
  }
}

}  // namespace

void resolve_paths(PatchFile& patch, const InTree& exists, const InTree& is_folder) {
  // A file made by text of several mails may change again further down. Within one commit names may be exchanged.
  std::map<std::string, bool> present;
  std::set<std::pair<unsigned, std::string>> made;
  const auto exists_now = [&](const std::string& path) {
    const auto it = present.find(path);
    return it == present.end() ? exists(path) : it->second;
  };
  const unsigned level = strip_level(patch, exists, is_folder);
  for (FilePatch& file : patch.files) {
    file.old_path = stripped(patch, file, file.old_path, level);
    file.new_path = stripped(patch, file, file.new_path, level);
    settle(file, exists_now);
    if (file.old_path.empty() && file.new_path.empty()) {
      throw Error(fmt::format("{}:{}: error: no file is named", patch.path.string(), file.line));
    }
    if (!file.old_path.empty() && !exists_now(file.old_path)) {
      throw Error(
          fmt::format("{}:{}: error: the source has no file {}", patch.path.string(), file.line, file.old_path));
    }
    const bool leaves = file.change == FileChange::remove || file.change == FileChange::rename;
    if (leaves && !made.contains({file.commit, file.old_path})) present[file.old_path] = false;
    if (file.new_path.empty()) continue;
    present[file.new_path] = true;
    if (file.change != FileChange::modify) made.emplace(file.commit, file.new_path);
  }
}

}  // namespace kpatch
