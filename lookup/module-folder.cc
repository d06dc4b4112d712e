#include "lookup/module-folder.h"

#include "lookup/modinfo.h"
#include "lookup/module-names.h"
#include "support/files.h"

namespace kpatch {

void ModuleFolder::look() {
  if (!paths_.empty()) return;
  walk(folder_, [&](const std::filesystem::directory_entry& entry) {
    if (const auto module = module_path_of(entry.path().string()))
      paths_.emplace(module_name_of(*module), entry.path());
    return true;
  });
}

std::string ModuleFolder::vermagic() {
  look();
  for (const auto& [name, path] : paths_) {
    const Binary* module = named(name);
    if (module == nullptr) continue;
    for (const BinarySection& section : module->sections()) {
      if (section.name != ".modinfo") continue;
      const auto values = modinfo_values(section.bytes, "vermagic");
      if (!values.empty()) return std::string(values.front());
    }
  }
  return {};
}

const Binary* ModuleFolder::named(std::string_view name) {
  look();
  const auto path = paths_.find(name);
  if (path == paths_.end()) return nullptr;
  auto [it, fresh] = opened_.try_emplace(std::string(name));
  if (fresh) it->second = std::make_unique<Binary>(Binary::open(path->second));
  return it->second.get();
}

}  // namespace kpatch
