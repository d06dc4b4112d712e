// Bytes in JSON.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kpatch {

std::string base64_of(std::string_view bytes);
// Nothing when the text is none.
std::optional<std::string> bytes_of_base64(std::string_view text);

}  // namespace kpatch
