// The livepatches that are installed: /var/lib/kpatch/RELEASE/NAME.ko, loaded when the machine starts.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kpatch/module-file.h"
#include "kpatch/system.h"

namespace kpatch {

struct Installed {
  std::string name;
  std::string release;
  std::filesystem::path file;
};

// Whether who gives this name means a file, and no installed module.
bool looks_like_file(const std::string& name);

// The name that it is installed under: its file's, where that spells the module's own, else MODULE.ko.
std::string installed_file_name(const ModuleFile& module);

// A load that was begun and not accepted yet. It is written, and on the disk, before the kernel gets the module.
struct Trial {
  std::string boot_id;
  long oopses = 0, warnings = 0;  // what the kernel had counted before
};

class Store {
 public:
  explicit Store(const System& system) : system_(system) {}

  // Of all releases, or of one; those of a release in the order in which they were installed. A module is called as it
  // says itself, and as its file only where it can't be read. Of several files of one module the newest counts.
  std::vector<Installed> installed(const std::string& release = {}) const;
  std::optional<Installed> find(const std::string& name, const std::string& release) const;

  // Reads the file that is meant by the name: its own, or that of an installed module. Throws Error where there is none.
  ModuleFile module_of(const std::string& name, const std::string& release) const;
  // The installed file that a loaded module is from, by its build id; empty: none is known to be.
  std::filesystem::path file_of_loaded(const std::string& name, const std::string& release,
                                       const std::string& build_id) const;

  // Copies it there, whole or not at all; what is there of this module, in whatever file, is replaced. Throws Error.
  Installed install(const ModuleFile& module) const;
  // Throws Error when it isn't installed.
  void uninstall(const std::string& name, const std::string& release) const;

  // No matter whether it is installed.
  std::optional<Trial> trial(const std::string& name, const std::string& release) const;
  void begin_trial(const std::string& name, const std::string& release) const;
  void end_trial(const std::string& name, const std::string& release) const;
  std::vector<std::string> trials(const std::string& release) const;

 private:
  std::vector<Installed> files(const std::string& release) const;
  std::filesystem::path folder(const std::string& release) const;
  std::filesystem::path trial_file(const std::string& name, const std::string& release) const;
  const System& system_;
};

}  // namespace kpatch
