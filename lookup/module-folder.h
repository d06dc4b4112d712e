// The modules below a folder, by the names that the kernel gives them.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "lookup/binary.h"

namespace kpatch {

class ModuleFolder {
 public:
  // Looked into when somebody asks for the first module.
  explicit ModuleFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // Opened once; nullptr when none is called so. Throws Error when the folder or the module can't be read.
  const Binary* named(std::string_view name);

  // What the modules say that they were built for, by the first that says so; empty: there is none. Throws Error alike.
  std::string vermagic();

 private:
  void look();

  std::filesystem::path folder_;
  std::map<std::string, std::filesystem::path, std::less<>> paths_;
  std::map<std::string, std::unique_ptr<Binary>, std::less<>> opened_;
};

}  // namespace kpatch
