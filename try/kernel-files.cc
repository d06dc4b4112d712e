#include "try/kernel-files.h"

#include <fmt/format.h>

#include <functional>
#include <map>
#include <set>

#include "lookup/lookup.h"
#include "support/error.h"
#include "support/files.h"

namespace kpatch {

namespace fs = std::filesystem;

BootableKernel find_bootable(const std::string& release, const BootableKernel& given, const fs::path& scratch,
                             const DistroTools& tools) {
  BootableKernel kernel = given;
  kernel.release = release;
  if (!kernel.image.empty() && !kernel.modules.empty()) return kernel;
  KernelFiles files;
  if (!tools.packages.empty()) {
    fs::create_directory(scratch / "kernel");
    files = files_to_boot(tools.packages, release, scratch / "kernel", tools);
  } else {
    KernelFiles known;
    known.source = ".";  // isn't asked for
    files = find_release(release, known, tools);
  }
  kernel.release = files.release;  // of a series, which one
  if (kernel.image.empty()) kernel.image = files.image;
  if (kernel.modules.empty()) kernel.modules = files.modules;
  if (kernel.image.empty())
    throw Error(fmt::format("the image of {} isn't among its files; name it with --kernel", release));
  return kernel;
}

std::vector<TriedModule> loading_order(const fs::path& modules, const std::vector<std::string>& names) {
  std::map<std::string, fs::path> files;
  walk(modules, [&](const fs::directory_entry& entry) {
    if (const auto path = module_path_of(entry.path().string())) files.emplace(module_name_of(*path), entry.path());
    return true;
  });
  std::vector<TriedModule> order;
  std::set<std::string> seen;
  const std::function<void(const std::string&)> add = [&](const std::string& name) {
    const auto found = files.find(name);
    if (found == files.end() || !seen.insert(name).second) return;
    for (const std::string& needed : direct_dependencies(Binary::open(found->second)).value_or(std::set<std::string>()))
      add(needed);
    order.push_back({name, found->second});
  };
  for (const std::string& name : names) add(module_name_of(name));
  return order;
}

}  // namespace kpatch
