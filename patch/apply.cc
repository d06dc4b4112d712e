// Applying patches
//
// GNU patch does it: its search for moved hunks and its fuzz are what patch authors expect. It sees one file at a
// time, a copy, with the hunks written out again, so that neither paths nor time stamps of the patch matter to it:
//
//     patch --batch --forward … fs/proc/meminfo.c < 3.diff
//
// It says `Hunk #1 FAILED at 41` when a hunk does not fit. A person wants to know more, so each such hunk is then held
// against the file here. If the hunk's new side stands in the file, it is applied already; if its old side stands
// there but for white space, the patch went through a web page or an editor; else the first line that differs from
// the place that the hunk names is shown.
#include "patch/apply.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "patch/read.h"
#include "support/error.h"
#include "support/executor.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string_view;

void write_with_folders(const fs::path& path, string_view text) {
  fs::create_directories(path.parent_path());
  write_file(path, text, Flush::no);
}

// Runs of white space count as one blank, at the end as nothing: what patch -l takes for equal.
bool equal_but_for_blanks(string_view a, string_view b) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  const auto trim = [&](string_view& s) {
    while (!s.empty() && blank(s.back())) s.remove_suffix(1);
  };
  trim(a);
  trim(b);
  size_t i = 0;
  size_t j = 0;
  while (i < a.size() && j < b.size()) {
    if (blank(a[i]) != blank(b[j])) return false;
    if (blank(a[i])) {
      while (blank(a[i])) ++i;  // both end in another character
      while (blank(b[j])) ++j;
    } else if (a[i++] != b[j++]) {
      return false;
    }
  }
  return i == a.size() && j == b.size();
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

class Applier {
 public:
  Applier(const fs::path& source, const fs::path& directory, bool ignore_whitespace, Executor& executor)
      : source_(source), ignore_whitespace_(ignore_whitespace), executor_(executor) {
    result_.directory = directory;
  }

  void apply(const fs::path& path) {
    PatchFile patch = read_patch(path);
    resolve_paths(patch, [&](const std::string& file) { return exists(file); });
    for (const std::string& note : patch.notes) warn(patch, note);
    for (const FilePatch& file : patch.files) apply_file(patch, file);
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

  void warn(const PatchFile& patch, string_view text) {
    result_.warnings.push_back({"patch", Severity::warning, {.source = patch.path.string()}, std::string(text), {}});
  }

  void problem(const PatchFile& patch, unsigned line, string_view text) {
    problems_.push_back(fmt::format("{}:{}: error: {}", patch.path.string(), line, text));
  }

  void apply_file(const PatchFile& patch, const FilePatch& file) {
    check_interrupted();
    if (file.change == FileChange::create) {
      create(patch, file);
      return;
    }
    const std::string& target = file.change == FileChange::remove ? file.old_path : file.new_path;
    const std::string before = contents(file.old_path);
    if (file.change != FileChange::modify && file.change != FileChange::remove && exists(target)) {
      problem(patch, file.line, fmt::format("{} is there already", target));
      return;
    }
    write_with_folders(result_.directory / target, before);
    state_[target] = true;
    if (!file.hunks.empty()) run_patch(patch, file, target, before);
    if (file.change == FileChange::rename) forget(file.old_path);
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
    std::string text;
    for (const Hunk& hunk : file.hunks) {
      for (const string_view line : hunk.new_side()) (text += line) += '\n';
      if (hunk.new_ends_open && !text.empty()) text.pop_back();
    }
    if (exists(file.new_path)) {
      const bool same = contents(file.new_path) == text;
      problem(patch, file.line,
              same ? fmt::format("{} is there already: the patch is already applied", file.new_path)
                   : fmt::format("the patch adds {}, but the source has such a file", file.new_path));
      return;
    }
    write_with_folders(result_.directory / file.new_path, text);
    state_[file.new_path] = true;
  }

  fs::path write_hunks(const FilePatch& file) {
    std::string text = "--- a\n+++ b\n";
    for (const Hunk& hunk : file.hunks) {
      text += fmt::format("@@ -{},{} +{},{} @@\n", hunk.old_start, hunk.old_count, hunk.new_start, hunk.new_count);
      size_t last_old = std::string::npos;
      size_t last_new = std::string::npos;
      for (size_t i = 0; i < hunk.lines.size(); ++i) {
        if (hunk.lines[i].front() != '+') last_old = i;
        if (hunk.lines[i].front() != '-') last_new = i;
      }
      for (size_t i = 0; i < hunk.lines.size(); ++i) {
        (text += hunk.lines[i]) += '\n';
        if ((hunk.old_ends_open && i == last_old) || (hunk.new_ends_open && i == last_new)) {
          text += "\\ No newline at end of file\n";
        }
      }
    }
    fs::path diff = result_.directory;
    diff += fmt::format(".{}.diff", ++diffs_);
    write_file(diff, text, Flush::no);
    return diff;
  }

  // First as it stands. Where text differs and nothing else explains it, again with fuzz, as long as some context
  // must still match.
  void run_patch(const PatchFile& patch, const FilePatch& file, const std::string& target, const std::string& before) {
    const fs::path diff = write_hunks(file);
    CommandResult result = call_patch(diff, target, 0);
    const std::vector<string_view> lines = lines_of(before);
    const bool text_only = std::none_of(file.hunks.begin(), file.hunks.end(), [&](const Hunk& hunk) {
      const Misfit misfit = judge(lines, hunk);
      return misfit == Misfit::applied_already || misfit == Misfit::blanks;
    });
    const size_t fuzz = allowed_fuzz(file);
    if (!result.ok() && text_only && fuzz > 0) {
      write_with_folders(result_.directory / target, before);
      const CommandResult fuzzy = call_patch(diff, target, fuzz);
      if (fuzzy.ok()) result = fuzzy;
    }
    fs::remove(diff);
    if (result.ok()) {
      report_success(patch, file, target, before, result.output);
    } else {
      report_failure(patch, file, target, before, result.output);
    }
  }

  CommandResult call_patch(const fs::path& diff, const std::string& target, size_t fuzz) {
    Command command;
    command.argv = {"patch",
                    "--batch",
                    "--forward",
                    "--unified",
                    "--no-backup-if-mismatch",
                    "--reject-file=-",
                    fmt::format("--fuzz={}", fuzz)};
    if (ignore_whitespace_) command.argv.push_back("--ignore-whitespace");
    command.argv.insert(command.argv.end(), {"--input=" + diff.string(), (result_.directory / target).string()});
    CommandResult result = executor_.run(command);
    if (result.status > 1) executor_.fail(fmt::format("patch could not work on {}", target), result);
    return result;
  }

  // How many lines of context may differ: one less than the hunk with the least context has, at most two.
  static size_t allowed_fuzz(const FilePatch& file) {
    size_t fuzz = 2;
    for (const Hunk& hunk : file.hunks) {
      const auto changes = [](const std::string& line) { return line.front() != ' '; };
      const auto first = std::find_if(hunk.lines.begin(), hunk.lines.end(), changes);
      const auto last = std::find_if(hunk.lines.rbegin(), hunk.lines.rend(), changes);
      const auto context = std::max(first - hunk.lines.begin(), last - hunk.lines.rbegin());
      fuzz = std::min(fuzz, static_cast<size_t>(std::max<std::ptrdiff_t>(context, 1) - 1));
    }
    return fuzz;
  }

  void report_success(const PatchFile& patch, const FilePatch& file, const std::string& target,
                      const std::string& before, string_view output) {
    for (const string_view line : lines_of(output)) {
      if (line.find(" with fuzz ") != string_view::npos) warn(patch, fmt::format("{}: {}", target, line));
    }
    if (!ignore_whitespace_) return;
    const std::vector<string_view> lines = lines_of(before);
    for (const Hunk& hunk : file.hunks) {
      if (judge(lines, hunk) == Misfit::blanks) {
        warn(patch,
             fmt::format("{}: the hunk of line {} was applied although its white space differs", target, hunk.line));
      }
    }
  }

  void report_failure(const PatchFile& patch, const FilePatch& file, const std::string& target,
                      const std::string& before, string_view output) {
    const std::vector<size_t> failed = failed_hunks(output, file.hunks.size());
    const std::vector<string_view> lines = lines_of(before);
    for (const size_t number : failed) {
      const Hunk& hunk = file.hunks[number];
      const std::string what = fmt::format("hunk {} of {} does not apply to {}", number + 1, file.hunks.size(), target);
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

  // Indices of the hunks that patch could not place; all of them when it took the whole for reversed.
  static std::vector<size_t> failed_hunks(string_view output, size_t count) {
    std::vector<size_t> failed;
    for (string_view line : lines_of(output)) {
      if (!line.starts_with("Hunk #")) continue;
      line.remove_prefix(6);
      size_t number = 0;
      const auto [end, code] = std::from_chars(line.data(), line.data() + line.size(), number);
      const string_view rest(end, static_cast<size_t>(line.data() + line.size() - end));
      const bool misses = rest.starts_with(" FAILED") || rest.starts_with(" ignored");
      if (code == std::errc() && number >= 1 && number <= count && misses) failed.push_back(number - 1);
    }
    if (failed.empty()) {
      for (size_t i = 0; i < count; ++i) failed.push_back(i);
    }
    return failed;
  }

  fs::path source_;
  bool ignore_whitespace_;
  Executor& executor_;
  AppliedPatches result_;
  std::map<std::string, bool> state_;  // touched so far: exists now?
  std::vector<std::string> problems_;
  unsigned diffs_ = 0;
};

}  // namespace

std::vector<std::string> AppliedPatches::touched() const {
  std::vector<std::string> all = modified;
  all.insert(all.end(), added.begin(), added.end());
  all.insert(all.end(), removed.begin(), removed.end());
  std::sort(all.begin(), all.end());
  return all;
}

AppliedPatches apply_patches(std::span<const fs::path> patches, const fs::path& source, const fs::path& directory,
                             bool ignore_whitespace, Executor& executor) {
  fs::create_directories(directory);
  Applier applier(source, directory, ignore_whitespace, executor);
  for (const fs::path& patch : patches) applier.apply(patch);
  return applier.finish();
}

}  // namespace kpatch
