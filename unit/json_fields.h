// What a JSON document of a schema has, and nothing else.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace kpatch {

inline void expect_fields(const nlohmann::ordered_json& object, const std::vector<std::string>& required,
                          const std::set<std::string>& more) {
  ASSERT_TRUE(object.is_object()) << object;
  for (const std::string& field : required) EXPECT_TRUE(object.contains(field)) << field << " in " << object;
  for (const auto& [key, value] : object.items())
    EXPECT_TRUE(std::ranges::count(required, key) > 0 || more.contains(key)) << "extra: " << key;
}

}  // namespace kpatch
