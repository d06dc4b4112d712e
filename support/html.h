#pragma once

#include <string>
#include <string_view>

namespace kpatch {

// A text as it stands in an HTML page, in attributes too; control characters, which have no place there, are replaced.
std::string escaped_html(std::string_view text);

}  // namespace kpatch
