// The rules that findings name (Finding::rule), each with what the patch author guide says of it. doc/rules/ has the texts,
// integration/rules/ the examples; rules/table.py makes the table of them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/finding.h"

namespace kpatch {

struct Rule {
  std::string_view name;  // "data-init"
  std::string_view group;
  std::string_view kinds;     // "refusal, warning"
  bool acknowledgeable;       // kpatch-build --ack takes it
  std::string_view programs;  // that have such findings: "kpatch-build, klpmake"
  std::string_view summary;   // one line, Markdown as all that follows
  std::string_view text;
  std::string_view no_example;  // why there is none; else empty
  std::string_view bad;         // a patch, maybe with options and other files before it
  std::string_view good;
};

// Sorted by name.
std::span<const Rule> all_rules();
// nullptr when there is no rule of that name.
const Rule* find_rule(std::string_view name);
// The rules whose names are nearest to one that isn't there, by edit distance (Levenshtein); none when no name is near.
std::vector<std::string_view> near_rules(std::string_view name);
// Of the rules that --ack takes.
std::vector<std::string_view> acknowledgeable_rules();

// A line for each rule: name, kinds, summary.
std::string rules_list(bool colour);
// A rule's section of the guide for a terminal: wrapped at `width` columns (of which patches know nothing), bold and coloured
// where that is asked for; without a word of Markdown's.
std::string rule_page(const Rule& rule, unsigned width, bool colour);
nlohmann::json to_json(const Rule& rule);

// What to do instead, in the first sentence that the guide has of it, as plain text without its full stop.
std::string instead_of(const Rule& rule);
// A refusal that has no advice of its own gets its rule's.
void add_advice(std::vector<Finding>& findings);

}  // namespace kpatch
