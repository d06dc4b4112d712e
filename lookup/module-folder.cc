#include "lookup/module-folder.h"

#include "lookup/module-names.h"
#include "support/files.h"

namespace kpatch {

const Binary* ModuleFolder::named(std::string_view name) {
  if (paths_.empty())
    walk(folder_, [&](const std::filesystem::directory_entry& entry) {
      if (const auto module = module_path_of(entry.path().string()))
        paths_.emplace(module_name_of(*module), entry.path());
      return true;
    });
  const auto path = paths_.find(name);
  if (path == paths_.end()) return nullptr;
  auto [it, fresh] = opened_.try_emplace(std::string(name));
  if (fresh) it->second = std::make_unique<Binary>(Binary::open(path->second));
  return it->second.get();
}

}  // namespace kpatch
