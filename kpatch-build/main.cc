// kpatch-build: from a source patch to a livepatch module.
//
//     patch ─► base ─► patched view ─► objects, twice ─► differences ─► proof ─┬─────────────► module ─► .ko
//                                                                               └─► source ─► module ─► .ko
//
// main() runs the stages in their order; what each does, and why, stands in its own file.

#include <fmt/core.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "arch/arch.h"
#include "kpatch-build/assess.h"
#include "kpatch-build/build-report.h"
#include "kpatch-build/bundle.h"
#include "kpatch-build/cache-command.h"
#include "kpatch-build/disable.h"
#include "kpatch-build/list-kernels.h"
#include "kpatch-build/provenance.h"
#include "kpatch-build/reporter.h"
#include "kpatch-build/sandbox.h"
#include "kpatch-build/shared-store.h"
#include "kpatch-build/signing.h"
#include "kpatch-build/source-way.h"
#include "kpatch-build/stages.h"
#include "kpatch-build/support-bundle.h"
#include "kpatch-build/test-module.h"
#include "support/answer.h"
#include "support/error.h"
#include "support/files.h"
#include "support/signals.h"
#include "support/standard-output.h"

namespace {

using namespace kpatch;
namespace fs = std::filesystem;

std::string size_of(const fs::path& file) {
  const uintmax_t bytes = fs::file_size(file);
  return bytes < 10240 ? fmt::format("{} bytes", bytes) : fmt::format("{} KiB", bytes / 1024);
}

void run(Build build, Delivery& delivery, const ModuleSigner& signer, Reporter& reporter) {
  if (build.options.from_source || build.options.both) require_source_way();
  try_patches(build);

  // The kernel as it runs: its source, its config, its compiler's commands, its symbols.
  const Base base = reporter.take(prepare_base(build));
  reporter.know_release(base.release);
  if (base.arch->code.list == nullptr)
    reporter.know_no_listings(
        fmt::format("There is no disassembler for {} here: {}.", base.arch->elf.name, base.arch->code.no_list));
  require_free_name(base, build.module);
  if (build.options.test) require_testable(base);

  if (!build.options.disabled.empty()) {
    build.patches = {reporter.take(disabling_patch(build, base))};
    reporter.know_patches(build.patches);
  }

  // The source as it shall be. From here on nothing is read from the caller's own tree.
  const AppliedPatches patches = reporter.take(apply(build, base));
  PatchedView view(base.source, build.scratch / "view", patches);

  // What the compiler makes of both, object by object, and what differs.
  const std::vector<ObjectPair> pairs = reporter.take(build.options.full ? compile_full(build, base, patches, view)
                                                                         : compile(build, base, patches, view));
  std::vector<PairReport> compared = compare(build, base, view, pairs);
  reporter.take_compared(compared);
  std::vector<PairReport> reports = reporter.take(choose(std::move(compared)));

  // Nothing is replaced that isn't known to be what runs.
  reporter.take(prove(build, base, view, reports));

  // The module, and a last look at it with the kernel's eyes.
  fs::path module;
  if (!build.options.from_source) {
    module = reporter.take(make_module(build, base, reports));
    reporter.take(audit(build, base, reports, module));
  }
  std::vector<std::pair<std::string, std::string>> sources;
  fs::path by_source;
  if (build.options.from_source || build.options.both) {
    SourceWay way = reporter.take(take_source(build, base, view, reports));
    reporter.take(prove(build, base, view, way.reports));
    by_source = reporter.take(make_module(build, base, way.reports, way.further, "from-source"));
    reporter.take(audit_source(build, base, way.reports, reports, by_source));
    for (ExtractedFile& file : way.files) sources.emplace_back(file.name, file.text);
    if (build.options.both) {
      reporter.take(compare_ways(module, by_source, way));
    } else {
      module = by_source;
      reports = std::move(way.reports);
      reporter.know_objects(reports);
    }
  }
  const LivepatchContent content = content_of_module(build, base, module);
  reporter.know_content(content);
  reporter.know_size(size_of_module(module));
  reporter.take(compare_with_previous(build, base, content));
  fs::path debug;
  if (build.options.debug_info) debug = reporter.take(make_debug_file(build, base, reports, module));
  signer.sign(module);
  if (build.options.test) reporter.take(test_module(build, base, module));
  if (!build.options.bundle.empty()) write_bundle(build, base, build.options.bundle);
  if (!build.options.provenance.empty()) write_file(build.options.provenance, provenance(build, base, module));
  reporter.write();
  if (!debug.empty()) delivery.deliver(debug, build.module + ".ko.debug");
  for (const auto& [name, text] : sources) delivery.deliver_text(text, fmt::format("{}.{}", build.module, name));
  if (build.options.both) delivery.deliver(by_source, build.module + ".from-source.ko");
  const fs::path delivered = delivery.deliver(module, build.module + ".ko");
  build.console.info(
      fmt::format("patched functions\n{}{} ({})", patched_functions(reports), delivered.string(), size_of(delivered)));
}

// Why commands run outside of a sandbox; empty: they are confined from now on.
std::string confine(const Options& options, Executor& executor, const Cache& cache, const fs::path& scratch,
                    Reporter& reporter) {
  std::optional<NoSandbox> none = NoSandbox{"--no-sandbox", {}};
  if (options.sandbox) none = enter_sandbox(executor, writable_folders(cache.root()), scratch);
  if (none)
    reporter.take({{"no-sandbox",
                    Severity::notice,
                    {},
                    fmt::format("commands run without a sandbox, and may write anywhere: {}", none->why),
                    none->advice}});
  else if (!options.launcher.empty())
    reporter.take({{"sandbox", Severity::notice, {}, "compiles by --launcher run outside of the sandbox", {}}});
  return none ? none->why : std::string();
}

// Whoever was killed just before this run may have left children that went only meanwhile.
struct TidyAtEnd {
  explicit TidyAtEnd(Cache& of) : cache(of) {}
  ~TidyAtEnd() { cache.tidy(); }
  TidyAtEnd(const TidyAtEnd&) = delete;
  TidyAtEnd& operator=(const TidyAtEnd&) = delete;
  Cache& cache;
};

// Makes what all stages share, and has it used.
void with_build(const Options& options, std::vector<PatchText> patches, Console& console, Reporter& reporter,
                const std::function<void(const Build&)>& use) {
  Cache cache(Cache::default_root(), console);
  use_store(cache, options, console);
  Executor executor(new_log(cache.root() / "logs"), [&](std::string_view line) { console.command(line); });
  ScratchDirectory scratch = cache.scratch();
  const TidyAtEnd tidy(cache);
  if (options.skip_cleanup) {
    scratch.keep();
    console.info(fmt::format("scratch directory: {}", scratch.path().string()));
  }
  console.debug(fmt::format("log: {}", executor.log().string()));
  use({options, console, executor, cache, scratch.path(), module_name(options.name, options.patches),
       std::move(patches), confine(options, executor, cache, scratch.path(), reporter)});
  keep_within_limits(options, cache, console);
}

// patches: those of a bundle.
void build_patch(const Options& options, std::vector<PatchText> patches, Console& console, Reporter& reporter,
                 SupportBundle* support) {
  Delivery delivery(options.output);
  const ModuleSigner signer(options);
  reporter.know_module(module_name(options.name, options.patches));
  reporter.try_report();
  for (const fs::path& file : {options.provenance, options.bundle, options.support_bundle})
    if (!file.empty()) AtomicFile(file, Flush::no);
  if (options.from_bundle.empty() && options.disabled.empty())
    for (const fs::path& patch : options.patches) patches.push_back(read_patch(patch));
  reporter.know_patches(patches);
  with_build(options, std::move(patches), console, reporter, [&](const Build& build) {
    try {
      run(build, delivery, signer, reporter);
    } catch (const Interrupted&) {
      throw;
    } catch (...) {
      if (support != nullptr) support->gather(build);
      throw;
    }
    if (support != nullptr) support->gather(build);
  });
}

// The exit code.
int assess_patch(const Options& options) {
  const Answer answer(true);  // the stages' lines are for stderr
  Console console(options.debug);
  std::vector<PatchText> patches;
  for (const fs::path& patch : options.patches)
    patches.push_back(may_be_commit(patch) ? patch_of_commit(patch.string()) : read_patch(patch));
  std::vector<std::string> releases = options.releases;
  if (releases.empty()) releases.emplace_back();
  std::vector<Assessment> all;
  for (const std::string& release : releases) {
    Options one = options;
    one.archversion = release;
    one.skip_proof = true;  // of the kernel, which is proven when something is built
    Reporter reporter(one, console);
    with_build(one, patches, console, reporter, [&](const Build& build) { all.push_back(assess(build)); });
  }
  answer.print(options.json ? to_json(all).dump(2, ' ', false, nlohmann::json::error_handler_t::replace)
                            : table_of(all));
  return exit_code_of(all);
}

// The exit code.
int build_and_report(const Options& given) {
  Console console(given.debug);
  Bundled bundled{given, {}};
  if (!given.from_bundle.empty()) bundled = take_bundle(given, console);
  const Options& options = bundled.options;
  Reporter reporter(options, console);
  std::optional<SupportBundle> support;
  if (!options.support_bundle.empty()) support.emplace();
  try {
    build_patch(options, std::move(bundled.patches), console, reporter, support ? &*support : nullptr);
    if (support) support->write(options.support_bundle, reporter.facts(), options, console);
    return reporter.status();
  } catch (const Interrupted&) {
    throw;
  } catch (const Ended&) {
  } catch (const fs::filesystem_error& error) {
    reporter.fail(fmt::format("{}: {}", error.path1().string(), error.code().message()));
  } catch (const std::exception& error) {
    reporter.fail(error.what());
  }
  reporter.write();
  // The build's own error is what counts: a bundle that can't be written is a warning.
  try {
    if (support) support->write(options.support_bundle, reporter.facts(), options, console);
  } catch (const Error& error) {
    console.warning(error.what());
  } catch (const fs::filesystem_error& error) {
    console.warning(error.what());
  }
  return reporter.status();
}

}  // namespace

int main(int argc, char** argv) {
  Console plain(0);
  try {
    handle_signals();
    const std::optional<Options> options = parse_options(argc, argv);
    if (!options) return after_output(exit_ok);
    if (options->assess) return after_output(assess_patch(*options));
    if (options->list_kernels) return after_output(list_kernels(*options, plain));
    if (options->cache == CacheAction::none) return after_output(build_and_report(*options));
    tend_cache(*options, plain);
    return after_output(exit_ok);
  } catch (const Interrupted& interrupted) {
    plain.error("interrupted");
    return 128 + interrupted.signal;
  } catch (const std::exception& error) {
    plain.error(error.what());
    return exit_error;
  }
}
