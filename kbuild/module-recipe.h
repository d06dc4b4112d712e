// kbuild's own commands for a livepatch module, learned from what one `make M=` recorded, and run again without make.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kbuild/record.h"
#include "support/executor.h"
#include "support/kept-files.h"

namespace kpatch {

struct ModuleBuild {
  std::filesystem::path folder;    // where the module is made: M=
  std::filesystem::path base;      // kbuild's folder, where make runs
  std::string name;                // of the module
  std::vector<std::string> parts;  // "parts/livepatch-begin.o", …, below folder, as they are linked
  std::string makers;              // Base::code_makers: what was kept of another compiler isn't taken
};

class ModuleRecipe {
 public:
  // From the records that make left in build.folder. Nothing where one is missing, or of a file that isn't known, or
  // where the module's name can't be told from other words of a command ("gcc"): then make remains.
  static std::optional<ModuleRecipe> learn(const ModuleBuild& build);

  // As write() left it, with the same key; nothing otherwise.
  static std::optional<ModuleRecipe> read(const std::filesystem::path& file, std::string_view key);
  // What can't be written isn't: make remains.
  void write(const std::filesystem::path& file, std::string_view key) const;

  // Makes the module in build.folder, whose sources and diff objects are there. Its output is that of all commands,
  // its status that of the first that failed. Compiled parts that don't depend on the module are taken from `kept`, and
  // kept there.
  CommandResult run(const ModuleBuild& build, const KeptFiles& kept, unsigned jobs, Executor& executor) const;

  // Keeps the parts that make compiled.
  void keep(const ModuleBuild& build, const KeptFiles& kept) const;

 private:
  struct Step {
    std::string file;    // what it makes, below the module's folder; "%" stands for the module's name
    BuildRecord record;  // with what is below the module's folder of its dependencies
  };
  static std::string filled(std::string text, const ModuleBuild& build);
  static BuildRecord filled(BuildRecord record, const ModuleBuild& build);
  std::string kept_key(const Step& step, const ModuleBuild& build) const;

  std::vector<std::vector<Step>> stages_;  // those of one stage may run side by side
  bool in_folder_ = false;                 // the commands run in the module's folder: kbuild does so since 6.13
};

}  // namespace kpatch
