// Applying patches
//
// Each file that a patch touches is copied, and the copy is changed hunk by hunk (place.cc finds where). A person whose
// patch does not apply wants to know more than "hunk FAILED", so each such hunk is held against the file: if its new side
// stands there, it is applied already; if its old side stands there but for white space, the patch went through a web
// page or an editor; else the first line that differs from the place that the hunk names is shown.
#include "patch/apply.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "patch/place.h"
#include "patch/read.h"
#include "support/error.h"
#include "support/files.h"
#include "support/signals.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string_view;

void write_with_folders(const fs::path& path, string_view text) {
  fs::create_directories(path.parent_path());
  write_file(path, text, Flush::no);
}

template <typename Equal>
bool contains(const std::vector<string_view>& file, const std::vector<string_view>& part, Equal equal) {
  return !part.empty() && std::search(file.begin(), file.end(), part.begin(), part.end(), equal) != file.end();
}

// Where the hunk's place in the file first differs from what the hunk expects there.
std::string first_difference(const std::vector<string_view>& file, const Hunk& hunk) {
  const std::vector<string_view> expected = hunk.old_side();
  for (size_t i = 0; i < expected.size(); ++i) {
    const size_t at = hunk.old_start + i;
    if (at == 0) continue;
    if (at > file.size()) return fmt::format("the file has {} lines only", file.size());
    if (file[at - 1] != expected[i]) {
      return fmt::format("line {} of the source differs\n>>> patch:  {}\n>>> source: {}", at, expected[i],
                         file[at - 1]);
    }
  }
  return "its lines are not where the patch expects them";
}

enum class Misfit { applied_already, blanks, text };

Misfit judge(const std::vector<string_view>& file, const Hunk& hunk) {
  const auto equal = [](string_view a, string_view b) { return a == b; };
  const bool old_there = contains(file, hunk.old_side(), equal);
  if (!old_there && contains(file, hunk.new_side(), equal)) return Misfit::applied_already;
  if (!old_there && contains(file, hunk.old_side(), equal_but_for_blanks)) return Misfit::blanks;
  return Misfit::text;
}

// What a file holds that the patch adds.
std::string created_text(const FilePatch& file) {
  std::string text;
  for (const Hunk& hunk : file.hunks) {
    for (const string_view line : hunk.new_side()) (text += line) += '\n';
    if (hunk.new_ends_open && !text.empty()) text.pop_back();
  }
  return text;
}

class Applier {
 public:
  Applier(const fs::path& source, const fs::path& directory, bool ignore_whitespace)
      : source_(source), ignore_whitespace_(ignore_whitespace) {
    result_.directory = directory;
  }

  void apply(const PatchText& given) {
    PatchFile patch = parse_patch(given.path, given.text);
    resolve_paths(
        patch, [&](const std::string& file) { return exists(file); },
        [&](const std::string& folder) { return fs::is_directory(source_ / folder); });
    for (const std::string& note : patch.notes) warn(patch, note);
    for (size_t i = 0; i < patch.files.size(); ++i) {
      const FilePatch& file = patch.files[i];
      if (i == 0 || file.commit != patch.files[i - 1].commit) begin_commit(patch, file.commit);
      if (goes_through_no_link(patch, file)) apply_file(patch, file);
    }
    if (!problems_.empty()) {
      std::string all;
      for (const std::string& problem : problems_) all += (all.empty() ? "" : "\n") + problem;
      throw Error(all);
    }
  }

  AppliedPatches finish() {
    for (const auto& [path, present] : state_) {
      const bool before = fs::exists(source_ / path);
      if (present && !before) {
        result_.added.push_back(path);
      } else if (!present && before) {
        result_.removed.push_back(path);
      } else if (present && read_file(result_.directory / path) != read_file(source_ / path)) {
        result_.modified.push_back(path);
      }
    }
    return std::move(result_);
  }

 private:
  bool exists(const std::string& path) const {
    const auto it = state_.find(path);
    return it != state_.end() ? it->second : fs::is_regular_file(source_ / path);
  }

  std::string contents(const std::string& path) const {
    return read_file(state_.contains(path) ? result_.directory / path : source_ / path);
  }

  void begin_commit(const PatchFile& patch, unsigned commit) {
    earlier_.clear();
    made_.clear();
    leaving_.clear();
    // What git copies and renames is the file as it was before the commit, in whatever order they stand.
    for (const FilePatch& file : patch.files) {
      if (file.commit != commit || !has_other_name(file)) continue;
      if (file.change == FileChange::rename) leaving_.insert(file.old_path);
      if (exists(file.old_path)) earlier_.try_emplace(file.old_path, contents(file.old_path));
    }
  }

  static bool has_other_name(const FilePatch& file) {
    return file.change == FileChange::rename || file.change == FileChange::copy;
  }

  std::string contents_before(const std::string& path) const {
    const auto it = earlier_.find(path);
    return it != earlier_.end() ? it->second : contents(path);
  }

  void warn(const PatchFile& patch, string_view text) {
    result_.warnings.push_back({"patch", Severity::warning, {.source = patch.path.string()}, std::string(text), {}});
  }

  void problem(const PatchFile& patch, unsigned line, string_view text) {
    problems_.push_back(fmt::format("{}:{}: error: {}", patch.path.string(), line, text));
  }

  // What a link leads to has another name in the source, or is none of it.
  bool goes_through_no_link(const PatchFile& patch, const FilePatch& file) {
    for (const std::string& path : {file.old_path, file.new_path}) {
      fs::path so_far;
      for (const fs::path& part : fs::path(path)) {
        so_far /= part;
        std::error_code missing;
        if (!fs::is_symlink(source_ / so_far, missing)) continue;
        problem(patch, file.line,
                fmt::format("{} leads through a symbolic link, {} -> {}: name the file that it leads to", path,
                            so_far.string(), fs::read_symlink(source_ / so_far, missing).string()));
        return false;
      }
    }
    return true;
  }

  void apply_file(const PatchFile& patch, const FilePatch& file) {
    check_interrupted();
    if (file.change == FileChange::create) {
      create(patch, file);
      return;
    }
    const std::string& target = file.change == FileChange::remove ? file.old_path : file.new_path;
    const bool other_name = has_other_name(file);
    const std::string before = other_name ? contents_before(file.old_path) : contents(file.old_path);
    if (other_name && exists(target) && (made_.contains(target) || !leaving_.contains(target))) {
      problem(patch, file.line, fmt::format("{} is there already", target));
      return;
    }
    write_with_folders(result_.directory / target, before);
    state_[target] = true;
    if (other_name) made_.insert(target);
    if (!file.hunks.empty()) place(patch, file, target, before);
    if (file.change == FileChange::rename && !made_.contains(file.old_path)) forget(file.old_path);
    if (file.change == FileChange::remove) {
      if (problems_.empty() && !read_file(result_.directory / target).empty()) {
        problem(patch, file.line,
                fmt::format("the patch removes {}, but the file holds more than the patch knows", target));
      }
      forget(target);
    }
  }

  void forget(const std::string& path) {
    fs::remove(result_.directory / path);
    state_[path] = false;
  }

  void create(const PatchFile& patch, const FilePatch& file) {
    const std::string text = created_text(file);
    if (exists(file.new_path) && (made_.contains(file.new_path) || !leaving_.contains(file.new_path))) {
      const bool same = contents(file.new_path) == text;
      problem(patch, file.line,
              same ? fmt::format("{} is there already: the patch is already applied", file.new_path)
                   : fmt::format("the patch adds {}, but the source has such a file", file.new_path));
      return;
    }
    made_.insert(file.new_path);
    write_with_folders(result_.directory / file.new_path, text);
    state_[file.new_path] = true;
  }

  void place(const PatchFile& patch, const FilePatch& file, const std::string& target, const std::string& before) {
    const std::vector<string_view> lines = whole_lines(before);
    const bool c = target.ends_with(".c") || target.ends_with(".h");
    const std::vector<HunkPlace> places = place_hunks(file.hunks, lines, c, ignore_whitespace_);
    if (!std::ranges::all_of(places, [](const HunkPlace& p) { return p.at.has_value(); })) {
      report_failure(patch, file, target, before, places);
      return;
    }
    write_with_folders(result_.directory / target, apply_hunks(file.hunks, places, lines));
    const std::vector<string_view> bare_lines = lines_of(before);
    for (size_t i = 0; i < places.size(); ++i) {
      const Hunk& hunk = file.hunks[i];
      if (const int64_t offset = places[i].offset; offset != 0)
        warn(patch, fmt::format("{}: the hunk of line {} was applied at line {}, {} line{} {} where it says", target,
                                hunk.line, *places[i].at + 1, std::abs(offset), std::abs(offset) == 1 ? "" : "s",
                                offset > 0 ? "below" : "above"));
      if (ignore_whitespace_ && judge(bare_lines, hunk) == Misfit::blanks)
        warn(patch,
             fmt::format("{}: the hunk of line {} was applied although its white space differs", target, hunk.line));
    }
  }

  void report_failure(const PatchFile& patch, const FilePatch& file, const std::string& target,
                      const std::string& before, const std::vector<HunkPlace>& places) {
    const std::vector<string_view> lines = lines_of(before);
    for (size_t number = 0; number < places.size(); ++number) {
      if (places[number].at) continue;
      const Hunk& hunk = file.hunks[number];
      const std::string what = fmt::format("hunk {} of {} does not apply to {}", number + 1, file.hunks.size(), target);
      if (!places[number].why.empty()) {
        problem(patch, hunk.line, fmt::format("{}: {}", what, places[number].why));
        continue;
      }
      switch (judge(lines, hunk)) {
        case Misfit::applied_already:
          problem(patch, hunk.line, what + ": it is already applied");
          break;
        case Misfit::blanks:
          problem(patch, hunk.line,
                  what +
                      ": its white space differs from the source's (spaces for tabs: was it pasted from a page?)\n"
                      ">>> get the patch as a file, or use --ignore-whitespace");
          break;
        case Misfit::text:
          problem(patch, hunk.line, fmt::format("{}: {}", what, first_difference(lines, hunk)));
          break;
      }
    }
  }

  fs::path source_;
  bool ignore_whitespace_;
  AppliedPatches result_;
  std::map<std::string, bool> state_;  // touched so far: exists now?
  // Of the commit that is applied: contents of what it copies and renames, names that it has given, names that renames
  // take away.
  std::map<std::string, std::string> earlier_;
  std::set<std::string> made_, leaving_;
  std::vector<std::string> problems_;
};

// The hunk that takes it back.
Hunk reversed(const Hunk& hunk) {
  Hunk back = hunk;
  std::swap(back.old_start, back.new_start);
  std::swap(back.old_count, back.new_count);
  std::swap(back.old_ends_open, back.new_ends_open);
  for (std::string& line : back.lines)
    if (line.starts_with('+'))
      line[0] = '-';
    else if (line.starts_with('-'))
      line[0] = '+';
  return back;
}

bool is_applied(const FilePatch& file, const fs::path& source) {
  if (file.change == FileChange::create)
    return !file.hunks.empty() && fs::is_regular_file(source / file.new_path) &&
           read_file(source / file.new_path) == created_text(file);
  if (file.change != FileChange::modify || file.hunks.empty()) return false;
  const std::string text = read_file(source / file.new_path);
  std::vector<Hunk> back;
  for (const Hunk& hunk : file.hunks) back.push_back(reversed(hunk));
  const bool c = file.new_path.ends_with(".c") || file.new_path.ends_with(".h");
  return std::ranges::all_of(place_hunks(back, whole_lines(text), c, false),
                             [](const HunkPlace& place) { return place.at.has_value(); });
}

}  // namespace

bool is_applied(const PatchText& given, const fs::path& source) {
  try {
    PatchFile patch = parse_patch(given.path, given.text);
    resolve_paths(
        patch, [&](const std::string& file) { return fs::is_regular_file(source / file); },
        [&](const std::string& folder) { return fs::is_directory(source / folder); });
    return !patch.files.empty() &&
           std::ranges::all_of(patch.files, [&](const FilePatch& file) { return is_applied(file, source); });
  } catch (const Error&) {
    return false;
  } catch (const fs::filesystem_error&) {
    return false;
  }
}

std::vector<std::string> AppliedPatches::touched() const {
  std::vector<std::string> all = modified;
  all.insert(all.end(), added.begin(), added.end());
  all.insert(all.end(), removed.begin(), removed.end());
  std::sort(all.begin(), all.end());
  return all;
}

AppliedPatches apply_patches(std::span<const PatchText> patches, const fs::path& source, const fs::path& directory,
                             bool ignore_whitespace) {
  fs::create_directories(directory);
  Applier applier(source, directory, ignore_whitespace);
  for (const PatchText& patch : patches) applier.apply(patch);
  return applier.finish();
}

}  // namespace kpatch
