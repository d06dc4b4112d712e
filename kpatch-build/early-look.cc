#include "kpatch-build/early-look.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>
#include <utility>

#include "kpatch-build/diff-pairs.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {

using std::string_view;

namespace {

bool of_word(char c) { return isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// "struct tcp_sock {": tcp_sock
string_view type_begun(string_view line) {
  for (const string_view kind : {"struct ", "union ", "enum "}) {
    if (!line.starts_with(kind)) continue;
    const string_view rest = line.substr(kind.size());
    const auto end = std::ranges::find_if_not(rest, of_word);
    const string_view name = rest.substr(0, static_cast<size_t>(end - rest.begin()));
    if (rest.find('{') != string_view::npos) return name;
  }
  return {};
}

size_t times_named(string_view text, string_view word) {
  size_t times = 0;
  for (size_t at = text.find(word); at != string_view::npos; at = text.find(word, at + word.size()))
    if ((at == 0 || !of_word(text[at - 1])) && (at + word.size() == text.size() || !of_word(text[at + word.size()])))
      ++times;
  return times;
}

std::vector<AffectedObject> those_to_look_at(const Base& base, const std::vector<std::string>& types,
                                             const std::vector<AffectedObject>& objects) {
  constexpr size_t few = 4;
  std::vector<std::pair<size_t, size_t>> ranked;  // how often it names one, place
  for (size_t i = 0; i < objects.size(); ++i) {
    if (!objects[i].original) continue;
    const std::string text = read_file_if_any(base.source / objects[i].command.source);
    size_t times = 0;
    for (const std::string& type : types) times += times_named(text, type);
    if (times > 0) ranked.emplace_back(times, i);
  }
  std::ranges::stable_sort(ranked, [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<AffectedObject> chosen;
  for (size_t i = 0; i < std::min(few, ranked.size()); ++i) chosen.push_back(objects[ranked[i].second]);
  return chosen;
}

}  // namespace

std::vector<std::string> types_that_change(string_view original, string_view patched) {
  std::set<std::string> names;
  const auto look = [&](string_view text, string_view other) {
    const std::vector<string_view> others = lines_of(other);
    const std::set<string_view> known(others.begin(), others.end());
    string_view type;
    for (const string_view line : lines_of(text)) {
      if (const string_view begun = type_begun(line); !begun.empty()) type = begun;
      if (line.starts_with('}')) type = {};
      if (!type.empty() && !known.contains(line)) names.emplace(type);
    }
  };
  look(patched, original);
  look(original, patched);
  return {names.begin(), names.end()};
}

std::vector<Finding> layouts_seen_early(const Build& build, const Base& base, const AppliedPatches& patches,
                                        const std::vector<AffectedObject>& objects, const CompileSettings& settings) {
  constexpr size_t many = 100;
  if (objects.size() < many) return {};
  std::vector<std::string> types;
  for (const std::string& file : patches.modified) {
    const std::string before = read_file_if_any(base.source / file), after = read_file_if_any(patches.directory / file);
    std::ranges::move(types_that_change(before, after), std::back_inserter(types));
  }
  const std::vector<AffectedObject> chosen = those_to_look_at(base, types, objects);
  if (chosen.empty()) return {};
  Console::Stage stage(build.console, "a first look");
  const std::vector<ObjectPair> pairs = compile_pairs(chosen, false, settings, build.executor, {}).value.value();
  std::vector<Finding> refusals;
  for (PairReport& report : diff_pairs(pairs, base, build.module, build.scratch / "early", {},
                                       build.options.acknowledged, build.options.jobs, build.executor, {}))
    for (Finding& finding : report.findings)
      if (finding.rule == "data-layout" && finding.severity == Severity::refusal)
        refusals.push_back(std::move(finding));
  stage.note(fmt::format("{} of {} objects, {} refused", chosen.size(), objects.size(), refusals.size()));
  if (!refusals.empty())
    refusals.push_back(
        {"early",
         Severity::notice,
         {},
         fmt::format("{} of {} objects were compared: what they show can't be patched", chosen.size(), objects.size()),
         "--ack data-layout has all of them compared"});
  return refusals;
}

}  // namespace kpatch
