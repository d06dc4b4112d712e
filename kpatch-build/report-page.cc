// A page that a reviewer opens from a mail, months later, on a machine without network: everything is in it. What comes
// from outside is text, of a patch that holds "</script>" too; and the policy at its head lets no script run but ours,
// named by its digest (https://www.w3.org/TR/CSP3/), and nothing be fetched.
//
// Hundreds of functions are folded, and a browser lays out what is folded only when it is opened; beyond a limit their
// equal code is left out, and beyond the next one the listing.
#include "kpatch-build/report-page.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <unordered_map>

#include "kpatch-build/listing-html.h"
#include "kpatch-build/report-style.h"
#include "rules/rules.h"
#include "support/base64.h"
#include "support/error.h"
#include "support/html.h"
#include "support/sha256.h"
#include "support/text.h"

namespace kpatch {

namespace {

constexpr size_t rows_unlimited = 40000;  // instructions of a page up to which whole functions are shown
constexpr size_t rows_at_most = 80000;    // and up to which there are listings
constexpr size_t few_listings = 3;        // are open from the start

std::string_view ending(int status) {
  switch (status) {
    case exit_ok:
      return "built";
    case exit_unpatchable:
      return "the change can't be patched";
    case exit_no_change:
      return "no functional change";
    default:
      return "failed";
  }
}

std::string_view word(Severity severity) {
  constexpr std::array words = {"notice", "warning", "refusal", "error"};
  return words.at(static_cast<size_t>(severity));
}

// As Content-Security-Policy names a script.
std::string digest_of_script() {
  const std::string digits = sha256_of(report_script());
  std::string bytes;
  for (size_t i = 0; i + 1 < digits.size(); i += 2) {
    unsigned byte = 0;
    std::from_chars(&digits[i], &digits[i] + 2, byte, 16);
    bytes += static_cast<char>(byte);
  }
  return "sha256-" + base64_of(bytes);
}

std::string counted(size_t number, std::string_view thing) {
  return fmt::format("{} {}{}", number, thing, number == 1 ? "" : "s");
}

// "1 204 → 1 260 bytes (+56)"
std::string size_change(std::optional<uint64_t> before, std::optional<uint64_t> after) {
  if (!before && !after) return "";
  if (!before) return fmt::format("new, {}", *after);
  if (!after) return fmt::format("{}, gone", *before);
  const auto difference = static_cast<int64_t>(*after) - static_cast<int64_t>(*before);
  if (difference == 0) return fmt::format("{} <span class=soft>as before</span>", *before);
  return fmt::format("{} → {} <span class=soft>({:+})</span>", *before, *after, difference);
}

std::string readable_size(uint64_t bytes) {
  return bytes < 10240 ? fmt::format("{} bytes", bytes) : fmt::format("{} KiB", bytes / 1024);
}

// --- findings ---

std::string rule_link(std::string_view rule, const Options& options) {
  const std::string name = fmt::format("<code>{}</code>", escaped_html(rule));
  if (options.guide.empty()) return name;
  return fmt::format("<a href=\"{}\">{}</a>", escaped_html(guide_address(options.guide, rule)), name);
}

// What the guide says of a rule: the page is read where the guide isn't.
std::string rule_part(std::string_view rule) {
  const Rule* known = find_rule(rule);
  if (known == nullptr) return "";
  return fmt::format("<details><summary class=soft>more of {}</summary><div class=rule>{}</div></details>",
                     escaped_html(rule), escaped_html(rule_page(*known, 100, false)));
}

// A column of paths is as wide as the longest part of one.
std::string breakable_path(std::string_view path) {
  std::vector<std::string> parts;
  for (const std::string_view part : fields_of(path, '/')) parts.push_back(escaped_html(part));
  return joined(parts, "/<wbr>");
}

std::string finding_rows(const std::vector<Finding>& findings, bool notices, const Options& options) {
  std::string text;
  for (const Finding& f : findings) {
    if ((f.severity == Severity::notice) != notices) continue;
    std::string where = f.location.source;
    if (f.location.line != 0) where += fmt::format(":{}", f.location.line);
    const std::string subject = subject_of(f.location);
    text += fmt::format(
        "<tr data-find=\"{1} {2} {3}\"><td><span class=\"badge "
        "{0}\">{0}</span><td class=name>{4}<td><code>{9}</code><td>{5}{6}{7}{8}</tr>\n",
        word(f.severity), escaped_html(f.rule), escaped_html(where), escaped_html(subject), rule_link(f.rule, options),
        subject.empty() ? "" : fmt::format("<code>{}</code>: ", escaped_html(subject)), escaped_html(message_of(f)),
        f.advice.empty() ? "" : fmt::format("<br><span class=soft>{}</span>", escaped_html(f.advice)),
        rule_part(f.rule), breakable_path(where));
  }
  return text;
}

std::string findings_part(const BuildFacts& facts, const Options& options) {
  constexpr std::string_view head =
      "<div class=wide><table class=list><thead><tr><th>Kind<th>Rule<th>Where<th>What</thead>\n";
  std::vector<Finding> all = all_findings(facts);
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.severity > b.severity; });
  const std::string serious = finding_rows(all, false, options), notices = finding_rows(all, true, options);
  std::string text = serious.empty() ? "<p class=soft>Nothing speaks against it.</p>\n"
                                     : fmt::format("{}{}</table></div>\n", head, serious);
  if (!serious.empty())
    text +=
        "<p class=soft><code>kpatch explain RULE</code> tells what a rule protects from, and what can be done.</p>\n";
  const auto count =
      std::count_if(all.begin(), all.end(), [](const Finding& f) { return f.severity == Severity::notice; });
  if (!notices.empty())
    text += fmt::format("<details><summary>{}</summary>{}{}</table></div></details>\n",
                        counted(static_cast<size_t>(count), "notice"), head, notices);
  return text;
}

// --- what is patched ---

std::string functions_table(std::string_view what, const std::vector<ReportedFunction>& functions,
                            const std::map<std::string, std::string>& listings) {
  std::string text;
  for (const ReportedFunction& f : functions) {
    const auto listing = listings.find(f.name);
    std::string name = fmt::format("<code>{}</code>", escaped_html(f.name));
    if (listing != listings.end()) name = fmt::format("<a href=#{}>{}</a>", listing->second, name);
    text += fmt::format("<tr data-find=\"{0}\"><td>{1}<td>{2}<td>{3}", escaped_html(f.name), name, what,
                        escaped_html(f.reason));
    if (!f.original.empty())
      text += fmt::format("<br><span class=soft>was <code>{}</code></span>", escaped_html(f.original));
    if (!f.patched.empty())
      text += fmt::format("<br><span class=soft>is <code>{}</code></span>", escaped_html(f.patched));
    text += fmt::format("<td class=number>{}</tr>\n", size_change(f.original_size, f.patched_size));
  }
  return text;
}

std::string list_of(std::string_view title, const std::vector<std::string>& lines) {
  if (lines.empty()) return "";
  std::string text =
      fmt::format("<details><summary>{} <span class=soft>{}</span></summary><ul>\n", title, lines.size());
  for (const std::string& line : lines) text += fmt::format("<li><code>{}</code>\n", escaped_html(line));
  return text + "</ul></details>\n";
}

std::string references_part(const PairReport& object) {
  if (object.references.empty()) return "";
  std::string text = fmt::format(
      "<details><summary>References to modules and to other objects of the patch <span class=soft>{}</span></summary>"
      "<table class=list><thead><tr><th>From<th>To<th>Owner</thead>\n",
      object.references.size());
  for (const ModuleReference& r : object.references)
    text +=
        fmt::format("<tr><td><code>{}</code><td><code>{}</code><td>{}</tr>\n", escaped_html(r.from), escaped_html(r.to),
                    r.owner.empty() ? "this patch" : fmt::format("<code>{}</code>", escaped_html(r.owner)));
  return text + "</table></details>\n";
}

std::string object_part(const PairReport& object, bool open, const std::map<std::string, std::string>& listings) {
  const std::string rows = functions_table("changed", object.changed, listings) +
                           functions_table("new", object.added, listings) +
                           functions_table("line numbers only", object.lines_only, listings);
  std::string text = fmt::format(
      "<details class=card{}><summary><code>{}</code><span class=badge>{}</span><span class=soft>{} changed, {} "
      "new</span>"
      "</summary><div class=inner>\n",
      open ? " open" : "", escaped_html(object.pair.command.source), escaped_html(object.object), object.changed.size(),
      object.added.size());
  if (!rows.empty())
    text +=
        "<div class=wide><table class=list><thead><tr><th>Function<th>is<th>Why<th class=number>Bytes of "
        "code</thead>\n" +
        rows + "</table></div>\n";
  if (!object.included.empty())
    text += fmt::format(
        "<details><summary>Copied with them <span class=soft>{}</span></summary><table "
        "class=list>\n{}</table></details>\n",
        object.included.size(), functions_table("copied", object.included, {}));
  text += list_of("Callbacks", object.callbacks);
  text += list_of("Ledger: what became of each thing that differs", object.account);
  text += references_part(object);
  return text + "</div></details>\n";
}

// --- listings ---

std::map<std::string, std::string> listing_names(const PairReport& object, size_t& next) {
  std::map<std::string, std::string> names;
  for (const FunctionListing& listing : object.listings) names.emplace(listing.name, fmt::format("f{}", next++));
  return names;
}

class Listings {
 public:
  explicit Listings(const BuildFacts& facts) {
    for (const PairReport& object : facts.objects) count_ += object.listings.size();
  }

  std::string part(const PairReport& object, const std::map<std::string, std::string>& names) {
    std::string text;
    for (const FunctionListing& listing : object.listings) text += part(object, listing, names.at(listing.name));
    return text;
  }
  bool empty() const { return count_ == 0; }

 private:
  std::string part(const PairReport& object, const FunctionListing& listing, const std::string& id) {
    const std::string name = escaped_html(listing.name);
    std::string text = fmt::format(
        "<details class=card id={} data-find=\"{} {}\"{}><summary><code>{}</code><span class=badge>{}</span>", id, name,
        escaped_html(object.object), count_ <= few_listings ? " open" : "", name, escaped_html(object.object));
    if (rows_ >= rows_at_most)
      return text +
             "</summary><div class=inner><p class=soft>Left out: the page has as many listings as a browser can bear. "
             "The objects are kept by <code>--skip-cleanup</code>.</p></div></details>\n";
    ListingLimits limits;
    if (rows_ >= rows_unlimited) limits.equal_rows = 0;
    const ListingHtml html = listing_html(listing, id, limits);
    rows_ += html.rows;
    const std::string_view kind = listing.original.empty() ? "new" : listing.patched.empty() ? "gone" : "";
    text += kind.empty()
                ? fmt::format("<span class=soft>−{} +{} instructions</span></summary>\n", html.gone, html.added)
                : fmt::format("<span class=soft>{}, {}</span></summary>\n", kind,
                              counted(html.gone + html.added, "instruction"));
    if (html.folds)
      text += "<div class=tools><label><input type=checkbox class=all> show what is alike too</label></div>\n";
    return text + html.text + "</details>\n";
  }

  size_t count_ = 0, rows_ = 0;
};

// --- the patch ---

std::string_view line_class(std::string_view line) {
  if (line.starts_with("+++ ") || line.starts_with("--- ") || line.starts_with("diff ")) return " class=file";
  if (line.starts_with("@@")) return " class=hunk";
  if (line.starts_with('+')) return " class=add";
  return line.starts_with('-') ? " class=del" : "";
}

std::string patch_part(const std::string& name, const std::string& patch) {
  std::string text =
      fmt::format("<details class=card open><summary><code>{}</code></summary><pre class=diff>", escaped_html(name));
  for (std::string_view line : lines_of(patch))
    text += fmt::format("<span{}>{}</span>", line_class(line), line.empty() ? " " : escaped_html(line));
  return text + "</pre></details>\n";
}

// --- the head ---

std::string fact(std::string_view name, std::string_view value, std::string_view more = {}) {
  return fmt::format("<div><dt>{}<dd>{}{}</div>\n", name, value,
                     more.empty() ? "" : fmt::format(" <small>{}</small>", more));
}

std::string facts_part(const BuildFacts& facts, const Options& options) {
  size_t changed = 0, added = 0;
  uint64_t before = 0, after = 0;
  for (const PairReport& object : facts.objects) {
    changed += object.changed.size(), added += object.added.size();
    for (const auto* list : {&object.changed, &object.added})
      for (const ReportedFunction& f : *list)
        before += f.original_size.value_or(0), after += f.patched_size.value_or(0);
  }
  std::string text = "<dl class=facts>\n";
  text += fact("Kernel", facts.release.empty() ? "not known yet" : escaped_html(facts.release));
  if (!facts.objects.empty()) {
    text += fact("Functions", fmt::format("{} changed, {} new", changed, added),
                 "in " + counted(facts.objects.size(), "object"));
    if (after != 0) text += fact("Their code, bytes", size_change(before, after));
  }
  if (facts.size)
    text += fact(
        "The module", readable_size(facts.size->file),
        fmt::format("{} code, {} data in memory", readable_size(facts.size->text), readable_size(facts.size->data)));
  if (!options.fixes.empty()) text += fact("Fixes", escaped_html(joined(options.fixes, ", ")));
  std::map<Severity, size_t> counts;
  for (const Finding& f : all_findings(facts)) ++counts[f.severity];
  std::vector<std::string> said;
  for (const Severity s : {Severity::error, Severity::refusal, Severity::warning, Severity::notice})
    if (counts[s] != 0) said.push_back(counted(counts[s], word(s)));
  text += fact("Findings", said.empty() ? "none" : joined(said, ", "));
  return text + "</dl>\n";
}

std::string head_part(const BuildFacts& facts, const Options& options) {
  const std::string title = escaped_html(facts.module.empty() ? "livepatch" : facts.module);
  std::string text = fmt::format(
      "<!doctype html>\n<html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\n"
      "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'; "
      "script-src '{}'\">\n<title>{}</title><style>{}</style></head>\n<body><header>\n",
      digest_of_script(), title, report_style());
  text += fmt::format("<h1>{} <span class=\"badge {}\">{}</span></h1>\n", title,
                      facts.status == exit_ok          ? "good"
                      : facts.status == exit_no_change ? "warning"
                                                       : "error",
                      ending(facts.status));
  for (const std::string& patch : facts.patch_texts)
    if (const std::string subject = subject_of_patch(patch); !subject.empty())
      text += fmt::format("<p>{}</p>\n", escaped_html(subject));
  return text + facts_part(facts, options) + "</header>\n";
}

}  // namespace

std::vector<Finding> all_findings(const BuildFacts& facts) {
  std::vector<Finding> all = facts.findings;
  for (const PairReport& object : facts.objects) all.insert(all.end(), object.findings.begin(), object.findings.end());
  return sorted(std::move(all));
}

std::string guide_address(std::string_view guide, std::string_view rule) {
  return fmt::format("{}#rule-{}", guide, rule);
}

std::string subject_of_patch(std::string_view patch) {
  std::string first;
  for (std::string_view line : lines_of(patch)) {
    if (line.starts_with("--- ") || line.starts_with("diff ") || line == "---" || line.starts_with("Index: ")) break;
    constexpr std::string_view subject = "Subject: ";
    if (line.starts_with(subject)) {
      line = trimmed(line.substr(subject.size()));
      // "[PATCH 1/2] mm: …": what tools have put before it.
      const size_t end = line.starts_with("[PATCH") ? line.find(']') : std::string_view::npos;
      return std::string{trimmed(end == std::string_view::npos ? line : line.substr(end + 1))};
    }
    const bool header = line.starts_with("From ") || line.starts_with("From: ") || line.starts_with("Date: ") ||
                        line.starts_with("commit ") || line.starts_with("Author: ");
    if (first.empty() && !header) first = trimmed(line);
  }
  return first;
}

std::string html_report(const BuildFacts& facts, const Options& options) {
  std::string text = head_part(facts, options);
  text +=
      "<nav><a href=#findings>Findings</a><a href=#objects>What is patched</a><a href=#code>Instructions</a>"
      "<a href=#patch>The patch</a><input id=search type=search placeholder=\"Function, rule, file\" "
      "aria-label=Search hidden><span id=found class=soft></span>"
      "<button id=colours hidden title=\"dark or light\">◐</button></nav>\n<main>\n";
  text += "<h2 id=findings>Findings</h2>\n" + findings_part(facts, options);
  text += "<h2 id=objects>What is patched, and why</h2>\n";
  constexpr size_t few_objects = 20;
  Listings listings(facts);
  std::string code;
  size_t next = 0;
  for (const PairReport& object : facts.objects) {
    const std::map<std::string, std::string> names = listing_names(object, next);
    text += object_part(object, facts.objects.size() <= few_objects, names);
    code += listings.part(object, names);
  }
  if (facts.objects.empty()) text += "<p class=soft>No object was compared.</p>\n";
  text += "<h2 id=code>Instructions, side by side</h2>\n";
  if (!facts.no_listings.empty())
    text += fmt::format("<p class=soft>{}</p>\n", escaped_html(facts.no_listings));
  else
    text += listings.empty() ? "<p class=soft>No function was compared.</p>\n" : code;
  text += "<h2 id=patch>The patch</h2>\n";
  for (size_t i = 0; i < options.patches.size() && i < facts.patch_texts.size(); ++i)
    text += patch_part(options.patches[i].filename().string(), facts.patch_texts[i]);
  const std::string summary = options_summary(options);
  return text + fmt::format("</main>\n<footer>kpatch-build " KPATCH_VERSION
                            "{}{}</footer>\n<script>{}</script></body></html>\n",
                            summary.empty() ? "" : ", ", escaped_html(summary), report_script());
}

}  // namespace kpatch
