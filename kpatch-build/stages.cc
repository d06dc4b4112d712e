// The stages of a build
//
// Each is a line on the console with its time; the work is done by the files that are named after it. A stage takes
// what the ones before it made and changes none of it, so that the order in main() is the only order there is.
#include "kpatch-build/stages.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>

#include "arch/arch.h"
#include "elf/elf.h"
#include "kbuild/kbuild.h"
#include "kernel/kernel.h"
#include "klp/klp.h"
#include "kpatch-build/compile.h"
#include "kpatch-build/early-look.h"
#include "kpatch-build/export-changes.h"
#include "kpatch-build/left-behind.h"
#include "kpatch-build/module-keys.h"
#include "kpatch-build/previous.h"
#include "kpatch-build/sandbox.h"
#include "lookup/lookup.h"
#include "patch/patch.h"
#include "support/data.h"
#include "support/digest.h"
#include "support/error.h"
#include "support/files.h"
#include "support/signals.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

std::string count(size_t number, std::string_view thing) {
  return fmt::format("{} {}{}", number, thing, number == 1 ? "" : "s");
}

CompileSettings settings_of(const Build& build, const Base& base, PatchedView& view) {
  return {
      base, view, build.scratch / "objects", data_file("kmod-template"), build.options.jobs, build.options.launcher};
}

fs::path given_root(const Options& options) {
  if (options.toolchain.empty()) return {};
  std::error_code absent;
  fs::path root = fs::canonical(options.toolchain, absent);
  if (absent || !fs::is_directory(root / "usr/bin", absent))
    throw Error(fmt::format("--toolchain {}: no root of a system, it has no usr/bin", options.toolchain.string()));
  return root;
}

void append(std::vector<Finding>& to, std::vector<Finding> findings) {
  to.insert(to.end(), std::make_move_iterator(findings.begin()), std::make_move_iterator(findings.end()));
}

}  // namespace

void try_patches(const Build& build) {
  for (const PatchText& patch : build.patches) parse_patch(patch.path, patch.text);
  // A base may take minutes: what can't be read is told before. Whether a source has its files isn't known yet.
  for (const fs::path& file : build.options.previous) read_previous(file, [](const std::string&) { return true; });
  const bool tree_named = fs::is_directory(build.options.source / "kernel");
  if (!build.options.source.empty() && tree_named) {
    apply_patches(build.patches, build.options.source, build.scratch / "tried", build.options.ignore_whitespace);
  }
}

Result<Base> prepare_base(const Build& build) {
  const Options& o = build.options;
  const auto enter = [&](const fs::path& root) {
    if (!o.launcher.empty())
      throw Error(
          fmt::format("--launcher runs the compiler of this machine, and the kernel's is in {}", root.string()));
    enter_root(build.executor, root, writable_folders(build.cache.root()),
               {data_file("kmod-template"), data_file("kbuild/query.mk")}, build.scratch);
  };
  Base base =
      make_base({.source = o.source,
                 .config = o.config,
                 .vmlinux = o.vmlinux,
                 .symvers = o.symvers,
                 .modules = o.modules,
                 .source_package = o.source_package,
                 .release = o.archversion,
                 .targets = o.targets,
                 .jobs = o.jobs,
                 .toolchain = {given_root(o), o.skip_compiler_check, enter},
                 .archive = o.archive,
                 .archive_key = o.archive_key,
                 .packages = o.packages,
                 .count_objects = [&](const Base& prepared) { return all_commands(prepared, build.executor).size(); }},
                build.cache, build.executor, build.console);
  Result<Base> result;
  result.findings = base.findings;
  result.value = std::move(base);
  return result;
}

void require_free_name(const Base& base, const std::string& module) {
  const std::string name = module_name_of(module);
  const auto taken = [&](std::string_view path) {
    if (const auto other = module_path_of(path); other && module_name_of(*other) == name)
      throw Error(fmt::format("--name {}: the kernel has a module of that name, {}; choose another", module, *other));
  };
  walk(base.modules, [&](const fs::directory_entry& entry) {
    taken(entry.path().lexically_relative(base.modules).string());
    return true;
  });
  for (const fs::path& list : {base.modules / "modules.builtin", base.modules.parent_path() / "modules.builtin"}) {
    const std::string built_in = read_file_if_any(list);
    for (std::string_view path : lines_of(built_in)) taken(path);
  }
}

Result<AppliedPatches> apply(const Build& build, const Base& base) {
  Console::Stage stage(build.console, "patch");
  AppliedPatches patches =
      apply_patches(build.patches, base.source, build.scratch / "patched", build.options.ignore_whitespace);
  keep_line_numbers(patches, base.source);
  stage.note(count(patches.touched().size(), "file"));
  std::vector<Finding> warnings = patches.warnings;
  return {std::move(patches), std::move(warnings), {}};
}

Result<std::vector<ObjectPair>> compile(const Build& build, const Base& base, const AppliedPatches& patches,
                                        PatchedView& view) {
  Result<std::vector<ObjectPair>> result;
  if (patches.touched().empty()) {
    result.no_change = "the patches leave every file as it is";
    return result;
  }
  Result<std::vector<AffectedObject>> affected;
  {
    Console::Stage stage(build.console, "objects");
    affected = find_affected(base, patches, view, build.options.targets, build.executor, build.scratch);
    stage.note(count(affected.value ? affected.value->size() : 0, "object"));
  }
  append(result.findings, std::move(affected.findings));
  result.no_change = affected.no_change;
  if (!affected.value) return result;
  const CompileSettings settings = settings_of(build, base, view);
  std::vector<AffectedObject> objects = *affected.value;
  Result<std::vector<ObjectPair>> pairs;
  std::optional<Console::Stage> stage;
  const auto progress = [&](size_t done, size_t total) { stage->progress(done, total); };
  try {
    std::vector<Finding> early = layouts_seen_early(build, base, patches, objects, settings);
    if (!early.empty()) {
      append(result.findings, std::move(early));
      return result;
    }
    stage.emplace(build.console, "compile");
    Result<std::vector<AffectedObject>> kept = drop_equal_texts(objects, settings, build.executor, progress);
    append(result.findings, std::move(kept.findings));
    objects = std::move(kept.value.value());
    pairs = compile_pairs(objects, !build.options.skip_proof, settings, build.executor, progress);
  } catch (const Error&) {
    // The compiler's message shall have the lines of the patched file. If it has nothing to say, the launcher had.
    drop_line_numbers(patches, view.root());
    CompileSettings alone = settings;
    alone.launcher.clear();
    drop_equal_texts(objects, alone, build.executor, {});
    compile_pairs(objects, false, alone, build.executor, {});
    throw;
  }
  append(result.findings, std::move(pairs.findings));
  append(result.findings, find_export_changes(*pairs.value, settings, build.executor));
  stage->note(fmt::format("{}, {} changed", count(objects.size(), "object"), pairs.value->size()));
  result.no_change = "all objects are the same with the patch and without it";
  if (!pairs.value->empty()) result.value = std::move(pairs.value);
  return result;
}

Result<std::vector<ObjectPair>> compile_full(const Build& build, const Base& base, const AppliedPatches& patches,
                                             PatchedView& view) {
  view.make_full();
  // The same flags as the quick way has.
  FullFlags flags;
  flags.all = {"-I" + data_file("kmod-template").string()};
  if (has_runtime_constants(base)) flags.built_in = {"-include", "asm-generic/runtime-const.h"};
  const std::vector<FullPair> full = build_full(base, view.root(), patches.touched(), build.cache, build.executor,
                                                build.console, build.options.jobs, build.scratch, flags);
  Console::Stage stage(build.console, "compile");
  Result<std::vector<ObjectPair>> result;
  std::vector<ObjectPair> pairs;
  for (const FullPair& pair : full) {
    if (pair.patched.empty()) {
      result.findings.push_back(
          {"removed",
           Severity::refusal,
           {.source = pair.command.source},
           fmt::format("the patch stops building {}, which can't be taken out of the kernel", pair.command.object),
           {}});
      continue;
    }
    pairs.push_back({pair.command, pair.original.empty() ? fs::path("/dev/null") : pair.original, pair.patched, {}});
  }
  append(result.findings, find_export_changes(pairs, settings_of(build, base, view), build.executor));
  stage.note(fmt::format("{} changed", count(pairs.size(), "object")));
  result.no_change = "all objects are the same with the patch and without it";
  const bool refused =
      std::ranges::any_of(result.findings, [](const Finding& f) { return f.severity == Severity::refusal; });
  if (!refused && !pairs.empty()) result.value = std::move(pairs);
  return result;
}

namespace {

// Those pairs that static branches on keys of modules stop, with tests of these keys instead; nothing where that doesn't
// help.
std::optional<std::vector<PairReport>> with_tested_keys(
    const Build& build, const Base& base, PatchedView& view, const std::vector<PairReport>& reports,
    const std::function<std::vector<PairReport>(const std::vector<ObjectPair>&, const char*)>& diff) {
  std::vector<ObjectPair> pairs;
  for (const PairReport& report : reports) pairs.push_back(report.pair);
  std::set<std::string> keys;
  std::vector<size_t> again;
  std::vector<ObjectPair*> stopped;
  for (size_t i = 0; i < reports.size(); ++i) {
    const std::set<std::string> own = refused_module_keys(reports[i]);
    if (own.empty()) continue;
    keys.insert(own.begin(), own.end());
    again.push_back(i);
    stopped.push_back(&pairs[i]);
  }
  if (stopped.empty() || build.options.full) return std::nullopt;
  CompileSettings settings = settings_of(build, base, view);
  settings.key_headers = build.scratch / key_header_folder;
  write_key_header(settings.key_headers, keys);
  if (!compile_again(stopped, settings, build.executor)) return std::nullopt;
  std::vector<PairReport> tested = diff(pairs, "diff-tested");
  for (size_t i : again) {
    if (!stands_for(tested[i], reports[i])) return std::nullopt;
    tested[i].findings.push_back({"static-key",
                                  Severity::notice,
                                  {.source = tested[i].pair.command.source},
                                  fmt::format("static branches on {} are tests of its state in the livepatch: a branch "
                                              "on a key of another module can't be patched",
                                              fmt::join(refused_module_keys(reports[i]), ", ")),
                                  {}});
  }
  return tested;
}

}  // namespace

std::vector<PairReport> compare(const Build& build, const Base& base, PatchedView& view,
                                const std::vector<ObjectPair>& pairs) {
  std::vector<std::string> modules;
  for (const ObjectPair& pair : pairs) modules.push_back(pair.command.module);
  unpack_debug_modules(base, modules, build.cache, build.executor, build.console);
  Console::Stage stage(build.console, "compare");
  DiffExtras extras{{}, build.options.debug_info};
  if (wants_listings(build.options)) extras.patched_tree = view.root();
  const auto diff = [&](const std::vector<ObjectPair>& of, const char* folder) {
    return diff_pairs(of, base, build.module, build.scratch / folder, extras, build.options.acknowledged,
                      build.options.jobs, build.executor,
                      [&](size_t done, size_t total) { stage.progress(done, total); });
  };
  std::vector<PairReport> reports = diff(pairs, "diff");
  if (auto tested = with_tested_keys(build, base, view, reports, diff)) reports = std::move(*tested);
  check_left_behind(reports, {base.source, view.root(), base.arch->kbuild.folder,
                              [&] {
                                std::set<std::string> sources;
                                for (const CompileCommand& command : shipped_commands(base, build.executor))
                                  sources.insert(command.source);
                                return sources;
                              },
                              std::ranges::count(build.options.acknowledged, "data-layout") > 0});
  size_t changed = 0;
  size_t added = 0;
  for (const PairReport& report : reports) changed += report.changed.size(), added += report.added.size();
  stage.note(fmt::format("{}, {} new", count(changed, "changed function"), added));
  return reports;
}

Result<std::vector<PairReport>> choose(std::vector<PairReport> reports) {
  // New functions that no changed one can call are no livepatch either: the kernel refuses one that patches nothing.
  const bool only_additions = std::all_of(reports.begin(), reports.end(),
                                          [](const PairReport& r) { return r.changed.empty() && r.callbacks.empty(); });
  const bool has_output =
      std::any_of(reports.begin(), reports.end(), [](const PairReport& r) { return r.status == exit_ok; });
  Result<std::vector<PairReport>> result;
  result.no_change = has_output ? "the patch adds functions, but no function that is there changes"
                                : "the code is the same with the patch and without it";
  if (only_additions) return result;
  std::erase_if(reports, [](const PairReport& r) { return r.status != exit_ok; });
  result.value = std::move(reports);
  return result;
}

std::vector<Finding> prove(const Build& build, const Base& base, PatchedView& view, std::vector<PairReport>& reports) {
  if (build.options.skip_proof) {
    return {{"skip-proof",
             Severity::warning,
             {},
             "not proven that the patched functions are the ones that run (--skip-proof)",
             {}}};
  }
  Console::Stage stage(build.console, "proof");
  std::vector<ObjectPair*> pairs;
  for (PairReport& report : reports) pairs.push_back(&report.pair);
  compile_plain(pairs, settings_of(build, base, view), build.executor);
  ShippedBinaries shipped(base);
  std::vector<Finding> problems;
  size_t proven = 0;
  for (const PairReport& report : reports) {
    check_interrupted();
    if (report.pair.plain.empty() || report.changed.empty()) continue;
    const CompileCommand& command = report.pair.command;
    std::vector<std::string> functions;
    for (const ReportedFunction& function : report.changed) functions.push_back(function.name);
    const std::string file_name = fs::path(command.source).filename().string();
    std::vector<Finding> findings =
        prove(Binary::open(report.pair.plain), shipped.object(command.module), functions, file_name);
    for (Finding& finding : findings) finding.location.source = command.source;
    proven += functions.size() - findings.size();
    append(problems, std::move(findings));
  }
  stage.note(fmt::format("{} as shipped", count(proven, "function")));
  return problems;
}

namespace {

// For whoever keeps the scratch directory: all that the audit needs to judge the module again (doc/formats.md).
void write_inputs(const Build& build, const Base& base, const fs::path& module,
                  std::span<const PatchedObject> objects) {
  nlohmann::json list = nlohmann::json::array();
  for (const PatchedObject& object : objects)
    list.push_back({{"file", object.file.lexically_relative(build.scratch).string()}, {"owner", object.owner}});
  const nlohmann::json inputs = {{"module", module.lexically_relative(build.scratch).string()},
                                 {"name", build.module},
                                 {"release", base.release},
                                 {"vmlinux", base.vmlinux_index.string()},
                                 {"symvers", base.symvers.string()},
                                 {"modules", base.modules.string()},
                                 {"objects", list}};
  write_file(build.scratch / "inputs.json", inputs.dump(2) + "\n");
}

}  // namespace

namespace {

// What the audit reads, opened once.
struct AuditFiles {
  AuditFiles(const Build& build, const Base& base, const fs::path& module)
      : vmlinux(Binary::open(base.vmlinux_index)), symvers(Symvers::read(base.symvers)), shipped(base) {
    input.module = module;
    input.name = build.module;
    input.release = base.release;
    input.vmlinux = &vmlinux;
    input.symvers = &symvers;
    input.open_module = [this](std::string_view name) { return shipped.named(name); };
  }
  Binary vmlinux;
  Symvers symvers;
  ShippedBinaries shipped;
  AuditInput input;
};

std::vector<PatchedObject> objects_of(const std::vector<PairReport>& reports) {
  std::vector<PatchedObject> objects;
  for (const PairReport& report : reports) objects.push_back({report.pair.patched, report.object});
  return objects;
}

// What is wrong with the module is never the patch's fault.
void end_audit(const Build& build, Console::Stage& stage, std::vector<Finding>& findings) {
  const auto problems = static_cast<size_t>(
      std::ranges::count_if(findings, [](const Finding& f) { return f.severity >= Severity::refusal; }));
  stage.note(problems == 0 ? "" : count(problems, "problem"));
  if (problems == 0) return;
  findings.push_back({"audit",
                      Severity::error,
                      {},
                      "the module isn't what it has to be, and is not delivered; that is a fault of kpatch-build, "
                      "not of the patch",
                      build.options.support_bundle.empty()
                          ? fmt::format("please report it, with what --support-bundle FILE writes when it is run once "
                                        "more with that; the log is {}",
                                        build.executor.log().string())
                          : fmt::format("please report it, with {}", build.options.support_bundle.string())});
}

}  // namespace

std::vector<Finding> audit(const Build& build, const Base& base, const std::vector<PairReport>& reports,
                           const fs::path& module) {
  Console::Stage stage(build.console, "audit");
  AuditFiles files(build, base, module);
  const std::vector<PatchedObject> objects = objects_of(reports);
  if (build.options.skip_cleanup) write_inputs(build, base, module, objects);
  std::vector<Finding> findings = audit(files.input);
  append(findings, check_delivery(files.input, objects));
  end_audit(build, stage, findings);
  return findings;
}

std::vector<Finding> audit_source(const Build& build, const Base& base, const std::vector<PairReport>& reports,
                                  const std::vector<PairReport>& units, const fs::path& module) {
  Console::Stage stage(build.console, "audit");
  AuditFiles files(build, base, module);
  std::vector<Finding> findings = audit(files.input);
  append(findings, check_delivery(files.input, objects_of(reports), MadeOf::extracted_source));
  end_audit(build, stage, findings);
  // The first difference of each function; what follows from it is no news.
  std::set<std::string> told;
  for (Finding& finding : check_delivery(files.input, objects_of(units), MadeOf::extracted_source)) {
    if (finding.location.function.empty() || !told.insert(finding.location.function).second) continue;
    finding.rule = "ways";
    finding.severity = Severity::notice;
    finding.message = "comes out otherwise than in its file: " + finding.message;
    findings.push_back(std::move(finding));
  }
  return findings;
}

namespace {

std::function<bool(const std::string&)> is_in(const fs::path& source) {
  return [source](const std::string& file) { return fs::is_regular_file(source / file); };
}

// What `modinfo` shows of the build. No paths, no times: equal input gives an equal module.
std::vector<std::pair<std::string, std::string>> module_info(const Build& build, const Base& base,
                                                             const std::vector<PairReport>& reports) {
  std::vector<std::string> objects;
  for (const PairReport& report : reports) objects.push_back(report.object);
  std::sort(objects.begin(), objects.end());
  objects.erase(std::unique(objects.begin(), objects.end()), objects.end());
  std::vector<std::pair<std::string, std::string>> info = {
      {"description", fmt::format("Livepatch of {}", joined(objects, ", "))},
      {"kpatch_version", KPATCH_VERSION},
      {"kpatch_release", base.release},
      {"kpatch_options", options_summary(build.options)},
  };
  for (const std::string& fix : build.options.fixes) info.emplace_back("kpatch_fixes", fix);
  if (!build.unconfined.empty()) info.emplace_back("kpatch_sandbox", "none: " + build.unconfined);
  const LivepatchContent content = content_of_patches(build.patches, is_in(base.source));
  for (const std::string& id : content.shadow_ids) info.emplace_back("kpatch_shadow", id);
  for (const PatchPlace& place : content.places) info.emplace_back("kpatch_hunk", place.text());
  for (const PatchText& patch : build.patches)
    info.emplace_back("kpatch_patch", fmt::format("{} xxh3:{}", patch.path.filename().string(), digest_of(patch.text)));
  return info;
}

}  // namespace

LivepatchContent content_of_module(const Build& build, const Base& base, const fs::path& module) {
  LivepatchContent content = content_of(KlpElf::read(module));
  LivepatchContent of_patches = content_of_patches(build.patches, is_in(base.source));
  content.places = std::move(of_patches.places);
  content.shadow_ids = std::move(of_patches.shadow_ids);
  content.knows_patches = true;
  return content;
}

std::vector<Finding> compare_with_previous(const Build& build, const Base& base, const LivepatchContent& now) {
  std::vector<Finding> findings;
  for (const fs::path& file : build.options.previous)
    append(findings,
           compare_with_previous(read_previous(file, is_in(base.source)), file, now, build.options.acknowledged));
  return findings;
}

namespace {

ModuleInput module_input(const Build& build, const Base& base, const std::vector<PairReport>& reports) {
  ModuleInput input;
  input.name = build.module;
  input.jobs = build.options.jobs;
  input.replace = build.options.replace;
  input.info = module_info(build, base, reports);
  input.fixes = build.options.fixes;
  const std::vector<std::string>& acknowledged = build.options.acknowledged;
  input.accept_objtool = std::find(acknowledged.begin(), acknowledged.end(), "objtool") != acknowledged.end();
  for (const PairReport& report : reports) {
    input.diff_objects.push_back(report.output);
    input.patched_objects.push_back(report.pair.patched);
  }
  return input;
}

}  // namespace

Result<fs::path> make_debug_file(const Build& build, const Base& base, const std::vector<PairReport>& reports,
                                 const fs::path& module) {
  Console::Stage stage(build.console, "debug information");
  ModuleInput input = module_input(build, base, reports);
  input.diff_objects.clear();
  for (const PairReport& report : reports) input.diff_objects.push_back(report.debug_output);
  Result<fs::path> file = build_module(input, base, build.scratch / "debug", build.executor);
  if (!file.value) return file;
  const fs::path linked = build.scratch / (build.module + ".ko.debug");
  post_link(*file.value, linked);
  match_debug_file(module, linked);
  file.value = linked;
  return file;
}

Result<fs::path> make_module(const Build& build, const Base& base, const std::vector<PairReport>& reports,
                             const std::vector<fs::path>& further, const std::string& directory) {
  ModuleInput input = module_input(build, base, reports);
  input.diff_objects.insert(input.diff_objects.end(), further.begin(), further.end());
  Console::Stage stage(build.console, "module");
  Result<fs::path> module = build_module(input, base, build.scratch / directory, build.executor);
  if (!module.value) return module;
  const fs::path folder = build.scratch / (directory + "-linked");
  fs::create_directories(folder);
  const fs::path linked = folder / (build.module + ".ko");
  ShippedBinaries shipped(base);
  finish_module(*module.value, linked, base, shipped);
  module.value = linked;
  return module;
}

}  // namespace kpatch
