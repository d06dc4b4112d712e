// kpatch-try: boots the kernel that a livepatch is for, and loads it there.
#include <fmt/format.h>

#include <boost/program_options.hpp>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "kernel/kernel.h"
#include "support/answer.h"
#include "support/error.h"
#include "support/files.h"
#include "support/program.h"
#include "try/initramfs.h"
#include "try/try.h"

namespace {

using namespace kpatch;
namespace fs = std::filesystem;
namespace po = boost::program_options;

struct TryOptions {
  TrialInput trial;
  std::string release, packages;
  bool json = false;
};

void require_file(const fs::path& file) {
  if (std::error_code ignored; !file.empty() && !fs::is_regular_file(file, ignored))
    throw Error(fmt::format("{}: no such file", file.string()));
}

void check(const TryOptions& options, int seconds) {
  if (seconds < 30 || seconds > 86400) throw Error("--timeout: give seconds, from 30 to 86400");
  if (const std::string& accel = options.trial.accelerator; !accel.empty() && accel != "kvm" && accel != "tcg")
    throw Error(fmt::format("--accel {}: kvm or tcg is meant", accel));
  if (!options.trial.initramfs.empty() && !options.trial.disk.empty())
    throw Error("--initramfs and --disk: the test runs in one of them");
  const TrialInput& trial = options.trial;
  for (const fs::path* file : {&trial.module, &trial.test, &trial.initramfs, &trial.kernel.image}) require_file(*file);
  if (!trial.initramfs.empty()) require_initramfs(trial.initramfs);
  if (std::error_code ignored; !trial.disk.empty() && !fs::exists(trial.disk, ignored))
    throw Error(fmt::format("{}: no such disk image", trial.disk.string()));
  if (std::error_code ignored; !trial.kernel.modules.empty() && !fs::is_directory(trial.kernel.modules, ignored))
    throw Error(fmt::format("{}: no such folder", trial.kernel.modules.string()));
}

std::optional<TryOptions> parse(int argc, char** argv) {
  TryOptions options;
  TrialInput& trial = options.trial;
  std::vector<std::string> files;
  std::string kernel, modules, test, initramfs, disk, console;
  int seconds = 300;
  po::options_description visible("Options");
  visible.add_options()("test-script", po::value(&test)->value_name("FILE"),
                        "a shell script that fails without the livepatch, and passes with it")(
      "archversion,a", po::value(&options.release)->value_name("RELEASE"),
      "the kernel (default: the one that the module says it is for), whose files are installed, cached or fetched as "
      "kpatch-build does")(
      "packages", po::value(&options.packages)->value_name("DIR"),
      "take the kernel from the packages in this folder: those with its image and its modules are enough")(
      "kernel", po::value(&kernel)->value_name("FILE"), "the image that boots, of a kernel of your own")(
      "modules,m", po::value(&modules)->value_name("DIR"), "that kernel's modules")(
      "with", po::value(&trial.extra_modules)->value_name("MODULE")->composing(),
      "load this module of the kernel as well, repeatable (those that the livepatch patches are)")(
      "initramfs", po::value(&initramfs)->value_name("FILE"), "unpack this one too: what the test needs")(
      "disk", po::value(&disk)->value_name("IMAGE"),
      "run the test in the system on this disk image, which isn't written to")(
      "timeout", po::value(&seconds)->value_name("SECONDS"),
      "for all of it (default: 300); a transition and a run of the test have a fifth of it")(
      "accel", po::value(&trial.accelerator)->value_name("kvm|tcg"), "how it is run (default: KVM where that works)")(
      "console", po::value(&console)->value_name("FILE"),
      "keep the kernel's messages there (default: kept where the livepatch fails)")(
      "json", po::bool_switch(&options.json), "answer for programs")("version", "print the version")("help,h",
                                                                                                     "print this help");
  const po::variables_map values = parse_program_options(argc, argv, visible, files, "kpatch-try");
  if (values.contains("help")) {
    std::cout
        << "Usage: kpatch-try [options] KO\n"
           "Boots the kernel that a livepatch is for in QEMU, loads it, tests it, and unloads it.\n\n"
        << visible
        << "\nExit status: 0 all is as it should be; 1 it can't be tried; 2 the livepatch fails; 3 the test proves "
           "nothing,\nbecause it passes without the livepatch.\nManual: kpatch-try(1)\n";
    return std::nullopt;
  }
  if (values.contains("version")) {
    std::cout << "kpatch-try " KPATCH_VERSION "\n";
    return std::nullopt;
  }
  if (files.size() != 1) throw Error("give one module; see kpatch-try --help");
  trial.module = files[0];
  trial.kernel.image = kernel;
  trial.kernel.modules = modules;
  trial.test = test;
  trial.initramfs = initramfs;
  trial.disk = disk;
  trial.console = console;
  trial.timeout = std::chrono::seconds(seconds);
  check(options, seconds);
  return options;
}

int run(TryOptions options) {
  const Answer answer(options.json);
  TrialInput& trial = options.trial;
  const std::vector<PatchedName> expected = expected_functions(trial.module);
  Console console(0);
  Cache cache(Cache::default_root(), console);
  Executor executor(cache.root() / "logs" / "kpatch-try.log");
  if (options.release.empty()) options.release = release_of_module(trial.module);
  const ScratchDirectory scratch = cache.scratch();
  trial.kernel =
      find_bootable(options.release, trial.kernel, scratch.path(),
                    {.cache = cache, .executor = executor, .console = console, .packages = options.packages});
  const bool keep = !trial.console.empty();
  if (!keep) trial.console = scratch.path() / "console";
  const TryVerdict verdict =
      judge_trial(trial, run_trial(trial, scratch.path(), cache.root() / "accelerator", executor, console), expected);
  answer.print(options.json ? to_json(verdict).dump(2, ' ', false, nlohmann::json::error_handler_t::replace)
                            : text_of(verdict));
  if (verdict.status() == exit_unpatchable && !keep) {
    const std::string kept = trial.module.stem().string() + ".console.log";
    write_file(kept, read_file(trial.console), Flush::no);
    console.info(fmt::format("the kernel's messages: {}", kept));
  }
  return verdict.status();
}

}  // namespace

int main(int argc, char** argv) {
  return run_program([&] {
    auto options = parse(argc, argv);
    return options ? run(std::move(*options)) : exit_ok;
  });
}
