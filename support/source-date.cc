#include "support/source-date.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "support/error.h"

namespace kpatch {

std::optional<long long> source_date_epoch() {
  constexpr long long latest = 253402300799;  // the year 9999 ends; no format has room for more
  const char* given = std::getenv("SOURCE_DATE_EPOCH");
  const std::string_view text = given == nullptr ? "" : given;
  if (text.empty()) return std::nullopt;
  long long seconds = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (rest != text.data() + text.size() || error != std::errc() || seconds < 0 || seconds > latest)
    throw Error(fmt::format("SOURCE_DATE_EPOCH={}: seconds since 1970 are meant", text));
  return seconds;
}

}  // namespace kpatch
