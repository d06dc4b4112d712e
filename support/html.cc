#include "support/html.h"

namespace kpatch {

std::string escaped_html(std::string_view text) {
  std::string result;
  for (const char c : text) {
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
        if (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n')
          result += "\xef\xbf\xbd";
        else
          result += c;
    }
  }
  return result;
}

}  // namespace kpatch
