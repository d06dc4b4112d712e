// One differ process a pair
//
//     create-diff-object 0.orig.o 0.patched.o xt_comment xt_comment.ko.xz Module.symvers livepatch-fix 0.diff.o
//
// The differ knows one pair and its parent. What it found comes back as JSON (--report), so nothing is read out of
// text; its exit status says whether the pair differs (0), can't be patched (2) or is the same (3). Sizes of the
// kernel's structs come from vmlinux for every pair: a shipped module has no DWARF and its BTF leans on vmlinux's.
#include "kpatch-build/diff-pairs.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "arch/arch.h"
#include "kbuild/kbuild.h"
#include "kernel/kernel.h"
#include "kpatch-build/together.h"
#include "lookup/lookup.h"
#include "support/error.h"
#include "support/files.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> struct_size_options(const Base& base) {
  std::vector<std::string> options;
  const Binary vmlinux = Binary::open(base.vmlinux_index);
  const Arch* arch = find_arch(vmlinux.machine());
  for (std::string_view name : arch != nullptr ? arch->entry_structs() : std::vector<std::string_view>()) {
    if (const auto size = vmlinux.struct_size(name); size && *size > 0) {
      options.push_back(fmt::format("--struct-size={}={}", name, *size));
    }
  }
  return options;
}

// A path of the compiler's as one of the kernel's tree: the longest end of it that the tree has.
std::string tree_path(const fs::path& path, const fs::path& tree) {
  for (auto first = path.begin(); first != path.end(); ++first) {
    fs::path rest;
    for (auto part = first; part != path.end(); ++part)
      if (*part != "/") rest /= *part;
    std::error_code ignored;
    if (!rest.empty() && fs::exists(tree / rest, ignored)) return rest.string();
  }
  return path.string();
}

std::string place(const nlohmann::json& code, const fs::path& tree) {
  if (!code.contains("file")) return {};
  std::string text = fmt::format("{}:{}", tree_path(code.value("file", ""), tree), code.value("line", 0));
  for (const auto& name : code.value("inlined", std::vector<std::string>())) text += ", inlined " + name;
  return text;
}

std::vector<ReportedFunction> functions(const nlohmann::json& report, const char* key, const fs::path& tree = {}) {
  std::vector<ReportedFunction> list;
  for (const auto& entry : report.value(key, nlohmann::json::array())) {
    list.push_back({entry.value("name", ""), entry.value("reason", "")});
    if (const auto size = entry.find("size"); size != entry.end()) {
      if (size->contains("original")) list.back().original_size = size->at("original").get<uint64_t>();
      if (size->contains("patched")) list.back().patched_size = size->at("patched").get<uint64_t>();
    }
    if (const auto difference = entry.find("difference"); difference != entry.end()) {
      list.back().original = place(difference->value("original", nlohmann::json::object()), tree);
      list.back().patched = place(difference->value("patched", nlohmann::json::object()), tree);
    }
  }
  return list;
}

void read_report(const fs::path& path, const fs::path& tree, const fs::path& patched_tree, PairReport& into) {
  const nlohmann::json report = nlohmann::json::parse(read_file_if_any(path), nullptr, false);
  if (report.is_discarded()) throw Error("create-diff-object left no report");
  into.changed = functions(report, "changed", tree);
  into.added = functions(report, "new");
  into.lines_only = functions(report, "lines_only");
  into.included = functions(report, "included");
  into.callbacks = report.value("callbacks", std::vector<std::string>());
  into.globals = report.value("globals", std::vector<std::string>());
  into.vanished = report.value("vanished", std::vector<std::string>());
  into.prototypes = report.value("prototypes", std::vector<std::string>());
  for (const auto& entry : report.value("references", nlohmann::json::array())) {
    const std::string kind = entry.value("kind", ""), owner = entry.value("owner", "");
    if (kind == "patch" || (kind == "klp" && owner != "vmlinux"))
      into.references.push_back({entry.value("from", ""), entry.value("to", ""), owner});
  }
  for (const auto& entry : report.value("account", nlohmann::json::array())) {
    const std::string reason = entry.value("reason", "");
    into.account.push_back(fmt::format("{} {}, {}: {}{}{}", entry.value("what", ""), entry.value("name", ""),
                                       entry.value("change", ""), entry.value("fate", ""), reason.empty() ? "" : ", ",
                                       reason));
  }
  for (const auto& twin : report.value("twins", nlohmann::json::array()))
    into.twins.push_back(fmt::format("{} -> {} (by {})", twin.value("original", ""), twin.value("patched", ""),
                                     twin.value("evidence", "")));
  if (const auto listings = report.find("listings"); listings != report.end()) {
    const auto in_tree = [&](const std::string& file) { return tree_path(file, tree); };
    into.listings = listings_of(*listings, {tree, in_tree}, {patched_tree, in_tree});
  }
  for (const auto& finding : report.value("findings", nlohmann::json::array())) {
    into.findings.push_back(finding_of(finding));
    // Without debug information the object's own source is all that is known.
    std::string& source = into.findings.back().location.source;
    source = source.empty() ? into.pair.command.source : tree_path(source, tree);
  }
}

// What the objects of a patch have to know of each other: what a file no longer calls static (other files may use it
// now, and the kernel has it as a local), and new variables that others refer to.
std::vector<std::string> shared_symbol_options(std::span<const ObjectPair> pairs) {
  std::vector<std::string> options;
  std::set<std::string> wanted, offered;
  for (const ObjectPair& pair : pairs) {
    const bool is_new = pair.original.empty() || pair.original == "/dev/null";
    const Binary patched = Binary::open(pair.patched);
    const Binary original = is_new ? Binary::open(pair.patched) : Binary::open(pair.original);
    for (const BinarySymbol& s : patched.symbols()) {
      const bool used = s.type == SymbolType::function || s.type == SymbolType::object;
      if (!s.defined() && !s.name.empty()) wanted.emplace(s.name);
      if (!used || !s.defined() || s.binding == SymbolBinding::local) continue;
      if (s.type == SymbolType::object && (is_new || original.named(s.name).empty())) offered.emplace(s.name);
      if (is_new) continue;
      for (uint32_t id : original.named(s.name)) {
        const BinarySymbol& twin = original.symbols()[id];
        if (twin.binding == SymbolBinding::local && twin.type == s.type && twin.file != BinarySymbol::no_file)
          options.push_back(fmt::format("--made-global={}={}", s.name, original.files()[twin.file].name));
      }
    }
  }
  for (const std::string& name : offered)
    if (wanted.contains(name)) options.push_back("--needed=" + name);
  return options;
}

fs::path parent_file(const Base& base, const ObjectPair& pair) {
  return pair.command.module.empty() ? base.vmlinux_index : parent_of_module(base, pair.command.module);
}

}  // namespace

std::string object_name(std::string_view module) { return module.empty() ? "vmlinux" : module_name_of(module); }

std::string own_program(const std::string& name) {
  std::error_code failure;
  const fs::path here = fs::read_symlink("/proc/self/exe", failure).parent_path();
  for (const fs::path& place : {here / name, here.parent_path() / name / name}) {
    if (!failure && fs::is_regular_file(place)) return place.string();
  }
  return name;
}

void refuse(PairReport& report, const char* rule, const std::string& function, std::string message,
            std::string advice) {
  report.findings.push_back({rule,
                             Severity::refusal,
                             {.source = report.pair.command.source, .function = function},
                             std::move(message),
                             std::move(advice)});
}

std::vector<PairReport> diff_pairs(std::span<const ObjectPair> pairs, const Base& base, const std::string& module_name,
                                   const fs::path& directory, const DiffExtras& extras,
                                   std::span<const std::string> acknowledged, unsigned jobs, Executor& executor,
                                   const std::function<void(size_t, size_t)>& progress) {
  fs::create_directories(directory);
  const std::string program = own_program("create-diff-object");
  std::vector<std::string> common = struct_size_options(base);
  std::ranges::move(shared_symbol_options(pairs), std::back_inserter(common));
  for (const std::string& rule : acknowledged) common.push_back("--ack=" + rule);
  ShippedBinaries shipped(base);
  std::vector<PairReport> reports;
  std::vector<Command> commands;
  for (const ObjectPair& pair : pairs) {
    PairReport report;
    report.pair = pair;
    report.object = object_name(pair.command.module);
    report.output = directory / fmt::format("{}.diff.o", reports.size());
    Command command;
    command.ours = true;
    command.argv = {program, "--report=" + (directory / fmt::format("{}.json", reports.size())).string()};
    if (!extras.patched_tree.empty()) command.argv.emplace_back("--listing");
    if (extras.debug_info) {
      report.debug_output = directory / fmt::format("{}.debug.o", reports.size());
      command.argv.push_back("--debug-output=" + report.debug_output.string());
    }
    command.argv.insert(command.argv.end(), common.begin(), common.end());
    if (!pair.command.module.empty())
      for (const std::string& module : shipped.needed_by(report.object))
        command.argv.push_back("--parent-needs=" + module);
    // Other code without ftrace sites is C's, which is patched by its callers.
    if (pair.command.source.starts_with("rust/helpers/"))
      for (const std::string& name : functions_nobody_uses(base.vmlinux, "rust_helper_"))
        command.argv.push_back("--unused=" + name);
    if (!pair.exports.empty()) command.argv.push_back("--export-changes=" + pair.exports.string());
    command.argv.insert(command.argv.end(),
                        {pair.original.string(), pair.patched.string(), report.object, parent_file(base, pair).string(),
                         base.symvers.string(), module_name, report.output.string()});
    commands.push_back(std::move(command));
    reports.push_back(std::move(report));
  }
  const std::vector<CommandResult> results = executor.run_all(commands, jobs, [&](size_t done) {
    if (progress) progress(done, commands.size());
  });
  for (size_t i = 0; i < results.size(); ++i) {
    PairReport& report = reports[i];
    report.status = results[i].status;
    const bool decided =
        report.status == exit_ok || report.status == exit_unpatchable || report.status == exit_no_change;
    if (!decided)
      executor.fail(fmt::format("{}: comparing the objects failed", report.pair.command.source), results[i]);
    read_report(directory / fmt::format("{}.json", i), base.source, extras.patched_tree, report);
  }
  join_layout_findings(reports);
  check_together(reports,
                 [&](const std::string& module) -> const std::set<std::string>& { return shipped.needed_by(module); });
  return reports;
}

}  // namespace kpatch
