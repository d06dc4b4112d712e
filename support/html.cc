#include "support/html.h"

#include <boost/locale/utf.hpp>

namespace kpatch {

namespace {

constexpr std::string_view unknown_character = "\xef\xbf\xbd";  // U+FFFD

// How many bytes the character at the beginning has; 0 where it is no UTF-8, as in a patch that is Latin-1.
size_t length_of_character(std::string_view text) {
  namespace utf = boost::locale::utf;
  const char* at = text.data();
  const utf::code_point c = utf::utf_traits<char>::decode(at, text.data() + text.size());
  return c == utf::illegal || c == utf::incomplete ? 0 : static_cast<size_t>(at - text.data());
}

}  // namespace

std::string escaped_html(std::string_view text) {
  std::string result;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        // Control characters have no place in HTML, but for tab and newline.
        if (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n') {
          result += unknown_character;
        } else if (const size_t length = length_of_character(text.substr(at)); length == 0) {
          result += unknown_character;
        } else {
          result += text.substr(at, length);
          at += length - 1;
        }
    }
  }
  return result;
}

}  // namespace kpatch
