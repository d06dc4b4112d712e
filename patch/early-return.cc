//     static int meminfo_proc_show(struct seq_file *m, void *v)        static int meminfo_proc_show(struct seq_file *m, void *v)
//     {                                                                {
//                                                                 +            return -1;
//                                                                 +            {
//             struct sysinfo i;                                                struct sysinfo i;
//             …                                                                …
//                                                                 +            }
//     }                                                                }
//
// Where the body begins is read as C is: behind the function's name and its parentheses, comments and strings left out,
// at the first brace. Where it ends isn't, because an #ifdef may open one brace twice; the kernel's style has the brace
// that ends a function, and no other, at the beginning of a line. A body on one line gets the statement alone.
#include "patch/early-return.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "support/error.h"
#include "support/text.h"

namespace kpatch {

namespace {

using std::string_view;

constexpr size_t context = 3;

bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

// Behind the comment, string or character that begins at `at`; `at` itself when none does.
size_t behind_quoted(string_view text, size_t at) {
  const auto behind = [&](string_view end, size_t from) {
    const size_t found = text.find(end, from);
    return found == string_view::npos ? text.size() : found + end.size();
  };
  if (text.substr(at, 2) == "/*") return behind("*/", at + 2);
  if (text.substr(at, 2) == "//") return behind("\n", at);
  if (text[at] != '"' && text[at] != '\'') return at;
  for (size_t i = at + 1; i < text.size(); ++i) {
    if (text[i] == '\\')
      ++i;
    else if (text[i] == text[at])
      return i + 1;
  }
  return text.size();
}

// The first of these characters that stands in no comment, string or parentheses.
size_t find_plain(string_view text, size_t at, string_view wanted) {
  size_t depth = 0;
  while (at < text.size()) {
    if (const size_t next = behind_quoted(text, at); next != at) {
      at = next;
      continue;
    }
    if (depth == 0 && wanted.find(text[at]) != string_view::npos) return at;
    if (text[at] == '(') ++depth;
    if (text[at] == ')' && depth > 0) --depth;
    ++at;
  }
  return string_view::npos;
}

size_t start_of_line(string_view text, int line) {
  size_t at = 0;
  for (int i = 1; i < line && at != string_view::npos; ++i) {
    at = text.find('\n', at);
    if (at != string_view::npos) ++at;
  }
  return at;
}

// The place of the body's brace.
size_t brace_of(const EarlyReturn& what, string_view source) {
  const size_t line = start_of_line(source, what.line);
  if (what.line < 1 || line >= source.size()) return string_view::npos;
  const size_t line_end = std::min(source.find('\n', line), source.size());
  for (size_t at = line; at < line_end; ++at) {
    if (const size_t next = behind_quoted(source, at); next != at) {
      at = next - 1;
      continue;
    }
    if (!is_word(source[at]) || (at > 0 && is_word(source[at - 1]))) continue;
    size_t end = at;
    while (end < source.size() && is_word(source[end])) ++end;
    if (source.substr(at, end - at) != what.function) continue;
    const size_t open = find_plain(source, end, "(");
    if (open == string_view::npos || !trimmed(source.substr(end, open - end)).empty()) continue;
    const size_t brace = find_plain(source, open, "{;");
    return brace != string_view::npos && source[brace] == '{' ? brace : string_view::npos;
  }
  return string_view::npos;
}

size_t line_of(string_view text, size_t at) {
  return static_cast<size_t>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n')) + 1;
}

// What becomes of a line.
struct Edit {
  std::vector<std::string> before{}, behind{};
  std::optional<std::string> instead{};
};

// By line, from 1.
using Edits = std::map<size_t, Edit>;

void add_edits(Edits& edits, const EarlyReturn& what, string_view source, const std::vector<string_view>& lines) {
  const size_t brace = brace_of(what, source);
  KPATCH_ASSERT(brace != string_view::npos);
  const size_t line = line_of(source, brace);
  const string_view text = lines[line - 1];
  const size_t column = brace - start_of_line(source, static_cast<int>(line));
  size_t rest = column + 1;
  while (rest < text.size() && (text[rest] == ' ' || text[rest] == '\t')) ++rest;
  const bool alone = rest == text.size() || text.substr(rest, 2) == "/*" || text.substr(rest, 2) == "//";
  const auto end = std::find_if(lines.begin() + static_cast<std::ptrdiff_t>(line), lines.end(),
                                [](string_view other) { return other.starts_with('}'); });
  if (!alone || end == lines.end()) {
    edits[line].instead = fmt::format("{} {}{}", text.substr(0, column + 1), what.statement, text.substr(column + 1));
    return;
  }
  edits[line].behind = {"\t" + what.statement, "\t{"};
  edits[static_cast<size_t>(end - lines.begin()) + 1].before = {"\t}"};
}

std::string hunk(const std::vector<string_view>& lines, size_t first, size_t last, const Edits& edits, long& shift) {
  std::string body;
  size_t added = 0;
  const auto add = [&](const std::string& line) {
    body += "+" + line + "\n";
    ++added;
  };
  for (size_t line = first; line <= last; ++line) {
    const auto edit = edits.find(line);
    const std::string text(lines[line - 1]);
    if (edit == edits.end()) {
      body += " " + text + "\n";
      continue;
    }
    for (const std::string& one : edit->second.before) add(one);
    body += (edit->second.instead ? "-" : " ") + text + "\n";
    if (edit->second.instead) {
      add(*edit->second.instead);
      --added;
    }
    for (const std::string& one : edit->second.behind) add(one);
  }
  const size_t count = last - first + 1;
  std::string head =
      fmt::format("@@ -{},{} +{},{} @@\n", first, count, static_cast<long>(first) + shift, count + added);
  shift += static_cast<long>(added);
  return head + body;
}

}  // namespace

std::optional<size_t> body_of(const EarlyReturn& what, string_view source) {
  const size_t brace = brace_of(what, source);
  return brace == string_view::npos ? std::nullopt : std::optional(line_of(source, brace));
}

std::string early_return_patch(const std::string& file, const std::vector<EarlyReturn>& functions, string_view source) {
  const std::vector<string_view> lines = lines_of(source);
  Edits edits;
  for (const EarlyReturn& function : functions) add_edits(edits, function, source, lines);
  std::string text = fmt::format("--- a/{0}\n+++ b/{0}\n", file);
  long shift = 0;
  for (auto edit = edits.begin(); edit != edits.end();) {
    const size_t first = edit->first > context ? edit->first - context : 1;
    size_t last = edit->first + context;
    for (++edit; edit != edits.end() && edit->first <= last + context + 1; ++edit) last = edit->first + context;
    text += hunk(lines, first, std::min(last, lines.size()), edits, shift);
  }
  return text;
}

}  // namespace kpatch
