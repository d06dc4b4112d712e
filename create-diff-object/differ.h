// One pair from objects to diff object: the stages in order.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "create-diff-object/diagnostics.h"

namespace kpatch {

struct DifferInput {
  std::filesystem::path orig;  // /dev/null: the file is new in the patch
  std::filesystem::path patched;
  std::string parent_name;  // "vmlinux" or the module's name as the kernel spells it
  std::filesystem::path parent_symtab;
  std::filesystem::path symvers;
  std::filesystem::path output;
  std::map<std::string, uint64_t> struct_sizes;  // where no DWARF or BTF tells them
};

struct FunctionReport {
  std::string name;  // as the kernel has it
  std::string reason;
};

struct DifferResult {
  int exit_code = 0;                    // ExitCode
  std::vector<Finding> findings;        // sorted
  std::vector<FunctionReport> changed;  // get a patch entry
  std::vector<FunctionReport> added;    // new functions
  std::vector<FunctionReport> lines_only;
  std::vector<FunctionReport> included;  // everything else that was copied, and why
  std::vector<std::string> callbacks;
};

// Reads, compares and writes input.output (only when something changed and nothing was refused). Throws Error for
// unreadable input.
DifferResult run_differ(const DifferInput& input);

// Both as text lines on stdout (one finding a line) …
std::string text_report(const DifferResult& result, bool explain);
// … and as JSON, see doc/report.schema.json.
std::string json_report(const DifferInput& input, const DifferResult& result);

}  // namespace kpatch
