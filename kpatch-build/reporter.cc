// Saying what happened
//
// Stages give values; what is said of them is decided here alone: findings go to stderr as compilers write theirs,
// the worst last, where a terminal leaves them in sight. Notices are for who asks (--explain, or -d), and always in the
// report. The status is that of the worst finding:
//
//     error → 1    refusal → 2    nothing to build → 3    else 0
#include "kpatch-build/reporter.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "kernel/kernel.h"
#include "kpatch-build/report-page.h"
#include "rules/rules.h"
#include "support/digest.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

// 0, or the exit code that the findings stand for.
int status_of(const std::vector<Finding>& findings) {
  const auto has = [&](Severity severity) {
    return std::any_of(findings.begin(), findings.end(), [&](const Finding& f) { return f.severity == severity; });
  };
  return has(Severity::error) ? exit_error : has(Severity::refusal) ? exit_unpatchable : exit_ok;
}

}  // namespace

void Reporter::print(const std::vector<Finding>& findings) {
  for (const Finding& finding : sorted(findings)) {
    const std::string text = text_of(finding);
    switch (finding.severity) {
      case Severity::notice:
        // What of the patch has no part in the module, and what guards the caller's files, is always told.
        if (options_.explain || finding.rule == "ignored" || finding.rule == "previous" || finding.rule == "no-sandbox")
          console_.info(text);
        else
          console_.debug(text);
        break;
      case Severity::warning:
        console_.warning(text);
        break;
      case Severity::refusal:
      case Severity::error:
        console_.error(text);
    }
  }
}

// A person who was refused something may not know that there is a text about it.
void Reporter::point_to_rules(const std::vector<Finding>& findings) {
  std::vector<std::string> names;
  for (const Finding& finding : sorted(findings))
    if (finding.severity >= Severity::refusal && find_rule(finding.rule) != nullptr &&
        std::ranges::find(names, finding.rule) == names.end())
      names.push_back(finding.rule);
  if (names.size() == 1) console_.info(fmt::format("kpatch explain {} tells more", names.front()));
  if (names.size() > 1) console_.info(fmt::format("kpatch explain RULE tells more of {}", joined(names, ", ")));
}

void Reporter::take(std::vector<Finding> findings) {
  add_advice(findings);
  print(findings);
  point_to_rules(findings);
  facts_.findings.insert(facts_.findings.end(), findings.begin(), findings.end());
  facts_.status = status_of(findings);
  if (facts_.status != exit_ok) throw Ended{};
}

void Reporter::take_compared(std::vector<PairReport> objects) {
  facts_.objects = std::move(objects);
  for (PairReport& object : facts_.objects) add_advice(object.findings);
  if (options_.explain) console_.info(explanation(facts_.objects));
  std::vector<Finding> all;
  for (const PairReport& object : facts_.objects) all.insert(all.end(), object.findings.begin(), object.findings.end());
  print(all);
  point_to_rules(all);
  facts_.status = status_of(all);
  if (facts_.status != exit_ok) throw Ended{};
}

void Reporter::end(std::string no_change) {
  console_.info(fmt::format("no functional change: {}", no_change));
  facts_.findings.push_back({"no-change", Severity::notice, {}, std::move(no_change), {}});
  facts_.status = exit_no_change;
  throw Ended{};
}

void Reporter::know_patches(const std::vector<PatchText>& patches) {
  for (const PatchText& patch : patches) {
    facts_.patch_digests.push_back(digest_of(patch.text));
    facts_.patch_texts.push_back(patch.text);
  }
}

void Reporter::fail(std::string_view message) {
  console_.error(message);
  facts_.findings.push_back({"failed", Severity::error, {}, std::string(message), {}});
  facts_.status = exit_error;
}

void Reporter::try_report() {
  can_report_ = false;
  for (const std::filesystem::path& report : options_.reports) {
    std::error_code ignored;
    if (std::filesystem::is_directory(report, ignored))
      throw Error(fmt::format("--report {}: is a folder", report.string()));
    std::error_code problem;  // of the name: AtomicFile tries the folder
    const bool known = exists(std::filesystem::symlink_status(report, problem));
    if (!known && problem && problem != std::errc::no_such_file_or_directory)
      throw Error(fmt::format("--report {}: {}", report.string(), problem.message()));
    try {
      AtomicFile tried(report, Flush::no);
    } catch (const Error& error) {
      throw Error(fmt::format("--report: {}", error.what()));
    }
  }
  can_report_ = true;
}

void Reporter::write() {
  if (!can_report_) return;
  for (const std::filesystem::path& report : options_.reports) {
    try {
      const auto kind = report.extension();
      // The folder for the module may be none of a build that ends without one.
      std::error_code told_below;
      if (report.has_parent_path()) std::filesystem::create_directories(report.parent_path(), told_below);
      write_file(report, kind == ".html"    ? html_report(facts_, options_)
                         : kind == ".sarif" ? sarif_report(facts_, options_)
                                            : json_report(facts_, options_));
    } catch (const Error& error) {
      console_.warning(error.what());
    }
  }
}

}  // namespace kpatch
