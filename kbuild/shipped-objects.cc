// What was shipped.
//
// A folder's Makefile may list objects although no parent descends into it, and the vDSO's or the boot code's objects
// are no part of vmlinux. So what kbuild lists counts only if it was shipped: vmlinux has a translation unit of that
// name, or the module's file exists.
//
// kbuild names a module by KBUILD_MODNAME alone ("virtio_net"): its file is looked for where the object lies, and
// above.
#include "kbuild/shipped-objects.h"

#include <algorithm>
#include <filesystem>
#include <span>
#include <string_view>
#include <utility>

#include "support/files.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

// Finds a module's path by its name and by where its objects lie: in the folder of the Makefile that lists them,
// or below it. "virtio_net" of drivers/net/virtio_net.o -> "drivers/net/virtio-net", were that the file's name.
class ModulePaths {
 public:
  explicit ModulePaths(const fs::path& top) {
    size_t skip = top.string().size() + 1;
    walk(top, [&](const fs::directory_entry& entry) {
      std::string path = entry.path().string();
      if (auto module = module_path_of(std::string_view(path).substr(skip)))
        paths_.emplace(folder_and_name(*module), *module);
      return true;
    });
  }

  // "a:b" -> "folder/a:folder/b". A module that doesn't exist gets the object's own folder.
  std::string resolve(const std::string& names, const std::string& object) const {
    std::string result;
    for (std::string_view name : fields_of(names, ':')) {
      if (!result.empty()) result += ':';
      result += one(std::string(name), object);
    }
    return result;
  }

 private:
  static std::string folder_and_name(std::string_view module) {
    std::string folder(module.substr(0, module.rfind('/') + 1));  // npos + 1 is 0
    return folder + module_name_of(module);
  }

  std::string one(const std::string& name, const std::string& object) const {
    // "arch/x86/kvm/../../../virt/kvm/kvm_main.o" is listed in arch/x86/kvm.
    std::string folder = object.substr(0, object.find("/../"));
    if (folder.size() == object.size())
      folder = object.substr(0, object.rfind('/') + 1);
    else
      folder += '/';
    std::string own = folder;
    for (;;) {
      if (auto it = paths_.find(folder + module_name_of(name)); it != paths_.end()) return it->second;
      if (folder.size() < 2) break;
      folder.resize(folder.rfind('/', folder.size() - 2) + 1);
    }
    return own + name;
  }

  std::map<std::string, std::string> paths_;
};

// A kernel built with O= has absolute names: "/home/me/linux/init/main.c". What stands before init/main.c, which
// every kernel has, is the source that it was built from.
std::string top_of(std::span<const std::string_view> units) {
  constexpr std::string_view known = "init/main.c";
  std::string_view best;
  for (auto unit : units) {
    if (unit == known) return "";
    if (!unit.ends_with(known) || unit[unit.size() - known.size() - 1] != '/') continue;
    std::string_view top = unit.substr(0, unit.size() - known.size());
    if (best.empty() || top.size() < best.size()) best = top;
  }
  return std::string(best);
}

std::vector<std::string> split_modules(const std::string& text) {
  std::vector<std::string> result(1);
  for (char c : text) {
    if (c == ' ' || c == ':')
      result.emplace_back();
    else
      result.back() += c;
  }
  std::erase(result, "");
  return result;
}

bool has_usual_name(const CompileCommand& command) {
  return fs::path(command.object).lexically_normal().replace_extension(".c") == command.source;
}

// A special rule compiles lib/crypto/sha256.c once more, as arch/x86/purgatory/sha256.o: another image, same unit. It
// goes into the other_images of the one that stays.
void drop_other_images(std::vector<CompileCommand>& commands) {
  std::map<std::string, std::vector<std::string>> others;  // by source
  std::set<std::string> usual;
  for (auto& command : commands)
    if (command.module.empty() && has_usual_name(command)) usual.insert(command.source);
  std::erase_if(commands, [&](auto& command) {
    if (!command.module.empty() || has_usual_name(command) || !usual.contains(command.source)) return false;
    others[command.source].push_back(command.object);
    return true;
  });
  for (auto& command : commands)
    if (const auto found = others.find(command.source); found != others.end() && command.module.empty())
      command.other_images = found->second;
}

}  // namespace

void resolve_modules(const Base& base, std::vector<CompileCommand>& commands) {
  if (std::ranges::all_of(commands, [](auto& command) { return command.module.empty(); })) return;
  ModulePaths paths(base.modules);
  for (auto& command : commands)
    if (!command.module.empty()) command.module = paths.resolve(command.module, command.object);
}

BuiltIntoKernel::BuiltIntoKernel(const Base& base) : base_(base), vmlinux_(Binary::open(base.vmlinux_index)) {
  std::string top = top_of(vmlinux_.units());
  for (auto unit : vmlinux_.units()) {
    if (unit.starts_with(top)) unit.remove_prefix(top.size());
    units_.insert(fs::path(unit).lexically_normal().string());
  }
}

std::vector<CompileCommand> BuiltIntoKernel::filter(std::vector<CompileCommand> commands) {
  std::vector<CompileCommand> result;
  for (auto& command : commands) {
    if (command.module.empty()) {
      if (in_vmlinux(command)) result.push_back(std::move(command));
      continue;
    }
    for (auto& module : split_modules(command.module)) {
      if (!has_module(module)) continue;
      CompileCommand one = command;
      one.module = module;
      result.push_back(std::move(one));
    }
  }
  drop_other_images(result);
  return result;
}

bool BuiltIntoKernel::has_module(const std::string& module) {
  auto [it, is_new] = modules_.try_emplace(module, false);
  if (is_new) it->second = module_file(base_, module).has_value();
  return it->second;
}

bool BuiltIntoKernel::in_vmlinux(const CompileCommand& command) const {
  return units_.empty() || units_.contains(command.source) ||
         units_.contains(fs::path(command.object).lexically_normal().replace_extension(".c").string());
}

}  // namespace kpatch
