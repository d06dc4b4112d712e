// --report in the other forms: a page for people, and SARIF for programs that show findings beside the source.
#pragma once

#include <string>

#include "kpatch-build/build-report.h"

namespace kpatch {

// One file that needs nothing else: no network, no script. What comes from outside (names, messages, the patch) is
// escaped; bytes that are no UTF-8 are replaced.
std::string html_report(const BuildFacts& facts, const Options& options);

// SARIF 2.1.0 (OASIS): one run, its findings as results.
std::string sarif_report(const BuildFacts& facts, const Options& options);

}  // namespace kpatch
