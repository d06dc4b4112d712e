// Where a hunk belongs
//
//     @@ -41,6 +41,8 @@ static int meminfo_proc_show(struct seq_file *m, void *v)
//
// Line 41 is where it was in the author's tree. In ours it may be at 45, and then its six lines are all there is to go by:
// `}\n\n\treturn 0;` fits in fifty functions. GNU patch takes the nearest, and with fuzz what nearly fits; the patch then
// applies, compiles, and changes another function. A livepatch of the wrong function is worse than none, so:
//
//   - each line must be equal, there is no fuzz;
//   - in a file of C the function that the heading names must be the one at the place (where the heading names one);
//   - at the heading's line it is taken there, unless other hunks of the file were moved by so many lines that it fits there as well;
//   - elsewhere it must fit at one place alone, and the offset is reported.
//
// The heading is the last line before the hunk that begins with a letter, _ or $ (GNU diff -p, git), where git with the
// kernel's .gitattributes passes over labels. Both are tried, since nothing tells which of them wrote the patch. Headings
// are cut off behind 40 or 80 bytes. A function may have got another parameter meanwhile, so its name decides as well.
#include "patch/place.h"

#include <fmt/format.h>

#include <algorithm>

#include "support/text.h"

namespace kpatch {
namespace {

using std::string_view;
using Lines = std::vector<string_view>;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

std::string squeezed(string_view text) {
  std::string result;
  for (const char c : text) {
    if (!is_blank(c))
      result += c;
    else if (!result.empty() && result.back() != ' ')
      result += ' ';
  }
  while (!result.empty() && result.back() == ' ') result.pop_back();
  return result;
}

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$';
}

bool is_heading(string_view line) { return !line.empty() && is_word(line[0]) && !(line[0] >= '0' && line[0] <= '9'); }

// "out:", "out: /* all done */"
bool is_label(string_view line) {
  const auto end = std::find_if_not(line.begin(), line.end(), is_word);
  string_view rest(end, static_cast<size_t>(line.end() - end));
  if (!rest.starts_with(':')) return false;
  rest.remove_prefix(1);
  while (!rest.empty() && is_blank(rest[0])) rest.remove_prefix(1);
  return rest.empty() || rest[0] == '/';
}

// What a heading is about: "meminfo_proc_show", "SYSCALL_DEFINE3(open", "struct seq_file". text: squeezed.
std::string subject_of_heading(string_view text) {
  const size_t open = text.find('(');
  if (open == string_view::npos) {
    text = text.substr(0, text.find_first_of("={[;"));
    while (text.ends_with(' ')) text.remove_suffix(1);
    return std::string(text);
  }
  string_view before = text.substr(0, open);
  while (before.ends_with(' ')) before.remove_suffix(1);
  size_t start = before.size();
  while (start > 0 && is_word(before[start - 1])) --start;
  const string_view name = before.substr(start);
  if (name.empty() || name.starts_with("__")) return std::string(text);  // __attribute__((…)) and the like
  const bool macro = std::ranges::none_of(name, [](char c) { return c >= 'a' && c <= 'z'; });
  if (!macro) return std::string(name);
  return fmt::format("{}{}", name, text.substr(open, text.find_first_of(",)", open) - open));
}

class Places {
 public:
  Places(std::span<const Hunk> hunks, const Lines& file, bool c, bool ignore_whitespace)
      : hunks_(hunks), file_(file), c_(c), ignore_whitespace_(ignore_whitespace) {}

  std::vector<HunkPlace> run() {
    size_t from = 0;
    for (const Hunk& hunk : hunks_) {
      candidates_.emplace_back();
      places_.push_back(place(hunk, from, candidates_.back()));
      if (places_.back().at) from = *places_.back().at + hunk.old_side().size();
    }
    for (size_t i = 0; i < places_.size(); ++i) doubt_exact(i);
    return std::move(places_);
  }

 private:
  static int64_t expected(const Hunk& hunk) {
    return static_cast<int64_t>(hunk.old_start) - (hunk.old_count > 0 ? 1 : 0);
  }

  static HunkPlace nowhere(std::string why) { return {{}, 0, std::move(why)}; }

  HunkPlace place(const Hunk& hunk, size_t from, std::vector<size_t>& candidates) const {
    if (hunk.old_side().empty()) {
      if (file_.empty()) return {0, 0, {}};
      return nowhere("it has no context, and nothing else tells where it belongs (diff -U3 gives some)");
    }
    std::vector<size_t> fits = find(hunk, from, false);
    if (fits.empty() && ignore_whitespace_) fits = find(hunk, from, true);
    if (fits.empty()) return {};
    for (const size_t at : fits)
      if (is_in_named_function(hunk, at)) candidates.push_back(at);
    if (candidates.empty())
      return nowhere(fmt::format("its text is at line {} only in '{}', and the patch says that it belongs to '{}'",
                                 fits.front() + 1, heading_at(fits.front(), true), squeezed(hunk.heading)));
    const int64_t there = expected(hunk);
    for (const size_t at : candidates)
      if (static_cast<int64_t>(at) == there) return {at, 0, {}};
    if (candidates.size() == 1) return {candidates.front(), static_cast<int64_t>(candidates.front()) - there, {}};
    return ambiguous(candidates);
  }

  static HunkPlace ambiguous(const std::vector<size_t>& candidates) {
    std::string lines;
    for (size_t i = 0; i < std::min<size_t>(candidates.size(), 4); ++i)
      lines += fmt::format("{}{}", i > 0 ? ", " : "", candidates[i] + 1);
    return nowhere(fmt::format("it fits equally at the lines {}{}", lines, candidates.size() > 4 ? " and more" : ""));
  }

  // It fits where its heading says; but the other hunks were moved, and moved like them it fits too.
  void doubt_exact(size_t number) {
    HunkPlace& own = places_[number];
    if (!own.at || own.offset != 0) return;
    for (size_t i = 0; i < places_.size(); ++i) {
      if (!places_[i].at || places_[i].offset == 0) continue;
      for (const size_t at : candidates_[number])
        if (static_cast<int64_t>(at) == expected(hunks_[number]) + places_[i].offset) {
          own = ambiguous({std::min(at, *own.at), std::max(at, *own.at)});
          return;
        }
    }
  }

  std::vector<size_t> find(const Hunk& hunk, size_t from, bool blanks) const {
    std::vector<std::string> old;
    for (const string_view line : hunk.old_side()) old.push_back(std::string(line) + "\n");
    if (hunk.old_ends_open) old.back().pop_back();
    const auto equal = [&](string_view a, string_view b) { return blanks ? equal_but_for_blanks(a, b) : a == b; };
    std::vector<size_t> found;
    for (auto at = file_.begin() + static_cast<std::ptrdiff_t>(std::min(from, file_.size())); at != file_.end(); ++at) {
      at = std::search(at, file_.end(), old.begin(), old.end(), equal);
      if (at == file_.end()) break;
      found.push_back(static_cast<size_t>(at - file_.begin()));
    }
    return found;
  }

  std::string heading_at(size_t at, bool pass_labels) const {
    while (at-- > 0)
      if (is_heading(file_[at]) && !(pass_labels && is_label(file_[at]))) return squeezed(file_[at]);
    return {};
  }

  bool is_in_named_function(const Hunk& hunk, size_t at) const {
    const std::string wanted = squeezed(hunk.heading);
    if (!c_ || wanted.empty()) return true;
    return std::ranges::any_of(std::initializer_list<bool>{false, true}, [&](bool pass_labels) {
      const std::string there = heading_at(at, pass_labels);
      if (there.empty()) return false;
      return there.starts_with(wanted) || subject_of_heading(there) == subject_of_heading(wanted);
    });
  }

  std::span<const Hunk> hunks_;
  const Lines& file_;
  bool c_, ignore_whitespace_;
  std::vector<HunkPlace> places_;
  std::vector<std::vector<size_t>> candidates_;  // of each hunk
};

}  // namespace

bool equal_but_for_blanks(string_view a, string_view b) {
  const auto trim = [](string_view& s) {
    while (!s.empty() && is_blank(s.back())) s.remove_suffix(1);
  };
  trim(a);
  trim(b);
  size_t i = 0;
  size_t j = 0;
  while (i < a.size() && j < b.size()) {
    if (is_blank(a[i]) != is_blank(b[j])) return false;
    if (is_blank(a[i])) {
      while (is_blank(a[i])) ++i;  // both end in another character
      while (is_blank(b[j])) ++j;
    } else if (a[i++] != b[j++]) {
      return false;
    }
  }
  return i == a.size() && j == b.size();
}

std::vector<HunkPlace> place_hunks(std::span<const Hunk> hunks, const Lines& file, bool c, bool ignore_whitespace) {
  return Places(hunks, file, c, ignore_whitespace).run();
}

std::string apply_hunks(std::span<const Hunk> hunks, std::span<const HunkPlace> places, const Lines& file) {
  std::string text;
  size_t next = 0;  // the first line of the file that isn't in the text yet
  for (size_t i = 0; i < hunks.size(); ++i) {
    for (const size_t at = places[i].at.value(); next < at; ++next) text += file[next];
    for (const std::string& line : hunks[i].lines) {
      if (line.front() == '+')
        (text += string_view(line).substr(1)) += '\n';
      else if (line.front() == ' ')
        text += file[next++];
      else
        ++next;
    }
    const bool last_is_new = !hunks[i].lines.empty() && hunks[i].new_ends_open;
    if (last_is_new && text.ends_with('\n')) text.pop_back();
  }
  for (; next < file.size(); ++next) text += file[next];
  return text;
}

}  // namespace kpatch
