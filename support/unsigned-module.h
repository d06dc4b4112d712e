// Signatures behind kernel modules, by their form alone.
#pragma once

#include <string_view>

namespace kpatch {

// A module's file without the signatures behind it. What has none, or a damaged one, stays as it is.
std::string_view without_signature(std::string_view module);

}  // namespace kpatch
