#pragma once

#include <string_view>

namespace kpatch {

// The page's style sheet, and its script: neither holds anything from outside.
std::string_view report_style();
std::string_view report_script();

}  // namespace kpatch
