// Judging finished modules again, from what a build left behind (inputs.json, see doc/formats.md).
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "klp/audit.h"
#include "klp/delivery.h"

namespace kpatch {

class Judge {
 public:
  // inputs: the file inputs.json of a build; its paths are relative to its folder. Throws Error when it can't be read,
  // or what it names can't.
  explicit Judge(const std::filesystem::path& inputs);

  const std::filesystem::path& module() const { return module_; }
  const Binary& vmlinux() const { return *vmlinux_; }
  // What speaks against a module that is said to be this build's.
  std::vector<Finding> judge(const std::filesystem::path& module);

 private:
  std::filesystem::path module_;
  std::unique_ptr<ModuleFolder> modules_;
  std::string name_, release_;
  std::unique_ptr<Binary> vmlinux_;
  Symvers symvers_;
  std::vector<PatchedObject> objects_;
};

}  // namespace kpatch
