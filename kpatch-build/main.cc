// kpatch-build: from a source patch to a livepatch module.
//
//     patch ─► base ─► patched view ─► objects, twice ─► differences ─► proof ─► module ─► .ko
//
// main() runs the stages in their order; what each does, and why, stands in its own file.

#include <fmt/core.h>

#include <filesystem>

#include "kpatch-build/build-report.h"
#include "kpatch-build/stages.h"
#include "support/error.h"

namespace {

using namespace kpatch;
namespace fs = std::filesystem;

std::string size_of(const fs::path& file) {
  const uintmax_t bytes = fs::file_size(file);
  return bytes < 10240 ? fmt::format("{} bytes", bytes) : fmt::format("{} KiB", bytes / 1024);
}

int run(const Build& build, Delivery& delivery) {
  try_patches(build);

  // The kernel as it runs: its source, its config, its compiler's commands, its symbols.
  const Base base = prepare_base(build);

  // The source as it shall be. From here on nothing is read from the caller's own tree.
  const AppliedPatches patches = apply(build, base);
  PatchedView view(base.source, build.scratch / "view", patches);

  // What the compiler makes of both, object by object, and what differs.
  const std::vector<ObjectPair> pairs =
      build.options.full ? compile_full(build, base, patches, view) : compile(build, base, patches, view);
  std::vector<PairReport> reports = compare(build, base, pairs);

  // Nothing is replaced that isn't known to be what runs.
  prove(build, base, view, reports);

  // The module, and a last look at it with the kernel's eyes.
  const fs::path module = make_module(build, base, reports);
  audit(build, base, module);
  if (!build.options.report.empty()) {
    write_json_report(build.options.report, reports, build.options, build.module, base.release, exit_ok);
  }
  const fs::path delivered = delivery.deliver(module, build.module + ".ko");
  build.console.info(
      fmt::format("patched functions\n{}{} ({})", patched_functions(reports), delivered.string(), size_of(delivered)));
  return exit_ok;
}

int build_patch(const Options& options, Console& console) {
  Delivery delivery(options.output);
  const std::string module = module_name(options.name, options.patches);
  Cache cache(Cache::default_root(), console);
  Executor executor(new_log(cache.root() / "logs"), [&](std::string_view line) { console.command(line); });
  ScratchDirectory scratch = cache.scratch();
  if (options.skip_cleanup) {
    scratch.keep();
    console.info(fmt::format("scratch directory: {}", scratch.path().string()));
  }
  console.debug(fmt::format("log: {}", executor.log().string()));
  return run({options, console, executor, cache, scratch.path(), module}, delivery);
}

}  // namespace

int main(int argc, char** argv) {
  Console plain(0);
  try {
    handle_signals();
    const std::optional<Options> options = parse_options(argc, argv);
    if (!options) return exit_ok;
    Console console(options->debug);
    return build_patch(*options, console);
  } catch (const Ended& ended) {
    return ended.status;
  } catch (const Interrupted& interrupted) {
    plain.error("interrupted");
    return 128 + interrupted.signal;
  } catch (const fs::filesystem_error& error) {
    plain.error(fmt::format("{}: {}", error.path1().string(), error.code().message()));
    return exit_error;
  } catch (const std::exception& error) {
    plain.error(error.what());
    return exit_error;
  }
}
