// Running create-diff-object over the pairs.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernel/kernel.h"
#include "kpatch-build/compile.h"
#include "kpatch-build/listings.h"
#include "support/executor.h"
#include "support/finding.h"

namespace kpatch {

struct ReportedFunction {
  std::string name;
  std::string reason;
  // Changed functions: the source of the first instruction that differs, `fs/proc/meminfo.c:34, inlined show_val_kb`,
  // on both sides. Empty without debug information.
  std::string original{}, patched{};
  std::optional<uint64_t> original_size{}, patched_size{};  // bytes of code, where it is there
};

struct ModuleReference {
  std::string from;   // function, object or section
  std::string to;     // the symbol
  std::string owner;  // the module; empty: another object of the patch defines it
};

// What create-diff-object says of one pair.
struct PairReport {
  ObjectPair pair;
  std::string object;                  // the patched object as the kernel names it: "vmlinux", "xt_comment"
  int status = 0;                      // ExitCode
  std::filesystem::path output;        // the diff object; there when status is 0
  std::filesystem::path debug_output;  // the same with debug information, where that was asked for
  std::vector<ReportedFunction> changed;
  std::vector<ReportedFunction> added;
  std::vector<ReportedFunction> lines_only;
  std::vector<ReportedFunction> included;
  std::vector<std::string> callbacks;
  std::vector<ModuleReference> references;  // to what is of a module, or of another object of the patch
  std::vector<std::string> globals;         // new symbols that other objects of the patch may refer to
  std::vector<std::string> vanished;        // global functions that it defines no more
  std::vector<std::string> prototypes;      // global functions whose prototype changes
  std::vector<std::string> account;         // "function f, changed: in the module"
  std::vector<std::string> twins;           // "count.1 -> count.2 (by users)"
  std::vector<FunctionListing> listings;    // where they were asked for
  std::vector<Finding> findings;            // each names a source file
};

// What costs some time.
struct DiffExtras {
  std::filesystem::path patched_tree{};  // where the source of listings is read; empty: none are made
  bool debug_info = false;
};

// Adds a refusal of the report's own source.
void refuse(PairReport& report, const char* rule, const std::string& function, std::string message, std::string advice);

// "net/netfilter/xt_comment" -> "xt_comment", "" -> "vmlinux".
std::string object_name(std::string_view module);

// acknowledged: --ack. One process a pair, at most `jobs` at a time; results in the order of the pairs. Throws Error when a program fails
// for another reason than the change (exit 1), with its own message.
std::vector<PairReport> diff_pairs(std::span<const ObjectPair> pairs, const Base& base, const std::string& module_name,
                                   const std::filesystem::path& directory, const DiffExtras& extras,
                                   std::span<const std::string> acknowledged, unsigned jobs, Executor& executor,
                                   const std::function<void(size_t, size_t)>& progress);

// A program of ours: beside this one, in a neighbouring folder of the build tree, or in PATH.
std::string own_program(const std::string& name);

}  // namespace kpatch
