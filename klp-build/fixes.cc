#include "klp-build/fixes.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using std::string;
using std::string_view;

std::vector<unsigned> numbers_of(string_view version) {
  std::vector<unsigned> numbers;
  for (const string_view field : fields_of(version, '.')) {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), number);
    if (error != std::errc()) break;
    numbers.push_back(number);
    if (end != field.data() + field.size()) break;
  }
  return numbers;
}

string series_of(string_view version) {
  const std::vector<unsigned> numbers = numbers_of(version);
  return numbers.size() < 2 ? string(version) : fmt::format("{}.{}", numbers[0], numbers[1]);
}

}  // namespace

string reverse_of(const PatchFile& patch) {
  string text;
  for (const FilePatch& file : patch.files) {
    if (file.change != FileChange::modify) throw Error(fmt::format("{}: a file comes or goes", file.new_path));
    text += fmt::format("--- {}\n+++ {}\n", file.new_path, file.old_path);
    for (const Hunk& hunk : file.hunks) {
      text += fmt::format("@@ -{},{} +{},{} @@\n", hunk.new_start, hunk.new_count, hunk.old_start, hunk.old_count);
      std::vector<string> gone, come;  // what goes stands before what comes
      const auto flush = [&] {
        for (const string& line : gone) text += line;
        for (const string& line : come) text += line;
        gone.clear();
        come.clear();
      };
      for (const string& line : hunk.lines) {
        if (line.front() == '+')
          gone.push_back("-" + line.substr(1) + "\n");
        else if (line.front() == '-')
          come.push_back("+" + line.substr(1) + "\n");
        else
          flush(), text += line + "\n";
      }
      flush();
    }
  }
  return text;
}

string cve_name(string_view text) {
  const string_view plain = text.starts_with("CVE-") ? text.substr(4) : text;
  const std::vector<string_view> parts = fields_of(plain, '-');
  const auto digits = [](string_view word, size_t least, size_t most) {
    return word.size() >= least && word.size() <= most && word.find_first_not_of("0123456789") == string_view::npos;
  };
  if (parts.size() != 2 || !digits(parts[0], 4, 4) || !digits(parts[1], 4, 7))
    throw Error(fmt::format("--cve {}: expected YEAR-NUMBER, as 2022-1048", text));
  return fmt::format("CVE-{}", plain);
}

std::optional<string> fixed_version_of(const string& text, const string& file, const string& cve, const string& suite) {
  try {
    const json whole = json::parse(text);
    const json& linux = whole.at("linux");
    if (!linux.contains(cve)) return std::nullopt;
    const json releases = linux.at(cve).value("releases", json::object());
    if (!releases.contains(suite)) return std::nullopt;
    const json& release = releases.at(suite);
    if (release.value("status", "") != "resolved" || !release.contains("fixed_version")) return std::nullopt;
    return release.at("fixed_version").get<string>();
  } catch (const json::exception& error) {
    throw Error(fmt::format("{}: is no security tracker's JSON: {}", file, error.what()));
  }
}

CveRecord parse_cve_record(const string& text, const string& file) {
  CveRecord record;
  try {
    const json whole = json::parse(text);
    for (const json& affected : whole.at("containers").at("cna").at("affected")) {
      const json files = affected.value("programFiles", json::array()),
                 versions = affected.value("versions", json::array());
      for (const json& path : files) record.files.push_back(path);
      for (const json& version : versions) {
        const string type = version.value("versionType", ""), status = version.value("status", "");
        if (type == "git" && status == "affected" && version.contains("lessThan"))
          record.commits.push_back(version.at("lessThan"));
        const string last = version.value("lessThanOrEqual", "");
        if (type != "git" && status == "unaffected" && (last.ends_with(".*") || last == "*"))
          record.fixed[series_of(version.at("version").get<string>())] = version.at("version");
      }
    }
  } catch (const json::exception& error) {
    throw Error(fmt::format("{}: is no CVE record: {}", file, error.what()));
  }
  for (std::vector<string>* list : {&record.files, &record.commits}) {
    std::ranges::sort(*list);
    list->erase(std::unique(list->begin(), list->end()), list->end());
  }
  return record;
}

std::optional<fs::path> cve_record_file(const fs::path& folder, const string& cve) {
  const string name = cve + ".json", year = cve.substr(4, 4);
  for (const fs::path& path : {folder / name, folder / year / name, folder / "published" / year / name,
                               folder / "cve/published" / year / name})
    if (fs::exists(path)) return path;
  return std::nullopt;
}

std::optional<bool> fixed_by_record(const CveRecord& record, string_view version) {
  const auto first = record.fixed.find(series_of(version));
  if (first == record.fixed.end()) return std::nullopt;
  return numbers_of(version) >= numbers_of(first->second);
}

// "Fixes: 0123456789ab" names it too, and is another fix.
std::vector<string> backports_of(const fs::path& git, const string& commit, Executor& executor) {
  if (commit.find_first_not_of("0123456789abcdef") != string::npos) return {};  // a tag
  Command log{{"git", "-C", git.string(), "log", "--all", "--format=%H", "--extended-regexp"}, {}, {}};
  for (const char* form : {"^\\[ Upstream commit {}", "^commit {}[0-9a-f]* upstream", "cherry picked from commit {}"})
    log.argv.push_back("--grep=" + fmt::format(fmt::runtime(form), commit));
  const CommandResult result = executor.run(log);
  if (!result.ok()) throw Error(fmt::format("{}: can't be searched: {}", git.string(), trimmed(result.output)));
  std::vector<string> commits;
  for (const string_view line : lines_of(result.output)) commits.emplace_back(line);
  return commits;
}

bool has_commit(const fs::path& git, const string& commit, Executor& executor) {
  return executor
      .run({{"git", "-C", git.string(), "rev-parse", "--quiet", "--verify", "--end-of-options", commit + "^{commit}"},
            {},
            {}})
      .ok();
}

string patch_of_commit(const fs::path& git, const string& commit, Executor& executor) {
  const CommandResult result =
      executor.run({{"git", "-C", git.string(), "format-patch", "-1", "--stdout", "--no-signature", commit}, {}, {}});
  if (!result.ok())
    throw Error(fmt::format("{}: commit {} can't be had: {}", git.string(), commit, trimmed(result.output)));
  return result.output;
}

}  // namespace kpatch
