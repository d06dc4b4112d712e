// What a stage of a build gives: nothing is printed where it is found, so that a test can call any stage.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/finding.h"

namespace kpatch {

template <typename T>
struct Result {
  std::optional<T> value{};         // empty: the build ends here
  std::vector<Finding> findings{};  // also beside a value
  // Why there is nothing to build, where that is how it ended; it counts only without a value, a refusal or an error.
  std::string no_change{};
};

}  // namespace kpatch
