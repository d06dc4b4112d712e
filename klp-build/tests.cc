// prepare-tests: the modules of an architecture with a test, and a run of each in its kernel
//
//     tests/ARCH/NAME/built/CODESTREAM/livepatch_NAME.ko
//     tests/ARCH/NAME/repro/test_script.sh       what is run with the livepatch loaded
//     tests/ARCH/NAME/tests.out                  what each guest said
//     tests/ARCH/NAME.tar.xz
//
// The guest is made and judged by klp-build/boot-test: load, run the script, disable, unload, and no complaint of the kernel.
#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "arch/arch.h"
#include "kernel/kernel.h"
#include "klp-build/commands.h"
#include "support/data.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string;

fs::path test_script(const KlpContext& context, const Project& project) {
  if (!context.line.test_script.empty()) return context.line.test_script;
  const fs::path& folder = context.settings.tests_dir;
  if (folder.empty()) return {};
  if (fs::path kept = kept_test_of(folder, project.name); !kept.empty()) return kept;
  context.console.warning(fmt::format("{}: has no test of {}", folder.string(), project.name));
  return {};
}

// What boots, and the folder below which its modules are: of a release out of the cache of packages.
struct Bootable {
  fs::path image, modules;
};
Bootable bootable(const Codestream& codestream, const Cache& cache) {
  if (codestream.kernel.find('/') != string::npos) {
    const fs::path folder = codestream.kernel;
    return {folder / codestream.architecture()->kbuild.image, folder};
  }
  for (const Cache::Entry& entry : cache.entries("packages")) {
    if (CacheKey::field(entry.key, "release") != codestream.kernel) continue;
    const KernelFiles files = files_of_kept(entry.directory, codestream.kernel);
    if (!files.image.empty()) return {files.image, files.modules};
  }
  throw Error(fmt::format("{}: its packages aren't there, klp-build data --download fetches them", codestream.name));
}

class Tests {
 public:
  explicit Tests(KlpContext& context)
      : context_(context),
        project_(read_project(context.settings.work_dir, context.line.name)),
        script_(test_script(context, project_)) {}

  int run() {
    if (!script_.empty() && !fs::exists(script_))
      throw Error(fmt::format("--script {}: there is no such file", script_.string()));
    const std::vector<ProjectCodestream> chosen = chosen_of(context_, project_);
    std::map<string, std::vector<ProjectCodestream>> by_arch;
    for (const ProjectCodestream& codestream : chosen) {
      if (!fs::exists(module_of(codestream)))
        throw Error(fmt::format("{}: isn't built, klp-build push does it", codestream.is.name));
      by_arch[codestream.is.arch()].push_back(codestream);
    }
    bool failed = false;
    for (const auto& [arch, codestreams] : by_arch) failed |= !of_arch(arch, codestreams);
    return failed ? exit_error : exit_ok;
  }

 private:
  fs::path module_of(const ProjectCodestream& codestream) const {
    return project_.built(codestream) / (project_.module() + ".ko");
  }

  bool of_arch(const string& arch, const std::vector<ProjectCodestream>& codestreams) {
    const fs::path tests = project_.folder / "tests" / arch, folder = tests / project_.name;
    remove_tree(folder);
    fs::create_directories(folder / "repro");
    for (const ProjectCodestream& codestream : codestreams) {
      fs::create_directories(folder / "built" / codestream.is.name);
      fs::copy_file(module_of(codestream), folder / "built" / codestream.is.name / (project_.module() + ".ko"));
    }
    if (!script_.empty()) {
      fs::copy_file(script_, folder / "repro/test_script.sh");
      fs::permissions(folder / "repro/test_script.sh", fs::perms::owner_exec, fs::perm_options::add);
    }
    bool good = true;
    string said;
    if (!context_.line.no_run)
      for (const ProjectCodestream& codestream : codestreams) good &= boot(codestream, folder, said);
    write_file(folder / "tests.out", said);
    const fs::path archive = tests / (project_.name + ".tar.xz");
    const CommandResult packed = context_.executor.run({{"tar", "-cJf", archive.string(), "--sort=name", "--owner=0",
                                                         "--group=0", "-C", tests.string(), project_.name},
                                                        {},
                                                        {}});
    if (!packed.ok()) throw Error("tar: " + packed.output);
    context_.console.info(archive.string());
    return good;
  }

  bool boot(const ProjectCodestream& codestream, const fs::path& folder, string& said) {
    if (codestream.is.architecture() != find_arch(host_machine())) {
      said += fmt::format("{}: not run, only kernels of this machine's architecture are booted\n", codestream.is.name);
      context_.console.warning(
          fmt::format("{}: isn't run, only kernels of this machine's architecture are booted", codestream.is.name));
      return true;
    }
    const Cache cache(Cache::default_root(), context_.console);
    const Bootable kernel = bootable(codestream.is, cache);
    std::vector<string> words = {data_file("klp-build/boot-test").string(), kernel.image.string(),
                                 (folder / "built" / codestream.is.name / (project_.module() + ".ko")).string(),
                                 kernel.modules.string()};
    if (!script_.empty()) words.push_back((folder / "repro/test_script.sh").string());
    CommandResult result;
    {
      Console::Stage stage(context_.console, codestream.is.name);
      result = context_.executor.run({words, {}, {}});
      stage.note(result.ok() ? "loaded, tested, unloaded" : "failed");
    }
    said += fmt::format("== {}: {}\n{}\n", codestream.is.name, result.ok() ? "passed" : "failed", result.output);
    if (!result.ok()) context_.console.error(fmt::format("{}: {}", codestream.is.name, trimmed(result.output)));
    return result.ok();
  }

  KlpContext& context_;
  Project project_;
  fs::path script_;
};

}  // namespace

fs::path kept_test_of(const fs::path& folder, const string& name) {
  if (folder.empty()) return {};
  for (const fs::path& path : {folder / (name + "_test_script.sh"), folder / name / "test_script.sh"})
    if (fs::exists(path)) return path;
  return {};
}

int prepare_tests(KlpContext& context) { return Tests(context).run(); }

}  // namespace kpatch
