// What is needed of a kernel to boot it and to load its modules.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kernel/kernel.h"

namespace kpatch {

struct BootableKernel {
  std::string release;
  std::filesystem::path image;
  std::filesystem::path modules;  // modules / "net/netfilter/xt_comment.ko"
};

// Of a release, as kpatch-build finds it: installed, cached, fetched; of a folder of packages (DistroTools::packages) those
// with the image and the modules, unpacked below `scratch`. What is set in `given` isn't looked for. Throws Error when the
// image isn't among the release's files.
BootableKernel find_bootable(const std::string& release, const BootableKernel& given,
                             const std::filesystem::path& scratch, const DistroTools& tools);

struct TriedModule {
  std::string name;            // as the kernel spells it
  std::filesystem::path file;  // maybe compressed
};

// The files of modules and of what they depend on, in an order in which they can be loaded. What the folder doesn't have
// is left out: it may be built in.
std::vector<TriedModule> loading_order(const std::filesystem::path& modules, const std::vector<std::string>& names);

}  // namespace kpatch
