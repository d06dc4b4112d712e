// The stages of a build
//
// Each is a line on the console with its time; the work is done by the files that are named after it. A stage takes
// what the ones before it made and changes none of it, so that the order in main() is the only order there is.
#include "kpatch-build/stages.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "kbuild/kbuild.h"
#include "kernel/kernel.h"
#include "klp/klp.h"
#include "kpatch-build/build-report.h"
#include "kpatch-build/compile.h"
#include "lookup/lookup.h"
#include "patch/patch.h"
#include "support/data.h"
#include "support/error.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

std::string count(size_t number, std::string_view thing) {
  return fmt::format("{} {}{}", number, thing, number == 1 ? "" : "s");
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

CompileSettings settings_of(const Build& build, const Base& base, PatchedView& view) {
  return {base, view, build.scratch / "objects", data_file("kmod-template"), build.options.jobs};
}

[[noreturn]] void no_change(const Build& build, std::string_view why) {
  build.console.info(fmt::format("no functional change: {}", why));
  throw Ended{exit_no_change};
}

// What the search for objects has to say; throws Ended when the patch ends here.
void judge(const Build& build, const Base& base, const Affected& affected) {
  std::vector<std::string> refusals = affected.refusals;
  for (const std::string& path : affected.needs_full) {
    refusals.push_back(fmt::format("{}: error: it can change how every object is built{}", path,
                                   base.built_here
                                       ? "\n>>> use --full, which builds the kernel with and without the patch"
                                       : "; that needs the kernel built in full, which a stock kernel isn't"));
  }
  // Nothing is missed by leaving such a file out; but when it is all there is, the patch is for another kernel.
  for (const NotBuilt& file : affected.not_built) {
    if (affected.objects.empty()) {
      refusals.push_back(fmt::format("{}: error: {}", file.path, file.why));
    } else {
      build.console.warning(fmt::format("{}: {}", file.path, file.why));
    }
  }
  if (!affected.ignored.empty()) {
    build.console.info(fmt::format("no part of the kernel, ignored: {}", joined(affected.ignored)));
  }
  std::sort(refusals.begin(), refusals.end());
  for (const std::string& refusal : refusals) build.console.error(refusal);
  if (!refusals.empty()) throw Ended{exit_unpatchable};
  if (affected.objects.empty()) no_change(build, "no object of the kernel depends on what the patch touches");
}

}  // namespace

void try_patches(const Build& build) {
  for (const fs::path& patch : build.options.patches) read_patch(patch);
  const bool tree_named = fs::is_directory(build.options.source / "kernel");
  if (!build.options.source.empty() && tree_named) {
    apply_patches(build.options.patches, build.options.source, build.scratch / "tried", build.options.ignore_whitespace,
                  build.executor);
  }
}

Base prepare_base(const Build& build) {
  const Options& o = build.options;
  return make_base(
      {o.source, o.config, o.vmlinux, o.symvers, o.modules, o.source_package, o.archversion, o.targets, o.jobs,
       o.skip_compiler_check, [&](const Base& base) { return all_commands(base, build.executor).size(); }},
      build.cache, build.executor, build.console);
}

AppliedPatches apply(const Build& build, const Base& base) {
  Console::Stage stage(build.console, "patch");
  AppliedPatches patches = apply_patches(build.options.patches, base.source, build.scratch / "patched",
                                         build.options.ignore_whitespace, build.executor);
  for (const std::string& warning : patches.warnings) build.console.warning(warning);
  keep_line_numbers(patches, base.source);
  stage.note(count(patches.touched().size(), "file"));
  return patches;
}

std::vector<ObjectPair> compile(const Build& build, const Base& base, const AppliedPatches& patches,
                                PatchedView& view) {
  if (patches.touched().empty()) no_change(build, "the patches leave every file as it is");
  Affected affected;
  {
    Console::Stage stage(build.console, "objects");
    affected = find_affected(base, patches, view, build.options.targets, build.executor, build.scratch);
    stage.note(count(affected.objects.size(), "object"));
  }
  judge(build, base, affected);
  Console::Stage stage(build.console, "compile");
  const CompileSettings settings = settings_of(build, base, view);
  const auto progress = [&](size_t done, size_t total) { stage.progress(done, total); };
  const std::vector<AffectedObject> objects =
      drop_equal_texts(std::move(affected.objects), settings, build.executor, progress);
  std::vector<ObjectPair> pairs;
  try {
    pairs = compile_pairs(objects, !build.options.skip_proof, settings, build.executor, progress);
  } catch (const Error&) {
    // The compiler's message shall have the lines of the patched file.
    drop_line_numbers(patches, view.root());
    compile_pairs(objects, false, settings, build.executor, {});
    throw;
  }
  stage.note(fmt::format("{}, {} changed", count(objects.size(), "object"), pairs.size()));
  return pairs;
}

std::vector<ObjectPair> compile_full(const Build& build, const Base& base, const AppliedPatches& patches,
                                     PatchedView& view) {
  view.make_full();
  // The same flags as the quick way has.
  FullFlags flags;
  flags.all = {"-I" + data_file("kmod-template").string()};
  if (has_runtime_constants(base)) flags.built_in = {"-include", "asm-generic/runtime-const.h"};
  const std::vector<FullPair> full = build_full(base, view.root(), patches.touched(), build.cache, build.executor,
                                                build.console, build.options.jobs, build.scratch, flags);
  Console::Stage stage(build.console, "compile");
  std::vector<ObjectPair> pairs;
  bool refused = false;
  for (const FullPair& pair : full) {
    if (pair.patched.empty()) {
      build.console.error(fmt::format("{}: error: the patch stops building {}, which can't be taken out of the kernel",
                                      pair.command.source, pair.command.object));
      refused = true;
      continue;
    }
    pairs.push_back({pair.command, pair.original.empty() ? fs::path("/dev/null") : pair.original, pair.patched, {}});
  }
  if (refused) throw Ended{exit_unpatchable};
  stage.note(fmt::format("{} changed", count(pairs.size(), "object")));
  return pairs;
}

std::vector<PairReport> compare(const Build& build, const Base& base, const std::vector<ObjectPair>& pairs) {
  if (pairs.empty()) no_change(build, "all objects are the same with the patch and without it");
  std::vector<PairReport> reports;
  {
    Console::Stage stage(build.console, "compare");
    reports =
        diff_pairs(pairs, base, build.module, build.scratch / "diff", build.options.acknowledged, build.options.jobs,
                   build.executor, [&](size_t done, size_t total) { stage.progress(done, total); });
    size_t changed = 0;
    size_t added = 0;
    for (const PairReport& report : reports) changed += report.changed.size(), added += report.added.size();
    stage.note(fmt::format("{}, {} new", count(changed, "changed function"), added));
  }
  if (build.options.explain) build.console.info(explanation(reports));
  print_findings(reports, build.console);
  const auto has = [&](int status) {
    return std::any_of(reports.begin(), reports.end(), [&](const PairReport& r) { return r.status == status; });
  };
  // New functions that no changed one can call are no livepatch either: the kernel refuses one that patches nothing.
  const bool only_additions = std::all_of(reports.begin(), reports.end(),
                                          [](const PairReport& r) { return r.changed.empty() && r.callbacks.empty(); });
  const int status = has(exit_unpatchable) ? exit_unpatchable : !only_additions ? exit_ok : exit_no_change;
  if (status != exit_ok && !build.options.report.empty()) {
    write_json_report(build.options.report, reports, build.options, build.module, base.release, status);
  }
  if (status == exit_unpatchable) throw Ended{exit_unpatchable};
  if (status == exit_no_change)
    no_change(build, has(exit_ok) ? "the patch adds functions, but no function that is there changes"
                                  : "the code is the same with the patch and without it");
  std::erase_if(reports, [](const PairReport& r) { return r.status != exit_ok; });
  return reports;
}

namespace {

// Shipped files, each opened once. Modules by their path without .ko, or by the name that the kernel gives them.
class ShippedBinaries {
 public:
  explicit ShippedBinaries(const Base& base) : base_(base) {}

  const Binary& object(const std::string& module) {
    auto it = opened_.find(module);
    if (it == opened_.end()) {
      const fs::path file = module.empty() ? base_.vmlinux : module_file(base_, module).value();
      it = opened_.emplace(module, Binary::open(file)).first;
    }
    return it->second;
  }

  const Binary* named(std::string_view name) {
    if (paths_.empty()) list();
    const auto it = paths_.find(std::string(name));
    return it == paths_.end() ? nullptr : &object(it->second);
  }

 private:
  void list() {
    std::error_code missing;
    for (fs::recursive_directory_iterator it(base_.modules, missing), end; it != end; it.increment(missing)) {
      if (missing) break;
      const std::string path = it->path().lexically_relative(base_.modules).string();
      const size_t ending = path.rfind(".ko");
      if (ending == std::string::npos || path.find('/', ending) != std::string::npos) continue;
      const std::string module = path.substr(0, ending);
      paths_.emplace(object_name(module), module);
    }
  }

  const Base& base_;
  std::map<std::string, Binary> opened_;
  std::map<std::string, std::string> paths_;
};

}  // namespace

void prove(const Build& build, const Base& base, PatchedView& view, std::vector<PairReport>& reports) {
  if (build.options.skip_proof) {
    build.console.warning("not proven that the patched functions are the ones that run (--skip-proof)");
    return;
  }
  Console::Stage stage(build.console, "proof");
  std::vector<ObjectPair*> pairs;
  for (PairReport& report : reports) pairs.push_back(&report.pair);
  compile_plain(pairs, settings_of(build, base, view), build.executor);
  ShippedBinaries shipped(base);
  std::string problems;
  size_t proven = 0;
  for (const PairReport& report : reports) {
    check_interrupted();
    if (report.pair.plain.empty() || report.changed.empty()) continue;
    const CompileCommand& command = report.pair.command;
    std::vector<std::string> functions;
    for (const ReportedFunction& function : report.changed) functions.push_back(function.name);
    const std::string file_name = fs::path(command.source).filename().string();
    const auto findings = prove(Binary::open(report.pair.plain), shipped.object(command.module), functions, file_name);
    for (const ProofFinding& finding : findings) {
      problems += fmt::format("{}{}: error: {}: {}", problems.empty() ? "" : "\n", command.source, finding.function,
                              finding.message);
    }
    proven += functions.size() - findings.size();
  }
  if (!problems.empty()) throw Error(problems);
  stage.note(fmt::format("{} as shipped", count(proven, "function")));
}

void audit(const Build& build, const Base& base, const fs::path& module) {
  Console::Stage stage(build.console, "audit");
  const Binary vmlinux = Binary::open(base.vmlinux_index);
  const Symvers symvers = Symvers::read(base.symvers);
  ShippedBinaries shipped(base);
  AuditInput input;
  input.module = module;
  input.name = build.module;
  input.release = base.release;
  input.vmlinux = &vmlinux;
  input.symvers = &symvers;
  input.open_module = [&](std::string_view name) { return shipped.named(name); };
  std::string problems;
  for (const std::string& problem : audit(input)) problems += "\n>>> " + problem;
  if (!problems.empty())
    throw Error(fmt::format("the module did not pass its audit, and is not delivered{}", problems));
}

namespace {

// What `modinfo` shows of the build. No paths, no times: equal input gives an equal module.
std::vector<std::pair<std::string, std::string>> module_info(const Build& build, const Base& base,
                                                             const std::vector<PairReport>& reports) {
  std::vector<std::string> objects;
  for (const PairReport& report : reports) objects.push_back(report.object);
  std::sort(objects.begin(), objects.end());
  objects.erase(std::unique(objects.begin(), objects.end()), objects.end());
  std::vector<std::pair<std::string, std::string>> info = {
      {"description", fmt::format("Livepatch of {}", joined(objects))},
      {"kpatch_version", KPATCH_VERSION},
      {"kpatch_release", base.release},
      {"kpatch_options", options_summary(build.options)},
  };
  for (const fs::path& patch : build.options.patches) {
    info.emplace_back("kpatch_patch", fmt::format("{} xxh3:{}", patch.filename().string(), digest_of_file(patch)));
  }
  return info;
}

}  // namespace

fs::path make_module(const Build& build, const Base& base, const std::vector<PairReport>& reports) {
  ModuleInput input;
  input.name = build.module;
  input.replace = build.options.replace;
  input.info = module_info(build, base, reports);
  const std::vector<std::string>& acknowledged = build.options.acknowledged;
  input.accept_objtool = std::find(acknowledged.begin(), acknowledged.end(), "objtool") != acknowledged.end();
  for (const PairReport& report : reports) {
    input.diff_objects.push_back(report.output);
    input.patched_objects.push_back(report.pair.patched);
  }
  Console::Stage stage(build.console, "module");
  const BuiltModule module = build_module(input, base, build.scratch / "module", build.executor);
  for (const std::string& warning : module.warnings) build.console.warning(warning);
  const fs::path linked = build.scratch / (build.module + ".ko");
  post_link(module.file, linked);
  return linked;
}

}  // namespace kpatch
