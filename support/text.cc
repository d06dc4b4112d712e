#include "support/text.h"

#include <fmt/format.h>

#include <algorithm>

namespace kpatch {

std::vector<std::string_view> lines_of(std::string_view text) {
  if (text.ends_with('\n')) {
    text.remove_suffix(1);
    if (text.empty()) return {""};
  }
  return fields_of(text, '\n');
}

std::vector<std::string_view> whole_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return lines;
}

std::vector<std::string_view> fields_of(std::string_view text, char separator) {
  std::vector<std::string_view> fields;
  if (text.empty()) return fields;
  fields.reserve(static_cast<size_t>(std::ranges::count(text, separator)) + 1);
  for (;;) {
    const size_t end = text.find(separator);
    fields.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return fields;
    text.remove_prefix(end + 1);
  }
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  for (size_t start = text.find_first_not_of(white_space); start != std::string_view::npos;) {
    const size_t end = text.find_first_of(white_space, start);
    words.push_back(text.substr(start, end - start));
    start = text.find_first_not_of(white_space, end);
  }
  return words;
}

std::string_view trimmed(std::string_view text, std::string_view what) {
  const size_t start = text.find_first_not_of(what);
  if (start == std::string_view::npos) return {};
  return text.substr(start, text.find_last_not_of(what) + 1 - start);
}

std::string some_of(const std::vector<std::string>& names) {
  constexpr size_t shown = 3;
  const std::vector<std::string> first(names.begin(), names.begin() + ptrdiff_t(std::min(names.size(), shown)));
  return fmt::format("{}{}", joined(first, ", "),
                     names.size() > shown ? fmt::format(" and {} more", names.size() - shown) : "");
}

}  // namespace kpatch
