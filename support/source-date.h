// SOURCE_DATE_EPOCH: the moment that what is made is dated with, so that equal input gives equal bytes.
#pragma once

#include <optional>

namespace kpatch {

// Seconds since 1970; nothing where it isn't set, or is empty. Throws Error where it is no such number.
std::optional<long long> source_date_epoch();

}  // namespace kpatch
