// A release in full never matches itself as an expression, since '+' says "several":
//
//     6.12.117+deb12-cloud-amd64      as it stands: a name
//     6.12                            as it stands: begins names
//     ^(?!6\.1\.).*                   an expression
#define PCRE2_CODE_UNIT_WIDTH 8
#include "klp-build/catalogue.h"

#include <fmt/core.h>
#include <pcre2.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "arch/arch.h"
#include "kernel/kernel.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

using std::string;
using std::string_view;

constexpr int catalogue_version = 1;

// "15.5u40" -> "15.5", 40
std::optional<std::pair<string, unsigned>> update_of(string_view name) {
  const size_t at = name.rfind('u');
  if (at == string_view::npos || at == 0 || at + 1 == name.size()) return std::nullopt;
  unsigned number = 0;
  const auto [end, error] = std::from_chars(name.data() + at + 1, name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return std::pair(string(name.substr(0, at)), number);
}

}  // namespace

string Codestream::base() const {
  if (const auto update = update_of(name)) return update->first;
  const auto release = parse_release(kernel);
  if (!release) return name;
  const string flavour = release->flavour.substr(0, release->flavour.rfind('-'));
  return release->flavour.find('-') == string::npos ? release->series : release->series + "-" + flavour;
}

const Arch* Codestream::architecture() const {
  const string_view flavour = string_view(kernel).substr(kernel.rfind('-') + 1);
  for (const Arch* arch : architectures())
    if (!arch->distro.debian.empty() && arch->distro.debian == flavour) return arch;
  return find_arch(host_machine());
}

string Codestream::arch() const {
  const Arch* arch = architecture();
  string name = arch == nullptr ? arch_name(host_machine()) : string(arch->elf.name);
  std::ranges::replace(name, '-', '_');
  return name;
}

std::optional<int> days_until(const string& date) {
  int year = 0;
  unsigned month = 0, day = 0;
  if (std::sscanf(date.c_str(), "%d-%u-%u", &year, &month, &day) != 3) return std::nullopt;
  const std::chrono::year_month_day end{std::chrono::year(year), std::chrono::month(month), std::chrono::day(day)};
  if (!end.ok()) return std::nullopt;
  const auto today = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now());
  return static_cast<int>((std::chrono::sys_days(end) - today).count());
}

std::vector<Codestream> parse_codestreams(string_view text, const string& file) {
  std::vector<Codestream> codestreams;
  std::vector<string> errors;
  int number = 0;
  for (const string_view line : lines_of(text)) {
    ++number;
    if (trimmed(line).empty() || trimmed(line).front() == '#') continue;
    const std::vector<string_view> fields = fields_of(line, ',');
    if (fields.size() < 3 || trimmed(fields[0]).empty() || trimmed(fields[2]).empty()) {
      errors.push_back(fmt::format("{}:{}: expected NAME,PROJECT,KERNEL,UNTIL", file, number));
      continue;
    }
    Codestream codestream;
    codestream.name = trimmed(fields[0]);
    codestream.project = trimmed(fields[1]);
    codestream.kernel = trimmed(fields[2]);
    if (fields.size() > 3) codestream.eol = trimmed(fields[3]);
    if (std::ranges::any_of(codestreams, [&](const Codestream& c) { return c.name == codestream.name; }))
      errors.push_back(fmt::format("{}:{}: {} is there twice", file, number, codestream.name));
    codestreams.push_back(std::move(codestream));
  }
  if (!errors.empty()) throw Error(joined(errors, "\n"));
  return codestreams;
}

std::vector<Codestream> read_catalogue(const std::filesystem::path& file) {
  std::vector<Codestream> codestreams;
  try {
    const nlohmann::json whole = nlohmann::json::parse(read_file(file));
    const int version = whole.value("version", 0);
    if (version > catalogue_version)
      throw Error(
          fmt::format("{}: is of a later klp-build (version {} of the file, this one knows {}); klp-build data "
                      "--update writes it anew",
                      file.string(), version, catalogue_version));
    for (const auto& entry : whole.at("codestreams"))
      codestreams.push_back({entry.at("name"), entry.at("kernel"), entry.value("version", ""), entry.value("suite", ""),
                             entry.value("project", ""), entry.value("eol", ""), entry.value("missing", "")});
  } catch (const nlohmann::json::exception& error) {
    throw Error(fmt::format("{}: {}; klp-build data --update writes it anew", file.string(), error.what()));
  }
  return codestreams;
}

void write_catalogue(const std::filesystem::path& file, const std::vector<Codestream>& codestreams) {
  nlohmann::json list = nlohmann::json::array();
  for (const Codestream& c : codestreams)
    list.push_back({{"name", c.name},
                    {"kernel", c.kernel},
                    {"version", c.version},
                    {"suite", c.suite},
                    {"project", c.project},
                    {"eol", c.eol},
                    {"missing", c.missing}});
  write_file(file, nlohmann::json{{"version", catalogue_version}, {"codestreams", list}}.dump(2) + "\n");
}

std::function<bool(string_view)> filter_of(const string& expression, const std::vector<string>& names) {
  if (expression.empty()) return [](string_view) { return true; };
  if (std::ranges::find(names, expression) != names.end())
    return [expression](string_view name) { return name == expression; };
  if (std::ranges::any_of(names, [&](const string& name) { return name.starts_with(expression); }))
    return [expression](string_view name) { return name.starts_with(expression); };
  int error = 0;
  size_t at = 0;
  const std::shared_ptr<pcre2_code> code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()),
                                                       expression.size(), PCRE2_ANCHORED, &error, &at, nullptr),
                                         pcre2_code_free);
  if (!code) {
    std::string message(256, '\0');
    const int length = pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(message.data()), message.size());
    message.resize(static_cast<size_t>(std::max(length, 0)));
    throw Error(fmt::format("'{}': is no regular expression: {}, at character {}", expression, message, at + 1));
  }
  return [code](string_view name) {
    const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> data(
        pcre2_match_data_create_from_pattern(code.get(), nullptr), pcre2_match_data_free);
    return pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(name.data()), name.size(), 0, 0, data.get(), nullptr) >=
           0;
  };
}

string group_name(const std::vector<string>& names, const std::vector<string>& all) {
  std::map<string, std::vector<unsigned>> updates, known;  // by base, sorted
  std::vector<string> parts;
  for (const string& name : names) {
    if (const auto update = update_of(name))
      updates[update->first].push_back(update->second);
    else
      parts.push_back(name);
  }
  for (const string& name : all)
    if (const auto update = update_of(name)) known[update->first].push_back(update->second);
  for (auto& [base, numbers] : updates) {
    std::ranges::sort(numbers);
    std::ranges::sort(known[base]);
    for (size_t i = 0; i < numbers.size();) {
      // As long as the next one of all is the next one of the group.
      auto at = std::ranges::find(known[base], numbers[i]);
      size_t last = i;
      while (last + 1 < numbers.size() && at != known[base].end() && std::next(at) != known[base].end() &&
             *std::next(at) == numbers[last + 1])
        ++last, ++at;
      parts.push_back(last == i ? fmt::format("{}u{}", base, numbers[i])
                                : fmt::format("{}u{}-{}", base, numbers[i], numbers[last]));
      i = last + 1;
    }
  }
  std::ranges::sort(parts);
  return joined(parts, " ");
}

}  // namespace kpatch
