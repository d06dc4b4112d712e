// Text: its lines, fields and words, as views into it.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <vector>

namespace kpatch {

inline constexpr std::string_view white_space = " \t\r\n\v\f";

// The lines of a text without their newlines; a last line without a newline counts.
std::vector<std::string_view> lines_of(std::string_view text);
// The same with their newlines: together they are the text.
std::vector<std::string_view> whole_lines(std::string_view text);
// What stands between separators, empty fields too: one more than there are separators. An empty text has no fields.
std::vector<std::string_view> fields_of(std::string_view text, char separator);
// What stands between white space.
std::vector<std::string_view> words_of(std::string_view text);

// Views into a text that is gone when the statement ends are never meant.
template <std::same_as<std::string> Text>
void lines_of(Text&&) = delete;
template <std::same_as<std::string> Text>
void whole_lines(Text&&) = delete;
template <std::same_as<std::string> Text>
void fields_of(Text&&, char) = delete;
template <std::same_as<std::string> Text>
void words_of(Text&&) = delete;

// Without what stands at both ends.
std::string_view trimmed(std::string_view text, std::string_view what = white_space);

// "a, b, c"
template <typename Texts>
std::string joined(const Texts& texts, std::string_view separator) {
  std::string result;
  bool first = true;
  for (const auto& text : texts) {
    if (!first) result += separator;
    result += text;
    first = false;
  }
  return result;
}

// "a, b, c and 4 more": as many of a list as a message has room for.
std::string some_of(const std::vector<std::string>& names);

}  // namespace kpatch
