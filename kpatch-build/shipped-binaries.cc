#include "kpatch-build/shipped-binaries.h"

#include <fmt/format.h>

#include "support/error.h"
#include "support/files.h"

namespace kpatch {

namespace fs = std::filesystem;

const Binary& ShippedBinaries::object(const std::string& module) {
  auto it = opened_.find(module);
  if (it == opened_.end()) {
    const auto file = module.empty() ? std::optional(base_.vmlinux) : module_file(base_, module);
    if (!file) throw Error(fmt::format("{}.ko is not among the shipped modules", module));
    it = opened_.emplace(module, Binary::open(*file)).first;
  }
  return it->second;
}

const Binary* ShippedBinaries::named(std::string_view name) {
  if (paths_.empty())
    walk(base_.modules, [&](const fs::directory_entry& entry) {
      const std::string path = entry.path().lexically_relative(base_.modules).string();
      if (const auto module = module_path_of(path)) paths_.emplace(module_name_of(*module), *module);
      return true;
    });
  const auto it = paths_.find(std::string(name));
  return it == paths_.end() ? nullptr : &object(it->second);
}

const std::set<std::string>& ShippedBinaries::needed_by(const std::string& name) {
  const auto [it, fresh] = needs_.try_emplace(name);
  const Binary* module = fresh ? named(name) : nullptr;
  if (module != nullptr) it->second = dependencies(*module, [&](std::string_view other) { return named(other); });
  return it->second;
}

}  // namespace kpatch
