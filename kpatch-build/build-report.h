// What a build tells at its end: to the terminal, and as JSON.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "kpatch-build/diff-pairs.h"
#include "kpatch-build/options.h"
#include "support/console.h"

namespace kpatch {

// Prints every finding, sorted by severity, then by file. Returns whether one of them is a refusal.
bool print_findings(std::span<const PairReport> reports, Console& console);

// "vmlinux: meminfo_proc_show" … one line an object, the functions sorted.
std::string patched_functions(std::span<const PairReport> reports);

// --explain: each function, why it counts as changed, and what else is copied and why.
std::string explanation(std::span<const PairReport> reports);

// --report: written whole or not at all; no paths of this machine are in it. Throws Error.
void write_json_report(const std::filesystem::path& path, std::span<const PairReport> reports, const Options& options,
                       const std::string& module, const std::string& release, int status);

}  // namespace kpatch
