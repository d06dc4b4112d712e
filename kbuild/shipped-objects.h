// Which of the compilations that kbuild lists are part of the kernel that was shipped.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "kernel/kernel.h"
#include "lookup/lookup.h"

namespace kpatch {

// Turns the bare KBUILD_MODNAMEs of the commands into the paths of the modules' files, without ending and below
// base.modules: "virtio_net" of drivers/net/virtio_net.o -> "drivers/net/virtio-net". "a:b" of an object that several
// modules share becomes "folder/a:folder/b".
void resolve_modules(const Base& base, std::vector<CompileCommand>& commands);

// What the shipped kernel consists of.
class BuiltIntoKernel {
 public:
  // Reads the units of base.vmlinux_index. base must outlive it.
  explicit BuiltIntoKernel(const Base& base);

  // The part of the commands that the shipped kernel holds. An object that several modules share comes once for each.
  std::vector<CompileCommand> filter(std::vector<CompileCommand> commands);

 private:
  bool has_module(const std::string& module);
  bool in_vmlinux(const CompileCommand& command) const;

  const Base& base_;
  Binary vmlinux_;
  std::set<std::string> units_;
  std::map<std::string, bool> modules_;
};

}  // namespace kpatch
