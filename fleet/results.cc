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

// Nothing is fetched, and nothing is a script; colours follow the reader's system.
constexpr std::string_view style = R"(
:root { color-scheme: light dark; --page: #fff; --text: #1f2328; --soft: #59636e; --line: #d1d9e0; --card: #f6f8fa;
  --link: #0969da; --good: #1a7f37; --good-back: #dafbe1; --bad: #cf222e; --bad-back: #ffebe9; --person: #9a6700;
  --person-back: #fff8c5; --idle: #59636e; --idle-back: #f6f8fa }
@media screen and (prefers-color-scheme: dark) { :root { --page: #0d1117; --text: #e6edf3; --soft: #9198a1; --line: #3d444d;
  --card: #151b23; --link: #4493f8; --good: #3fb950; --good-back: #12261e; --bad: #ff7b72; --bad-back: #2d1316;
  --person: #d29922; --person-back: #272115; --idle: #9198a1; --idle-back: #151b23 } }
* { box-sizing: border-box } a { color: var(--link); text-decoration: none } a:hover { text-decoration: underline }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; margin: 0 auto; max-width: 92em; padding: 1.5em;
  background: var(--page); color: var(--text) }
h1 { font-size: 1.6em; margin: 0 0 .5em } h2 { font-size: 1.2em; margin: 2em 0 .6em }
.sum { display: flex; flex-wrap: wrap; gap: .5em; margin: 0 0 1.2em; padding: 0; list-style: none }
.sum li { padding: .1em .9em; border-radius: 1em; font-weight: 600; font-size: .9em }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px }
table { border-collapse: separate; border-spacing: 0; width: 100% }
th, td { text-align: left; padding: .5em .9em; vertical-align: top; border-bottom: 1px solid var(--line) }
tr:last-child > * { border-bottom: 0 } thead th { background: var(--card); color: var(--soft); font-size: .9em }
tbody th { position: sticky; left: 0; background: var(--page); white-space: nowrap; font-weight: 600;
  border-right: 1px solid var(--line) }
th small { font-weight: 400; color: var(--soft) } td { min-width: 11em } td small { color: var(--soft); white-space: nowrap }
td b { font-weight: 600 } .good { color: var(--good); background: var(--good-back) }
.idle { color: var(--idle); background: var(--idle-back) } .person { color: var(--person); background: var(--person-back) }
.bad { color: var(--bad); background: var(--bad-back) } td.good, td.idle, td.person, td.bad { background: none }
td b::before { content: ""; display: inline-block; width: .6em; height: .6em; margin-right: .5em; border-radius: 50%;
  background: currentColor } td a { color: inherit; text-decoration: underline }
summary { cursor: pointer; font-size: .9em; color: var(--soft) } details { margin-top: .2em }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: 12.5px/1.5 ui-monospace, Menlo, Consolas, monospace; margin: .4em 0;
  padding: .6em .8em; background: var(--card); border-radius: 6px; max-width: 60em; color: var(--text) }
footer { margin-top: 2em; color: var(--soft); font-size: .9em }
@media (max-width: 40em) { body { padding: 1em .8em; font-size: 14px } tbody th { white-space: normal; min-width: 9em; max-width: 11em;
  overflow-wrap: anywhere } }
@media print { body { max-width: none; padding: 0; font-size: 10px; print-color-adjust: exact;
  -webkit-print-color-adjust: exact } .wide { overflow: visible } tr { break-inside: avoid } tbody th { position: static } }
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
  std::string text = fmt::format("<td class=\"{}\"><b>", kind_of(state));
  if (const std::string module = text_of(cell, "module"); !module.empty())
    text += fmt::format("<a href=\"{}/{}/{}\">{}</a>", escaped_html(text_of(cell, "release")),
                        escaped_html(text_of(cell, "fix")), escaped_html(module), escaped_html(state));
  else
    text += escaped_html(state);
  text += "</b>";
  if (const std::string more = cell_text(cell).substr(state.size()); !more.empty())
    text += fmt::format(" <small>{}</small>", escaped_html(more));
  if (!message.empty())
    text += fmt::format("<details><summary>why</summary><pre>{}</pre></details>", escaped_html(message));
  return text + "</td>";
}

// How many cells came to what, the worst first.
std::string page_summary(const json& results) {
  std::map<std::string, size_t> states;
  for (const json& cell : results.at("cells")) ++states[text_of(cell, "state")];
  std::string text = "<ul class=\"sum\">";
  for (const std::string_view kind : {"bad", "person", "good", "idle"})
    for (const auto& [state, count] : states)
      if (kind_of(state) == kind) text += fmt::format("<li class=\"{}\">{} {}</li>", kind, count, escaped_html(state));
  return text + "</ul>\n";
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
      "charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width\"><title>Livepatches</title><style>{}</style></head><body>\n"
      "<h1>Livepatches</h1>\n{}<div class=\"wide\"><table><thead><tr><th>kernel</th>",
      style, page_summary(results));
  for (const json& fix : results.at("fixes")) text += fmt::format("<th>{}</th>", escaped_html(fix.get<std::string>()));
  text += "</tr></thead>\n<tbody>\n";
  for (const json& kernel : results.at("kernels")) {
    text += fmt::format("<tr><th>{}<br><small>{}</small></th>", escaped_html(text_of(kernel, "release")),
                        escaped_html(text_of(kernel, "version")));
    for (const json& fix : results.at("fixes")) {
      const auto& row = rows.at(text_of(kernel, "release"));
      const auto cell = row.find(fix.get<std::string>());
      text += cell == row.end() ? "<td></td>" : page_cell(*cell->second);
    }
    text += "</tr>\n";
  }
  text += "</tbody></table></div>\n";
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
  return text + fmt::format("<footer>{}</footer></body></html>\n", escaped_html(text_of(results, "tool")));
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
