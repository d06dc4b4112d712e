// --report in the other forms: a page for people, and SARIF for programs that show findings beside the source.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kpatch-build/build-report.h"

namespace kpatch {

// One file that needs nothing else, and no network. Its one script is ours and only helps to search: the page's policy
// (Content-Security-Policy) lets no other run. What comes from outside (names, messages, the patch) is escaped; bytes
// that are no UTF-8 are replaced.
std::string html_report(const BuildFacts& facts, const Options& options);

// SARIF 2.1.0 (OASIS): one run, its findings as results.
std::string sarif_report(const BuildFacts& facts, const Options& options);

// Of the findings of a build and of its objects: all, sorted.
std::vector<Finding> all_findings(const BuildFacts& facts);

// Where the author's guide tells of a rule.
std::string guide_address(std::string_view guide, std::string_view rule);

// What a patch says it is for: the subject of the mail, or its first line of prose; empty when it says nothing.
std::string subject_of_patch(std::string_view patch);

}  // namespace kpatch
