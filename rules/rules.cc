// Finding rules by their names, and by what was typed instead
//
//     $ kpatch explain data-lay
//     error: there is no rule data-lay; near: data-layout, data-init
//
// A name is near when it begins with what was typed, or when a third of its letters have to change at most.
#include "rules/rules.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <tuple>

#include "support/text.h"

namespace kpatch {
namespace {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t above = row[j + 1];
      row[j + 1] = std::min({above + 1, row[j] + 1, diagonal + (a[i] == b[j] ? 0U : 1U)});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

const Rule* find_rule(std::string_view name) {
  const std::span<const Rule> rules = all_rules();
  const auto found = std::ranges::lower_bound(rules, name, {}, &Rule::name);
  return found != rules.end() && found->name == name ? &*found : nullptr;
}

std::vector<std::string_view> near_rules(std::string_view name) {
  std::vector<std::tuple<size_t, std::string_view>> near;
  for (const Rule& rule : all_rules()) {
    const size_t distance = edit_distance(name, rule.name);
    if (name.size() > 1 && rule.name.starts_with(name))
      near.emplace_back(0, rule.name);
    else if (distance * 3 <= std::max(name.size(), rule.name.size()))
      near.emplace_back(distance, rule.name);
  }
  std::ranges::sort(near);
  constexpr size_t most = 6;
  std::vector<std::string_view> names;
  for (size_t i = 0; i < near.size() && i < most; ++i) names.push_back(std::get<1>(near[i]));
  return names;
}

std::vector<std::string_view> acknowledgeable_rules() {
  std::vector<std::string_view> names;
  for (const Rule& rule : all_rules())
    if (rule.acknowledgeable) names.push_back(rule.name);
  return names;
}

nlohmann::json to_json(const Rule& rule) {
  nlohmann::json json = {{"rule", rule.name},
                         {"group", rule.group},
                         {"kinds", nlohmann::json::array()},
                         {"programs", nlohmann::json::array()},
                         {"acknowledgeable", rule.acknowledgeable},
                         {"summary", rule.summary},
                         {"text", rule.text}};
  for (const std::string_view kind : fields_of(rule.kinds, ',')) json["kinds"].push_back(trimmed(kind));
  for (const std::string_view program : fields_of(rule.programs, ',')) json["programs"].push_back(trimmed(program));
  if (!rule.no_example.empty()) json["no_example"] = rule.no_example;
  if (!rule.bad.empty()) json["bad"] = rule.bad;
  if (!rule.good.empty()) json["good"] = rule.good;
  return json;
}

}  // namespace kpatch
