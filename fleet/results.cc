// What a run comes to, for people: the table, the page, and what is new since the last run.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "fleet/fleet.h"
#include "support/error.h"
#include "support/html.h"

namespace kpatch {
namespace {

using nlohmann::json;

std::string text_of(const json& of, const char* key) { return of.value(key, std::string()); }

std::string cell_text(const json& cell) {
  const double seconds = cell.value("seconds", 0.0);
  return text_of(cell, "state") + (seconds > 0 ? fmt::format(" {:.1f} s", seconds) : "") +
         (cell.value("from the store", false) ? " (store)" : "");
}

std::map<std::string, std::map<std::string, const json*>> rows_of(const json& results) {
  std::map<std::string, std::map<std::string, const json*>> rows;
  for (const json& cell : results.at("cells")) rows[text_of(cell, "release")][text_of(cell, "fix")] = &cell;
  return rows;
}

// One sentence for each group of equal source that needs the same thing of a person.
std::vector<std::string> group_lines(const json& results) {
  std::vector<std::string> lines;
  for (const json& group : results.at("groups")) {
    const auto releases = group.at("releases").get<std::vector<std::string>>();
    lines.push_back(fmt::format("{} {}: one backport serves {} kernel{} of source {}", text_of(group, "fix"),
                                text_of(group, "state"), releases.size(), releases.size() == 1 ? "" : "s",
                                text_of(group, "version")));
    for (const std::string& release : releases) lines.push_back("  " + release);
  }
  return lines;
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

constexpr std::string_view style = R"(
body { font: 15px/1.4 sans-serif; margin: 2em; color: #222 } table { border-collapse: collapse }
th, td { text-align: left; padding: .3em .8em; border: 1px solid #ccc; vertical-align: top } th { background: #f3f3f3 }
td.good { background: #e2f4e2 } td.idle { background: #f7f7f7; color: #555 } td.person { background: #fdf0d0 }
td.bad { background: #fbdada } pre { white-space: pre-wrap; font-size: 12px; max-width: 50em } .no { color: #777 }
)";

// How a cell is coloured, and what it counts as.
std::string_view kind_of(const std::string& state) {
  if (state == "built") return "good";
  if (state == "already fixed" || state == "not affected" || state == "no change" || state.starts_with("applies"))
    return "idle";
  if (state == "needs a backport" || state == "refused" || state == "no such kernel" || state == "no source")
    return "person";
  return "bad";
}

std::string page_cell(const json& cell) {
  const std::string state = text_of(cell, "state"), message = text_of(cell, "message");
  std::string text = fmt::format("<td class=\"{}\">", kind_of(state));
  if (const std::string module = text_of(cell, "module"); !module.empty())
    text += fmt::format("<a href=\"{}/{}/{}\">{}</a>", escaped_html(text_of(cell, "release")),
                        escaped_html(text_of(cell, "fix")), escaped_html(module), escaped_html(cell_text(cell)));
  else
    text += escaped_html(cell_text(cell));
  if (!message.empty())
    text += fmt::format("<details><summary>why</summary><pre>{}</pre></details>", escaped_html(message));
  return text + "</td>";
}

}  // namespace

std::string table_of(const json& results) {
  const auto rows = rows_of(results);
  std::vector<std::vector<std::string>> lines = {{"kernel"}};
  for (const json& fix : results.at("fixes")) lines[0].push_back(fix.get<std::string>());
  for (const json& kernel : results.at("kernels")) {
    std::vector<std::string> line = {text_of(kernel, "release")};
    for (const json& fix : results.at("fixes")) {
      const auto& row = rows.at(text_of(kernel, "release"));
      const auto cell = row.find(fix.get<std::string>());
      line.push_back(cell == row.end() ? "" : cell_text(*cell->second));
    }
    lines.push_back(std::move(line));
  }
  std::string text;
  for (const auto& line : lines) {
    std::string out;
    for (size_t column = 0; column < line.size(); ++column) {
      size_t width = 0;
      for (const auto& other : lines) width = std::max(width, other[column].size());
      out += fmt::format("{:<{}}  ", line[column], width);
    }
    text += out.substr(0, out.find_last_not_of(' ') + 1) + "\n";
  }
  for (const std::string& line : group_lines(results)) text += line + "\n";
  for (const json& cell : results.at("cells"))
    if (const auto kind = kind_of(text_of(cell, "state"));
        (kind == "bad" || kind == "person") && !text_of(cell, "message").empty())
      text += fmt::format("{} {}: {}: {}\n", text_of(cell, "release"), text_of(cell, "fix"), text_of(cell, "state"),
                          first_line(text_of(cell, "message")));
  return text;
}

std::string page_of(const json& results) {
  const auto rows = rows_of(results);
  std::string text = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta "
      "charset=\"utf-8\"><title>Livepatches</title><style>{}</style></head><body>\n"
      "<h1>Livepatches</h1>\n<table><tr><th>kernel</th>",
      style);
  for (const json& fix : results.at("fixes")) text += fmt::format("<th>{}</th>", escaped_html(fix.get<std::string>()));
  text += "</tr>\n";
  for (const json& kernel : results.at("kernels")) {
    text += fmt::format("<tr><th>{}<br><small class=\"no\">{}</small></th>", escaped_html(text_of(kernel, "release")),
                        escaped_html(text_of(kernel, "version")));
    for (const json& fix : results.at("fixes")) {
      const auto& row = rows.at(text_of(kernel, "release"));
      const auto cell = row.find(fix.get<std::string>());
      text += cell == row.end() ? "<td></td>" : page_cell(*cell->second);
    }
    text += "</tr>\n";
  }
  text += "</table>\n";
  if (const auto groups = group_lines(results); !groups.empty()) {
    text += "<h2>Backports</h2><pre>";
    for (const std::string& line : groups) text += escaped_html(line) + "\n";
    text += "</pre>\n";
  }
  if (!results.at("changes").empty()) {
    text += "<h2>New since the last run</h2><ul>";
    for (const json& change : results.at("changes")) text += "<li>" + escaped_html(change.get<std::string>()) + "</li>";
    text += "</ul>\n";
  }
  return text + fmt::format("<p class=\"no\">{}</p></body></html>\n", escaped_html(text_of(results, "tool")));
}

std::vector<std::string> changes_between(const json& before, const json& after) {
  std::vector<std::string> changes;
  if (!before.is_object() || !before.contains("cells")) return changes;
  auto old = rows_of(before);
  auto rows = rows_of(after);
  for (const auto& [release, fixes] : rows) {
    if (!old.contains(release)) changes.push_back(fmt::format("{}: new in the archives", release));
    for (const auto& [fix, cell] : fixes) {
      const auto was = old.contains(release) && old[release].contains(fix) ? text_of(*old[release][fix], "state") : "";
      const std::string is = text_of(*cell, "state");
      if (was == is) continue;
      changes.push_back(is == "already fixed" ? fmt::format("{} {}: has the fix itself, and drops out", release, fix)
                        : was.empty()         ? fmt::format("{} {}: {}", release, fix, is)
                                              : fmt::format("{} {}: {}, was {}", release, fix, is, was));
    }
  }
  for (const auto& [release, fixes] : old)
    if (!rows.contains(release)) changes.push_back(fmt::format("{}: no longer among the plan's kernels", release));
  return changes;
}

int status_of(const json& results) {
  int status = exit_ok;
  for (const json& cell : results.at("cells")) {
    const auto kind = kind_of(text_of(cell, "state"));
    if (kind == "bad") return exit_error;
    if (kind == "person") status = exit_unpatchable;
  }
  return status;
}

}  // namespace kpatch
