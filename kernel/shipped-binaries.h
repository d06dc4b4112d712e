// The kernel's files as they are shipped, each opened once.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "kernel/base.h"
#include "lookup/lookup.h"

namespace kpatch {

class ShippedBinaries {
 public:
  explicit ShippedBinaries(const Base& base) : base_(base) {}

  // By the path without .ko, as kbuild names a module; empty: vmlinux. Throws Error when it isn't shipped.
  const Binary& object(const std::string& module);
  // A module by the name that the kernel gives it; nullptr when none is called so.
  const Binary* named(std::string_view name);
  // The modules that are there while this one is, by the kernel's names.
  const std::set<std::string>& needed_by(const std::string& name);

 private:
  const Base& base_;
  std::map<std::string, Binary> opened_;
  std::map<std::string, std::string> paths_;  // by name; empty until somebody asks for one
  std::map<std::string, std::set<std::string>> needs_;
};

// What the differ takes for the module that runs: the shipped file, or its debug file where that lists the same symbols
// in the same order, since it still says which source file a local symbol is from. Shipped modules have lost that, and
// drivers like to call things `ops` in each of their files. module: as in CompileCommand. Throws Error when it isn't
// there.
std::filesystem::path parent_of_module(const Base& base, const std::string& module);

}  // namespace kpatch
