// kpatch vex: what is said of livepatches in other programs' formats.
#include "kpatch/statements.h"

#include <fmt/format.h>

#include <cstdio>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kpatch/change.h"
#include "kpatch/loaded.h"
#include "kpatch/module-file.h"
#include "kpatch/spdx.h"
#include "kpatch/summary.h"
#include "kpatch/vex.h"
#include "support/error.h"
#include "support/files.h"
#include "support/sha256.h"
#include "support/source-date.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

void print(const nlohmann::ordered_json& value) {
  std::fputs((value.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n").c_str(), stdout);
}

class Statement {
 public:
  Statement(const TargetOptions& options, const System& system, const Store& store)
      : options_(options), system_(system), store_(store) {}

  // Of files and installed livepatches; without any of what runs.
  int run() {
    if (options_.format == "spdx") return materials();
    VexDocument document;
    if (!options_.author.empty()) document.author = options_.author;
    if (!options_.publisher.empty()) document.publisher = options_.publisher;
    document.time = source_date_epoch().value_or(std::time(nullptr));
    for (const std::string& name : options_.names) {
      const ModuleFile module = module_of(name);
      document.modules.push_back({module.name, module.release, module.path.filename().string(),
                                  sha256_of(read_file(module.path)), hex_of(module.build_id), module.fixes(),
                                  runs(module)});
    }
    if (options_.names.empty())
      for (const LoadedPatch& patch : loaded_patches(system_))
        if (const auto fixes = loaded_fixes(system_, patch.name); in_effect(patch) && !fixes.empty()) {
          const std::string build_id = loaded_build_id(system_, patch.name);
          const fs::path file = file_of_loaded(patch.name, build_id);
          document.modules.push_back({patch.name, system_.release(), file.filename().string(),
                                      file.empty() ? "" : sha256_of(read_file(file)), hex_of(build_id), fixes, true});
        }
    print(options_.format == "csaf" ? csaf_vex(document) : open_vex(document));
    return done;
  }

 private:
  ModuleFile module_of(const std::string& name) const { return store_.module_of(name, system_.release()); }
  fs::path file_of_loaded(const std::string& name, const std::string& build_id) const {
    return store_.file_of_loaded(name, system_.release(), build_id);
  }

  // A bill of materials of files and installed livepatches; without any, of what runs.
  int materials() {
    SpdxDocument document;
    document.author = options_.author;
    if (!options_.publisher.empty()) document.publisher = options_.publisher;
    document.time = source_date_epoch().value_or(std::time(nullptr));
    std::vector<fs::path> files;
    for (const std::string& name : options_.names) files.push_back(module_of(name).path);
    if (options_.names.empty())
      for (const LoadedPatch& patch : loaded_patches(system_)) {
        if (!in_effect(patch)) continue;
        files.push_back(file_of_loaded(patch.name, loaded_build_id(system_, patch.name)));
        if (files.back().empty())
          throw Error(fmt::format("{}: its file isn't known; give it: kpatch vex --format spdx FILE", patch.name));
      }
    std::vector<std::string> bytes;
    for (const fs::path& file : files) {
      const ModuleFile module = read_module(file);
      require_livepatch(module);
      bytes.push_back(read_file(file));
      document.modules.push_back(spdx_module(module, bytes.back()));
    }
    for (const std::string& file : options_.provenance) add_statement(document, bytes, file);
    print(spdx(document));
    return done;
  }

  // A statement is of one of the modules.
  void add_statement(SpdxDocument& document, const std::vector<std::string>& bytes, const std::string& file) {
    ModuleInputs inputs;
    const std::string text = read_file(file);
    try {
      inputs = read_module_inputs(text);
    } catch (const Error& error) {
      throw Error(fmt::format("{}: {}", file, error.what()));
    }
    bool of_one = false;
    for (size_t i = 0; i < bytes.size(); ++i) of_one = add_inputs(document.modules[i], inputs, bytes[i]) || of_one;
    if (!of_one) throw Error(fmt::format("{}: it is of none of these modules: SHA-256 {}", file, inputs.sha256));
  }

  bool runs(const ModuleFile& module) const {
    const auto patch = loaded_patch(system_, module.name);
    return patch && in_effect(*patch) && module.release == system_.release() && !module.build_id.empty() &&
           loaded_build_id(system_, module.name) == module.build_id;
  }

  const TargetOptions& options_;
  const System& system_;
  const Store& store_;
};

}  // namespace

int print_statement(const TargetOptions& options, const System& system, const Store& store) {
  return Statement(options, system, store).run();
}

}  // namespace kpatch
