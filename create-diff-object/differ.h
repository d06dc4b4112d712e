// One pair from objects to diff object: the stages in order.
#pragma once

#include <compare>
#include <cstdint>
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

// How a reference of the output to something outside it is resolved.
struct ReferenceReport {
  std::string from;     // function, object or section that refers
  std::string to;       // the symbol's name in the kernel
  std::string kind;     // "export", "klp", "patch" (defined by another object of the patch)
  std::string owner;    // klp: where the symbol lives
  unsigned sympos = 0;  // klp

  auto operator<=>(const ReferenceReport&) const = default;
};

struct DifferResult {
  int exit_code = 0;                    // ExitCode
  std::vector<Finding> findings;        // sorted
  std::vector<FunctionReport> changed;  // get a patch entry
  std::vector<FunctionReport> added;    // new functions
  std::vector<FunctionReport> lines_only;
  std::vector<FunctionReport> included;  // everything else that was copied, and why
  std::vector<std::string> callbacks;
  std::vector<ReferenceReport> references;  // sorted, each once
};

// Reads, compares and writes input.output (only when something changed and nothing was refused). Throws Error for
// unreadable input.
DifferResult run_differ(const DifferInput& input);

// Both as text lines on stdout (one finding a line) …
std::string text_report(const DifferResult& result, bool explain);
// … and as JSON, see doc/report.schema.json.
std::string json_report(const DifferInput& input, const DifferResult& result);

}  // namespace kpatch
