// SHA-384, 96 hex digits: the registers of confidential machines are extended by it.
#pragma once

#include <string>
#include <string_view>

namespace kpatch {

std::string sha384_of(std::string_view bytes);

}  // namespace kpatch
