// One pair from objects to diff object: the stages in order.
#pragma once

#include <compare>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "support/finding.h"

namespace kpatch {

struct DifferInput {
  std::filesystem::path orig;  // /dev/null: the file is new in the patch
  std::filesystem::path patched;
  std::string parent_name;  // "vmlinux" or the module's name as the kernel spells it
  std::filesystem::path parent_symtab;
  std::filesystem::path symvers;
  std::filesystem::path output;
  bool explain = false;                          // find the source of each first difference
  std::map<std::string, uint64_t> struct_sizes;  // where no DWARF or BTF tells them
  // Symbols that were static in a file of the patch and are global now: name, and the name of that file's FILE symbol.
  // Other files may use them from now on, and the kernel that runs has them as locals.
  std::map<std::string, std::string> made_global{};
  std::set<std::string> needed{};  // new variables that other objects of the patch refer to
  std::set<std::string> unused{};  // functions of the parent that nothing in it refers to
  // Modules that are there while the parent is, besides those that its own .modinfo names.
  std::set<std::string> parent_needs{};
  std::set<std::string> acknowledged{};  // rules whose refusals the author takes upon himself: "data-layout"
  // Exports whose versions the patch changes, as lookup/export-versions.h writes them; empty: none.
  std::filesystem::path export_changes{};
  std::filesystem::path debug_output{};  // the output with debug information; empty: none is written
  bool listing = false;                  // list the instructions of what changed and of what is new
};

// One instruction, and where it comes from.
struct CodeReport {
  uint64_t offset = 0;               // from the function's symbol, in bytes; wraps for what stands before it
  std::string bytes;                 // hexadecimal, in the order of the file
  std::string file;                  // empty without debug information
  int line = 0;                      // from 1; 0 without debug information
  std::vector<std::string> inlined;  // functions inlined there, innermost first
};

struct DifferenceReport {
  CodeReport orig, patched;
};

struct FunctionReport {
  std::string name;  // as the kernel has it
  std::string reason;
  std::optional<DifferenceReport> difference{};         // changed functions: the first instruction that differs
  std::optional<uint64_t> orig_size{}, patched_size{};  // changed and new functions: bytes of code, cold part included
};

// How a reference of the output to something outside it is resolved.
struct ReferenceReport {
  std::string from;  // function, object or section that refers
  std::string to;    // the symbol's name in the kernel
  std::string
      kind;  // "export", "klp", "patch" (defined by another object of the patch), "module" (every module has its own)
  std::string owner;    // klp: where the symbol lives
  unsigned sympos = 0;  // klp

  auto operator<=>(const ReferenceReport&) const = default;
};

// Two symbols that are one and the same, where their name alone does not say so.
struct TwinReport {
  std::string orig, patched;
  std::string evidence;  // the rung of the ladder, see correlate.cc

  auto operator<=>(const TwinReport&) const = default;
};

// What became of a symbol, or of an entry of a section, that is new, gone or different.
struct AccountReport {
  std::string what;  // "function", "variable", or a section's name
  std::string name;
  std::string change;  // "new", "gone", "changed"
  std::string fate;    // "in the module", "made anew", "without influence", "refused"
  std::string reason;  // may be empty
};

struct ListingLine {
  uint64_t offset = 0;           // from the function's start
  std::string text;              // ListedInstruction, or ".byte 0x06" where no instruction is
  std::optional<uint64_t> to{};  // where a branch within the function leads to, as offset
  std::string file{};            // as the compiler was told; empty without debug information
  int line = 0;                  // from 1; 0 without debug information
};

// A changed function, its cold part, or a new function. One side is empty where it isn't there.
struct ListingReport {
  std::string name;
  std::vector<ListingLine> orig, patched;
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
  std::vector<std::string> globals;         // new symbols that other objects of the patch may refer to; sorted
  std::vector<std::string> vanished;        // global functions that the patched object defines no more; sorted
  std::vector<std::string> prototypes;      // global functions whose prototype changes, and isn't refused; sorted
  std::vector<TwinReport> twins;            // sorted; with input.explain
  std::vector<AccountReport> account;       // sorted
  std::vector<ListingReport> listings;      // with input.listing
};

// Reads, compares and writes input.output (only when something changed and nothing was refused). Throws Error for
// unreadable input.
DifferResult run_differ(const DifferInput& input);

// Both as text lines on stdout (one finding a line) …
std::string text_report(const DifferResult& result, bool explain);
// … and as JSON, see doc/report.schema.json.
std::string json_report(const DifferInput& input, const DifferResult& result);

}  // namespace kpatch
